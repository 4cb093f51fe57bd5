import Synchronization

/// Lets one task at a time work on each name, in the order of asking; others wait without holding a thread.
final class Gate: Sendable {
    private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    /// Runs `body` when nobody else is at work on `name`.
    func pass<Value: Sendable>(_ name: String, _ body: () async throws -> Value) async rethrows -> Value {
        await enter(name)
        defer { leave(name) }
        return try await body()
    }

    /// Whether a task waits for the one that is at work on `name`.
    func isAwaited(_ name: String) -> Bool { waiting.withLock { $0[name]?.isEmpty == false } }

    private func enter(_ name: String) async {
        await withCheckedContinuation { continuation in
            let isFree = waiting.withLock { waiting -> Bool in
                guard waiting[name] != nil else {
                    waiting[name] = []
                    return true
                }
                waiting[name]?.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    private func leave(_ name: String) {
        let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
            guard var queue = waiting[name], !queue.isEmpty else {
                waiting[name] = nil
                return nil
            }
            let first = queue.removeFirst()
            waiting[name] = queue
            return first
        }
        next?.resume()
    }
}
