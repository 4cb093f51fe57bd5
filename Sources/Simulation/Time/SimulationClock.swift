import RecoveryEngine
package import SiteModel
import Synchronization

/// Virtual time: it stands still while anything can be done, and then jumps to the next event.
///
/// Kept in microseconds, so that many short calls add up; shown in milliseconds.
package final class SimulationClock: EngineClock {
    fileprivate struct Entry {
        var due: Int64
        var number: Int
    }

    fileprivate enum Event {
        case wake(CheckedContinuation<Void, any Error>)
        case incident(@Sendable () -> Void)
    }

    fileprivate struct State {
        var now: Int64
        /// A binary heap by time, then by order of asking; an entry without an event was cancelled.
        var heap: [Entry] = []
        var events: [Int: Event] = [:]
        var cancelled: Set<Int> = []
        var sleepers = 0
        var last = 0
    }

    private let state: Mutex<State>

    package init(start: Timestamp) {
        state = Mutex(State(now: start.milliseconds * 1000))
    }

    package var now: Timestamp { state.withLock { Timestamp(milliseconds: $0.now / 1000) } }

    /// How many tasks wait for a time.
    package var sleeping: Int { state.withLock { $0.sleepers } }

    package func sleep(seconds: Double) async throws {
        try Task.checkCancellation()
        guard seconds > 0 else { return }
        let number = state.withLock { state in
            state.last += 1
            return state.last
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { wake in
                let isGone = state.withLock { state in
                    if state.cancelled.remove(number) != nil { return true }
                    state.add(number, .wake(wake), after: seconds)
                    state.sleepers += 1
                    return false
                }
                if isGone { wake.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let wake = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard case .wake(let wake)? = state.events.removeValue(forKey: number) else {
                    if number > 0 { state.cancelled.insert(number) }
                    return nil
                }
                state.sleepers -= 1
                return wake
            }
            wake?.resume(throwing: CancellationError())
        }
        // A cancellation that came as the sleep ended has left its number behind.
        state.withLock { _ = $0.cancelled.remove(number) }
    }

    /// Lets time pass, also in a task that was cancelled: what a host has begun it brings to its end.
    package func pass(seconds: Double) async {
        guard seconds > 0 else { return }
        try? await withCheckedThrowingContinuation { wake in
            state.withLock { state in
                state.last += 1
                state.add(state.last, .wake(wake), after: seconds)
                state.sleepers += 1
            }
        }
    }

    /// Runs something in the world when the time comes.
    package func schedule(after seconds: Double, _ incident: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.last += 1
            state.add(state.last, .incident(incident), after: seconds)
        }
    }

    /// Jumps to the next event and lets it happen; false when nothing waits for a time.
    ///
    /// Incidents alone do not move the time: somebody must wait for it.
    @discardableResult
    package func advance() -> Bool {
        let event = state.withLock { state -> Event? in
            guard state.sleepers > 0 else { return nil }
            while let entry = state.pop() {
                guard let event = state.events.removeValue(forKey: entry.number) else { continue }
                state.now = max(state.now, entry.due)
                if case .wake = event { state.sleepers -= 1 }
                return event
            }
            return nil
        }
        switch event {
        case .wake(let wake): wake.resume()
        case .incident(let incident): incident()
        case nil: return false
        }
        return true
    }
}

extension SimulationClock.State {
    fileprivate mutating func add(_ number: Int, _ event: SimulationClock.Event, after seconds: Double) {
        events[number] = event
        let wait = (max(0, seconds) * 1_000_000).rounded(.up)
        let due = wait < 4e18 ? now.addingReportingOverflow(Int64(wait)) : (.max, true)
        heap.append(.init(due: due.1 ? .max : due.0, number: number))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    fileprivate mutating func pop() -> SimulationClock.Entry? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if precedes(heap[child], heap[least]) { least = child }
            }
            guard least != parent else { return first }
            heap.swapAt(least, parent)
            parent = least
        }
    }

    private func precedes(_ a: SimulationClock.Entry, _ b: SimulationClock.Entry) -> Bool {
        (a.due, a.number) < (b.due, b.number)
    }
}
