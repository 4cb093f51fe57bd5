internal import Synchronization

/// A clock that stands still until it is turned: for tests and simulation.
public final class VirtualClock: LuaClock {
    private struct Sleeper {
        let deadline: Duration
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct Watcher {
        let count: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var now: Duration
        var nextID = 0
        /// By the order in which they came.
        var sleepers: [Int: Sleeper] = [:]
        /// Callers that are about to wait, and those of them that were cancelled before they did.
        var arriving: Set<Int> = []
        var cancelled: Set<Int> = []
        var watchers: [Watcher] = []
    }

    private let state: Mutex<State>

    /// Makes a clock that shows the given time since 1970.
    public init(now: Duration = .seconds(1_700_000_000)) {
        state = Mutex(State(now: now))
    }

    /// True: time budgets go by this clock.
    public var isVirtual: Bool { true }

    /// The time the clock shows.
    public var now: Duration { state.withLock { $0.now } }

    /// How many callers wait in ``sleep(for:)``.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Waits until the clock has been turned far enough.
    public func sleep(for duration: Duration) async throws {
        try Task.checkCancellation()
        let id = state.withLock {
            $0.nextID += 1
            $0.arriving.insert($0.nextID)
            return $0.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (failure, woken) = state.withLock { state -> (Bool, [Watcher]) in
                    state.arriving.remove(id)
                    if state.cancelled.remove(id) != nil { return (true, []) }
                    let deadline = state.now + max(duration, .zero)
                    state.sleepers[id] = Sleeper(deadline: deadline, continuation: continuation)
                    let count = state.sleepers.count
                    let ready = state.watchers.filter { $0.count <= count }
                    state.watchers.removeAll { $0.count <= count }
                    return (false, ready)
                }
                if failure { continuation.resume(throwing: CancellationError()) }
                for watcher in woken { watcher.continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                if let sleeper = state.sleepers.removeValue(forKey: id) { return sleeper }
                if state.arriving.contains(id) { state.cancelled.insert(id) }
                return nil
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Returns when at least that many callers wait.
    public func sleepers(atLeast count: Int) async {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state in
                if state.sleepers.count >= count { return true }
                state.watchers.append(Watcher(count: count, continuation: continuation))
                return false
            }
            if ready { continuation.resume() }
        }
    }

    /// Turns the clock on and wakes those whose time has come, earliest first.
    public func advance(by duration: Duration) {
        let due = state.withLock { state -> [Sleeper] in
            state.now += duration
            let now = state.now
            let due = state.sleepers.filter { $0.value.deadline <= now }
                .sorted { ($0.value.deadline, $0.key) < ($1.value.deadline, $1.key) }
            for (id, _) in due { state.sleepers[id] = nil }
            return due.map(\.value)
        }
        for sleeper in due { sleeper.continuation.resume() }
    }
}
