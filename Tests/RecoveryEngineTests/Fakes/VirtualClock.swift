import RecoveryEngine
import SiteModel
import Synchronization

/// A clock that stands still until a test turns it.
///
/// With `turnsItself` a sleep of a second or less moves the time on by itself and returns: the waits for a lease. Longer sleeps
/// (renewals) end when the time has come.
final class VirtualClock: EngineClock {
    private struct Sleeper {
        var until: Timestamp
        var wake: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = Timestamp(milliseconds: 1_700_000_000_000)
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var last = 0
        var turnsItself = true
    }

    private let state = Mutex(State())

    var now: Timestamp { state.withLock { $0.now } }

    var sleeping: Int { state.withLock { $0.sleepers.count } }

    func standStill() { state.withLock { $0.turnsItself = false } }

    func advance(seconds: Double) {
        let due = state.withLock { state in
            state.now = state.now.advanced(bySeconds: seconds)
            let due = state.sleepers.filter { $0.value.until <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.sorted { ($0.value.until, $0.key) < ($1.value.until, $1.key) }.map(\.value.wake)
        }
        for wake in due { wake.resume() }
    }

    func sleep(seconds: Double) async throws {
        try Task.checkCancellation()
        if seconds <= 1, state.withLock({ $0.turnsItself }) {
            let others = sleeping
            advance(seconds: seconds)
            // Whoever was woken (a lease's renewal) acts before time goes on; bounded, since it may not sleep again.
            for _ in 0..<1000 where sleeping < others { await Task.yield() }
            return await Task.yield()
        }
        let id = state.withLock { state in
            state.last += 1
            return state.last
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { wake in
                let gone = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return true }
                    state.sleepers[id] = Sleeper(until: state.now.advanced(bySeconds: seconds), wake: wake)
                    return false
                }
                if gone { wake.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                if let sleeper = state.sleepers.removeValue(forKey: id) { return Optional(sleeper) }
                state.cancelled.insert(id)
                return nil
            }
            sleeper?.wake.resume(throwing: CancellationError())
        }
    }
}

/// A clock whose sleeps do not end while its engine is suspended.
struct SuspendableClock: EngineClock {
    let base: VirtualClock
    let fuse: Fuse

    var now: Timestamp { base.now }

    func sleep(seconds: Double) async throws {
        try await base.sleep(seconds: seconds)
        await fuse.waitWhileSuspended()
    }
}

/// Identifiers in the order in which they were asked for.
final class CountedIdentifiers: IdentifierSource {
    private let last = Mutex(0)

    func next() -> String {
        let number = last.withLock { last in
            last += 1
            return last
        }
        // The first group differs: socket names are made of it.
        let digits = String(number)
        let padded = String(repeating: "0", count: 8 - digits.count) + digits
        return "\(padded)-0000-4000-8000-000000000000"
    }
}
