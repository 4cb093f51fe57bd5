import Foundation
import Synchronization

/// Work on a thread of its own, so that blocking calls never hold up Swift's cooperative pool.
final class WorkerThread<Value: Sendable>: Sendable {
    private let outcome = Mutex<Result<Value, any Error>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    /// Starts the work.
    init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
        let thread = Thread { [self] in
            let result = Result(catching: body)
            outcome.withLock { $0 = result }
            done.signal()
        }
        thread.name = name
        thread.start()
    }

    /// Waits for the end of the work; for callers that are on threads themselves.
    ///
    /// Called once.
    func join() throws -> Value {
        done.wait()
        guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("a thread ended without an outcome") }
        return try outcome.get()
    }
}

/// Runs blocking work on a thread of its own; when the task is cancelled, `interrupt` is triggered and the work still
/// awaited.
func onThread<Value: Sendable>(
    _ name: String, interrupt: Interrupt? = nil, _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { continuation.resume(with: Result(catching: body)) }
            thread.name = name
            thread.start()
        }
    } onCancel: {
        interrupt?.trigger(ReplicationError.givenUp)
    }
}
