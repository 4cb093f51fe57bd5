/// Who holds a lease, in words for people.
package struct LeaseHolder: Hashable, Sendable {
    /// Name of the machine; nil for a holder that does not say.
    package var host: String?
    package var processID: Int?
    private let holder: String

    /// Reads "host:pid:anything"; other forms stay as they are.
    package init(_ holder: String) {
        self.holder = holder
        let parts = holder.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, let processID = Int(parts[parts.count - 2]) else { return }
        self.processID = processID
        host = parts.dropLast(2).joined(separator: ":")
    }

    package var words: String {
        guard let host, let processID else { return "'\(holder)'" }
        return "process \(processID) at \(host)"
    }
}
