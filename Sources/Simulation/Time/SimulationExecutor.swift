internal import Foundation
import Synchronization

/// One thread that runs all the work of a simulated world in a fixed order, Lua's too, and moves the time when none is left.
///
/// Work that waits for anything outside the world would come back in an order that no seed decides; it is noticed, because
/// it comes back on another thread.
///
/// `@unchecked Sendable`: `queue` and the flags are touched only with `condition` locked.
package final class SimulationExecutor: TaskExecutor, SerialExecutor, @unchecked Sendable {
    /// How ready work is chosen.
    package enum Order: Sendable {
        /// First come, first served.
        case arrival
        /// Any, as this seed says: other interleavings of the same run.
        case shuffled(seed: UInt64)
    }

    private let clock: SimulationClock
    private let condition = NSCondition()
    private var queue: [UnownedJob] = []
    private var head = 0
    private var chance: SplitMix?
    private var thread: pthread_t?
    private var isOpen = false
    private var outsideWakes = 0
    private var jobsRun = 0

    package init(clock: SimulationClock, order: Order = .arrival) {
        self.clock = clock
        if case .shuffled(let seed) = order { chance = SplitMix(seed: seed) }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.lock()
        queue.append(job)
        let isOutside = thread.map { pthread_equal($0, pthread_self()) == 0 } ?? true
        if isOutside {
            outsideWakes += 1
            condition.signal()
        }
        condition.unlock()
    }

    /// Runs a body and all that it starts, in virtual time, until the body has ended.
    ///
    /// - Throws: what the body throws; `SimulationError.stuck` when it waits for what will never come, and
    ///   `.outside` when it waited for something that is no part of the simulation.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let outcome = Outcome<Result>()
        return try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { [self] in continuation.resume(with: drain(outcome, body)) }
            thread.name = "simulation"
            thread.stackSize = 64 << 20
            thread.start()
        }
    }

    private func drain<Result: Sendable>(
        _ outcome: Outcome<Result>, _ body: @escaping @Sendable () async throws -> Result
    ) -> Swift.Result<Result, any Error> {
        condition.lock()
        let isBusy = thread != nil
        if !isBusy { thread = pthread_self() }
        let wakesBefore = outsideWakes
        condition.unlock()
        if isBusy { return .failure(SimulationError.alreadyRuns) }
        defer {
            condition.lock()
            thread = nil
            condition.unlock()
        }
        Task(executorPreference: self) {
            do { outcome.settle(.success(try await body())) } catch { outcome.settle(.failure(error)) }
        }
        while !outcome.isSettled {
            if runNext() || clock.advance() || waitsForOutside() { continue }
            return .failure(SimulationError.stuck)
        }
        // What was ended with the body (renewals of leases, watches) comes to its end at this instant.
        while runNext() {}
        condition.lock()
        let wakes = outsideWakes - wakesBefore
        condition.unlock()
        if wakes > 0, case .success? = outcome.value { return .failure(SimulationError.outside(wakes)) }
        return outcome.value ?? .failure(SimulationError.stuck)
    }

    /// Nothing can be done and no time is waited for: gives what runs outside a moment, so that it can be named.
    private func waitsForOutside() -> Bool {
        condition.lock()
        defer { condition.unlock() }
        if head == queue.count { _ = condition.wait(until: Date(timeIntervalSinceNow: 2)) }
        return head < queue.count
    }

    private func runNext() -> Bool {
        condition.lock()
        guard head < queue.count else {
            condition.unlock()
            return false
        }
        if chance != nil {
            let other = head + Int(chance?.next(below: UInt64(queue.count - head)) ?? 0)
            queue.swapAt(head, other)
        }
        let job = queue[head]
        head += 1
        if head == queue.count {
            queue.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 4096 {
            queue.removeFirst(head)
            head = 0
        }
        jobsRun += 1
        condition.unlock()
        job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        return true
    }

    // MARK: Beside work of other threads

    /// Serves the world from a thread of its own until `close`, for a program that has threads too.
    ///
    /// Time moves when nothing has come for `grace` seconds of real time and somebody waits for it. Runs are then repeatable
    /// as far as what waits outside is.
    package func open(grace: Double = 0.001) {
        condition.lock()
        defer { condition.unlock() }
        guard !isOpen else { return }
        isOpen = true
        let thread = Thread { [self] in serve(grace) }
        thread.name = "simulation"
        thread.stackSize = 64 << 20
        thread.start()
    }

    package func close() {
        condition.lock()
        isOpen = false
        condition.broadcast()
        condition.unlock()
    }

    private func serve(_ grace: Double) {
        condition.lock()
        thread = pthread_self()
        condition.unlock()
        while true {
            while runNext() {}
            condition.lock()
            if !isOpen {
                thread = nil
                condition.unlock()
                return
            }
            let isIdle = head == queue.count
            let cameInTime = isIdle ? condition.wait(until: Date(timeIntervalSinceNow: grace)) : true
            condition.unlock()
            if !cameInTime { clock.advance() }
        }
    }
}

/// The first outcome of a body.
private final class Outcome<Success: Sendable>: Sendable {
    private let state = Mutex<Result<Success, any Error>?>(nil)

    var value: Result<Success, any Error>? { state.withLock { $0 } }
    var isSettled: Bool { state.withLock { $0 != nil } }

    func settle(_ result: Result<Success, any Error>) { state.withLock { $0 = result } }
}
