internal import Foundation
internal import Synchronization

/// A thread that runs the jobs of an actor: Lua needs a stack of known size and may be busy for long.
///
/// As a task executor it also runs what tasks do between that actor's turns. All jobs are in one queue, first come, first
/// served: a task that goes from its own work to the actor and back stays on the thread, and wakes no other.
///
/// The thread starts with the first job.
public final class LuaThread: SerialExecutor, TaskExecutor {
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
        let thread = Thread { [queue] in
            while let job = queue.next() { job.run() }
        }
        thread.name = "lua"
        thread.stackSize = stackSize
        thread.start()
    }

    /// A job holds the executor, which thus outlives it even if the job lets the last actor go.
    private struct Job {
        let job: UnownedJob
        let executor: LuaThread

        /// A job of no actor counts as one of this thread's actor too, as the two never run at once: so the way from one
        /// to the other needs no queue.
        func run() {
            job.runSynchronously(
                isolatedTo: executor.asUnownedSerialExecutor(), taskExecutor: executor.asUnownedTaskExecutor())
        }
    }
}
