internal import Foundation
internal import Synchronization

/// A thread that runs the jobs of an actor: Lua needs a stack of known size and may be busy for long.
///
/// The thread starts with the first job.
public final class LuaThread: SerialExecutor {
    private let queue = JobQueue<Job>()
    private let stackSize: Int
    private let isStarted = Atomic<Bool>(false)

    /// Makes an executor.
    ///
    /// - Parameter stackSize: in bytes; 16 MiB hold the 200 nested C calls that Lua allows with room to spare.
    public init(stackSize: Int = 16 << 20) { self.stackSize = stackSize }

    deinit { queue.stop() }

    /// Queues a job; called by Swift's runtime.
    public func enqueue(_ job: consuming ExecutorJob) {
        if !isStarted.exchange(true, ordering: .relaxed) { start() }
        // Once it is queued the job may run and let this executor go: nothing of it is touched after that.
        let queue = queue
        queue.add(Job(job: UnownedJob(job), executor: self))
    }

    private func start() {
        Thread.start(named: "lua", stackSize: stackSize) { [queue] in
            while let job = queue.next() { job.run() }
        }
    }

    /// A job holds the executor, which thus outlives it even if the job lets the last actor go.
    private struct Job {
        let job: UnownedJob
        let executor: LuaThread

        func run() { job.runSynchronously(on: executor.asUnownedSerialExecutor()) }
    }
}
