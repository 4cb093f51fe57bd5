/// Durations as scripts write them: a number of seconds, or text such as `"30s"`, `"1.5min"`, `"250ms"`.
public enum LuaDuration {
    private static let units: [(name: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("min", 60), ("h", 3600), ("d", 86_400),
    ]

    /// Reads a duration.
    ///
    /// - Parameters:
    ///   - value: seconds, or a number with one of the units `ms`, `s`, `min`, `h`, `d`.
    ///   - what: begins the message of the error, such as `"task.sleep: the duration"`.
    /// - Throws: ``LuaError`` of kind `argument` for anything else, and for less than nothing or more than 10 years.
    public static func parse(_ value: LuaValue, for what: String) throws(LuaError) -> Duration {
        let seconds: Double?
        switch value {
        case .integer, .number: seconds = value.number
        case .string: seconds = value.text.flatMap(seconds(of:))
        default: seconds = nil
        }
        guard let seconds, seconds >= 0, seconds <= 10 * 366 * 86_400 else {
            let shown = value.text.map { "\"\($0.prefix(40))\"" } ?? value.number.map { "\($0)" } ?? value.typeName
            throw LuaError(
                .argument, "\(what) must be a number of seconds or text such as \"30s\", got \(shown)",
                hint: "the units are ms, s, min, h and d")
        }
        return .seconds(seconds)
    }

    private static func seconds(of text: String) -> Double? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count)
        guard let amount = Double(digits), let scale = units.first(where: { $0.name == unit })?.seconds else {
            return nil
        }
        return amount * scale
    }
}
