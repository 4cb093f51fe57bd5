import Synchronization

/// Lines that a rehearsed script prints.
final class Lines: Sendable {
    /// More are not kept.
    private static let limit = 10_000
    private let lines = Mutex<[String]>([])

    func add(_ line: String) {
        lines.withLock { if $0.count < Self.limit { $0.append(line) } }
    }

    var all: [String] { lines.withLock { $0 } }
}
