/// Names in a hint.
enum Listed {
    /// The names behind `lead`; `none` says what to do where there is not one.
    static func hint(_ lead: String, _ names: [String], none: String) -> String {
        names.isEmpty ? none : "\(lead): \(names.joined(separator: ", "))"
    }
}
