import Hypervisors
import Synchronization
import VaultStore

/// What an engine meets when it is dead: nothing it does has any effect any more.
struct Died: Error {}

/// Lets an engine die, fail or stand still at a chosen place.
///
/// Writes to the vault and effects on the world are counted from 1, each for itself. Every place at which a process can be
/// killed is right after one of them.
final class Fuse: Sendable {
    enum Mode: Hashable, Sendable {
        case never
        case dieAfterWrite(Int)
        case dieAfterEffect(Int)
        /// The effect does not happen, and the engine is told so.
        case failEffect(Int)
        /// The effect happens, and the engine is told that it did not.
        case loseAnswer(Int)
        /// The effect happens, and the engine is suspended before it hears of it.
        case suspendAfterEffect(Int)
        /// The write happens, and the engine is told that it did not.
        case loseWriteAnswer(Int)
        /// Something happens in the world right after the write, or after the first effect of that name.
        case runAfterWrite(Int)
        case runAfterEffect(String)
    }

    private struct State {
        var mode: Mode
        var writes = 0
        var effects: [String] = []
        var isDead = false
        var suspended = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watching: [CheckedContinuation<Void, Never>] = []
        var wentOff = false
        /// The engine has ended and will not stand still any more.
        var isOver = false
    }

    private let state: Mutex<State>

    /// What happens in the world at the chosen place.
    private let incident: @Sendable () -> Void

    init(_ mode: Mode = .never, incident: @escaping @Sendable () -> Void = {}) {
        self.incident = incident
        state = Mutex(State(mode: mode))
    }

    /// Whether the chosen place was reached.
    var wentOff: Bool { state.withLock { $0.wentOff } }
    var effects: [String] { state.withLock { $0.effects } }

    func checkAlive() throws {
        if state.withLock({ $0.isDead }) { throw Died() }
    }

    func effect<Result>(_ name: String, _ body: () async throws -> Result) async throws -> Result {
        let fails = try state.withLock { state in
            if state.isDead { throw Died() }
            state.effects.append(name)
            guard state.mode == .failEffect(state.effects.count) else { return false }
            state.wentOff = true
            return true
        }
        let number = effects.count
        if fails { throw HypervisorError(.failed, "\(name) failed", hint: "this is the test's doing") }
        // A call that fails by itself is a place like any other.
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        let isIncident = state.withLock { state in
            guard state.mode == .runAfterEffect(name), !state.wentOff else { return false }
            state.wentOff = true
            return true
        }
        if isIncident { incident() }
        let suspends = try state.withLock { state in
            if state.mode == .dieAfterEffect(number) {
                state.isDead = true
                state.wentOff = true
            }
            if state.isDead { throw Died() }
            if state.mode == .loseAnswer(number) {
                state.wentOff = true
                throw HypervisorError(.failed, "no answer to \(name)", hint: "this is the test's doing")
            }
            guard state.mode == .suspendAfterEffect(number) else { return false }
            state.suspended = true
            state.wentOff = true
            return true
        }
        if suspends {
            for watcher in take(\.watching) { watcher.resume() }
            await waitWhileSuspended()
        }
        return try result.get()
    }

    func didWrite() throws {
        let isIncident = try state.withLock { state in
            state.writes += 1
            if state.mode == .runAfterWrite(state.writes) {
                state.wentOff = true
                return true
            }
            if state.mode == .loseWriteAnswer(state.writes) {
                state.wentOff = true
                throw HypervisorError(.failed, "no answer to write \(state.writes)", hint: "this is the test's doing")
            }
            guard state.mode == .dieAfterWrite(state.writes) else { return false }
            state.isDead = true
            state.wentOff = true
            throw Died()
        }
        if isIncident { incident() }
    }

    // MARK: Standing still

    func waitWhileSuspended() async {
        await withCheckedContinuation { waiter in
            let goesOn = state.withLock { state in
                if state.suspended { state.waiting.append(waiter) }
                return !state.suspended
            }
            if goesOn { waiter.resume() }
        }
    }

    /// Ends when the engine stands still, or `stopWatching` says that it never will.
    func waitUntilSuspended() async {
        await withCheckedContinuation { watcher in
            let isSo = state.withLock { state in
                let isSo = state.wentOff || state.isOver
                if !isSo { state.watching.append(watcher) }
                return isSo
            }
            if isSo { watcher.resume() }
        }
    }

    func stopWatching() {
        state.withLock { $0.isOver = true }
        for watcher in take(\.watching) { watcher.resume() }
    }

    func resume() {
        state.withLock { $0.suspended = false }
        for waiter in take(\.waiting) { waiter.resume() }
    }

    private func take(
        _ list: any WritableKeyPath<State, [CheckedContinuation<Void, Never>]> & Sendable
    ) -> [CheckedContinuation<Void, Never>] {
        state.withLock { state in
            defer { state[keyPath: list] = [] }
            return state[keyPath: list]
        }
    }
}

/// A vault as an engine that may die sees it.
struct FusedVault: Vault {
    let base: any Vault
    let fuse: Fuse

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result {
        try fuse.checkAlive()
        return try await base.read(body)
    }

    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result {
        try fuse.checkAlive()
        let result = try await base.write(body)
        try fuse.didWrite()
        return result
    }
}
