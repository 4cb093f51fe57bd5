import LuaHost
import Synchronization

/// Operations under way for one run.
///
/// A script may stop waiting for one; the engine drives it on.
final class RunningOperations: Sendable {
    private struct State {
        var next = 0
        var tasks: [Int: Task<Void, Never>] = [:]
    }

    private let state = Mutex(State())
    private let executor: (any TaskExecutor)?

    init(executor: (any TaskExecutor)?) {
        self.executor = executor
    }

    /// Runs an operation in a task of its own and waits for it.
    ///
    /// - Throws: what the operation throws; `LuaError` of kind `cancelled` when the waiting task is cancelled, and then the
    ///   operation goes on.
    func wait<Value: Sendable>(
        for what: String, _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let outcome = Outcome<Value>()
        start {
            do { outcome.settle(.success(try await operation())) } catch { outcome.settle(.failure(error)) }
        }
        return try await withTaskCancellationHandler {
            try await outcome.value
        } onCancel: {
            outcome.settle(
                .failure(
                    LuaError(
                        .cancelled, "no longer waiting for \(what): it goes on by itself",
                        hint: "its state and job are shown by the object and by: perilune status")))
        }
    }

    /// Returns when no operation is under way.
    func drain() async {
        while let task = state.withLock({ $0.tasks.values.first }) { await task.value }
    }

    private func start(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            let id = state.next
            state.next += 1
            state.tasks[id] = Task(executorPreference: executor) {
                await body()
                self.state.withLock { $0.tasks[id] = nil }
            }
        }
    }
}

/// The first outcome that is settled, for the one who waits for it.
private final class Outcome<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, any Error>)
        case settled(Result<Value, any Error>)
    }

    private let state = Mutex(State.open)

    /// Waits for the outcome; at most one caller does.
    var value: Value {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let settled = state.withLock { state -> Result<Value, any Error>? in
                    if case .settled(let result) = state { return result }
                    state = .awaited(continuation)
                    return nil
                }
                if let settled { continuation.resume(with: settled) }
            }
        }
    }

    func settle(_ result: Result<Value, any Error>) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, any Error>? in
            switch state {
            case .settled: return nil
            case .open:
                state = .settled(result)
                return nil
            case .awaited(let continuation):
                state = .settled(result)
                return continuation
            }
        }
        waiting?.resume(with: result)
    }
}
