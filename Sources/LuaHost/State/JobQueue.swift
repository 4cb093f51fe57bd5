internal import CLuaShim
internal import Foundation
internal import Synchronization

/// Jobs for one or more threads, first in, first out.
///
/// A thread that finds nothing looks again for some microseconds before it sleeps, as long as that keeps helping: most
/// host calls are answered sooner than a sleeping thread wakes.
///
/// `@unchecked Sendable`: all but the atomics is touched only with `mutex` locked.
final class JobQueue<Job>: @unchecked Sendable {
    private static var looks: Int { 400 }
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [Job] = []
    private var head = 0
    private var sleepers = 0
    private var stopped = false
    /// Jobs that wait; and how often looking may fail before it is given up for a while.
    private let waiting = Atomic<Int>(0)
    private let patience = Atomic<Int>(4)

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func add(_ job: Job) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        waiting.store(jobs.count - head, ordering: .releasing)
        let wakes = sleepers > 0
        pthread_mutex_unlock(mutex)
        if wakes { pthread_cond_signal(condition) }
    }

    func stop() {
        pthread_mutex_lock(mutex)
        stopped = true
        waiting.store(1, ordering: .releasing)
        pthread_mutex_unlock(mutex)
        pthread_cond_broadcast(condition)
    }

    /// The next job, or nil when the queue was stopped and is empty.
    func next() -> Job? {
        if waiting.load(ordering: .acquiring) == 0 { look() }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == jobs.count, !stopped {
            sleepers += 1
            pthread_cond_wait(condition, mutex)
            sleepers -= 1
        }
        guard head < jobs.count else { return nil }
        let job = jobs[head]
        head += 1
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            head = 0
        }
        waiting.store(stopped ? 1 : jobs.count - head, ordering: .releasing)
        return job
    }

    private func look() {
        let left = patience.load(ordering: .relaxed)
        guard left > 0 else {
            // Now and then it is tried anew.
            patience.store(left < -64 ? 1 : left - 1, ordering: .relaxed)
            return
        }
        for _ in 0..<Self.looks {
            if waiting.load(ordering: .acquiring) > 0 {
                patience.store(4, ordering: .relaxed)
                return
            }
            clua_spin_hint()
        }
        patience.store(left - 1, ordering: .relaxed)
    }
}
