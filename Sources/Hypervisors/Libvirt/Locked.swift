internal import Foundation

/// A value behind a lock.
///
/// Not the standard library's `Mutex`: on Linux that one takes its lock in ways that ThreadSanitizer does not see, and
/// each use is reported as a race.
final class Locked<Value>: @unchecked Sendable {  // `lock` guards `value`
    private let lock = NSLock()
    private var value: Value

    init(_ value: sending Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}
