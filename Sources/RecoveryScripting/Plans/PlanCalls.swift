import LuaHost
import RecoveryEngine
import SiteModel
import Synchronization

/// Calls of functions that a script handed over with its plan: they wait here until the script serves them.
///
/// A Lua function can only be called by its own script, while that waits for the plan's run. So the script serves the calls in
/// a task of its own: `require("plans").run` does.
final class PlanCalls: Sendable {
    struct Pending: Sendable {
        var id: Int
        var function: LuaFunction
        var context: PlanActionContext
    }

    private struct State {
        var last = 0
        var queue: [Pending] = []
        /// Servers that wait for a call.
        var servers: [Int: CheckedContinuation<Pending?, Never>] = [:]
        var answers: [Int: CheckedContinuation<String, any Error>] = [:]
        var gone: Set<Int> = []
        /// Set while the script is ready to serve: from before the plan's run begins until it is over.
        var isServing = false

        enum Asked {
            case refused(any Error)
            case handed(CheckedContinuation<Pending?, Never>)
            case queued
        }

        /// Takes a call up: hands it to the server that waits longest, or keeps it for the next that comes.
        mutating func ask(_ pending: Pending, _ answer: CheckedContinuation<String, any Error>) -> Asked {
            if gone.remove(pending.id) != nil { return .refused(CancellationError()) }
            guard isServing else {
                return .refused(PlanCalls.notServed)
            }
            answers[pending.id] = answer
            guard let first = servers.keys.min(), let server = servers.removeValue(forKey: first) else {
                queue.append(pending)
                return .queued
            }
            return .handed(server)
        }
    }

    private let state = Mutex(State())

    static let notServed = ActionFailure(
        "the script does not serve its functions while the plan runs",
        hint: "run it with require(\"plans\").run(plan, ...), or name a module's function")

    /// Whether the script is ready to serve.
    var isServed: Bool { state.withLock { $0.isServing } }

    // MARK: The side of the plan's run

    /// Has the script call a function, and returns the text that it answers.
    func call(_ number: UInt64, _ context: PlanActionContext) async throws -> String {
        let id = nextNumber()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { answer in
                let pending = Pending(id: id, function: LuaFunction(id: number, hostName: nil), context: context)
                let outcome = state.withLock { $0.ask(pending, answer) }
                switch outcome {
                case .refused(let error): answer.resume(throwing: error)
                case .handed(let server): server.resume(returning: pending)
                case .queued: break
                }
            }
        } onCancel: {
            let answer = state.withLock { state -> CheckedContinuation<String, any Error>? in
                state.queue.removeAll { $0.id == id }
                if let answer = state.answers.removeValue(forKey: id) { return answer }
                state.gone.insert(id)
                return nil
            }
            answer?.resume(throwing: CancellationError())
        }
    }

    private func nextNumber() -> Int {
        state.withLock { state in
            state.last += 1
            return state.last
        }
    }

    // MARK: The side of the script

    /// The script is about to run a plan and to serve its calls.
    func begin() { state.withLock { $0.isServing = true } }

    /// Waits for the next call; nil when the plan's run is over.
    func next() async -> Pending? {
        let id = nextNumber()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { server in
                let ready = state.withLock { state -> Pending?? in
                    if state.gone.remove(id) != nil || !state.isServing { return .some(nil) }
                    guard !state.queue.isEmpty else {
                        state.servers[id] = server
                        return .none
                    }
                    return .some(state.queue.removeFirst())
                }
                if let ready { server.resume(returning: ready) }
            }
        } onCancel: {
            let server = state.withLock { state -> CheckedContinuation<Pending?, Never>? in
                if let server = state.servers.removeValue(forKey: id) { return server }
                state.gone.insert(id)
                return nil
            }
            server?.resume(returning: nil)
        }
    }

    /// Gives the answer of a call; one that no longer waits for it has timed out.
    func answer(_ id: Int, _ result: Result<String, any Error>) {
        state.withLock { $0.answers.removeValue(forKey: id) }?.resume(with: result)
    }

    /// The plan's run is over: nobody is waited for any more.
    func end() {
        let servers = state.withLock { state in
            state.isServing = false
            state.queue = []
            defer { state.servers = [:] }
            return state.servers.sorted { $0.key < $1.key }.map(\.value)
        }
        for server in servers { server.resume(returning: nil) }
    }
}
