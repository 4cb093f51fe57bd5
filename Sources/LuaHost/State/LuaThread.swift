internal import Foundation

/// A thread that runs the jobs of an actor: Lua needs a stack of known size and may be busy for long.
///
/// `@unchecked Sendable`: all state is in `Queue`, behind its condition.
public final class LuaThread: SerialExecutor, @unchecked Sendable {
    private let queue = Queue()

    /// Starts a thread.
    ///
    /// - Parameter stackSize: in bytes; 16 MiB hold the 200 nested C calls that Lua allows with room to spare.
    public init(stackSize: Int = 16 << 20) {
        let thread = Thread { [queue] in
            while let job = queue.next() { job.run() }
        }
        thread.stackSize = stackSize
        thread.start()
    }

    deinit { queue.stop() }

    /// Queues a job; called by Swift's runtime.
    public func enqueue(_ job: consuming ExecutorJob) {
        queue.add(Job(job: UnownedJob(job), executor: self))
    }

    /// A job holds the executor, which thus outlives it even if the job lets the last actor go.
    private struct Job {
        let job: UnownedJob
        let executor: LuaThread

        func run() { job.runSynchronously(on: executor.asUnownedSerialExecutor()) }
    }

    /// `@unchecked Sendable`: `jobs` and `stopped` are touched only with `condition` locked.
    private final class Queue: @unchecked Sendable {
        private let condition = NSCondition()
        private var jobs: [Job] = []
        private var head = 0
        private var stopped = false

        func add(_ job: Job) {
            condition.lock()
            jobs.append(job)
            condition.signal()
            condition.unlock()
        }

        func stop() {
            condition.lock()
            stopped = true
            condition.signal()
            condition.unlock()
        }

        func next() -> Job? {
            condition.lock()
            defer { condition.unlock() }
            while head == jobs.count, !stopped { condition.wait() }
            guard head < jobs.count else { return nil }
            let job = jobs[head]
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: true)
                head = 0
            }
            return job
        }
    }
}
