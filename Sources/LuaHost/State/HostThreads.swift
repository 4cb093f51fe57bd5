internal import Foundation

/// The threads on which asynchronous host functions start, shared by all states: as many as there are cores, at least 2.
///
/// They differ from Swift's own in that they wake quickly. Bodies must not block them, as everywhere in Swift's tasks.
final class HostThreads: TaskExecutor {
    static let shared = HostThreads()
    private let queue = JobQueue<UnownedJob>()

    private init() {
        for _ in 0..<max(2, ProcessInfo.processInfo.activeProcessorCount) {
            Thread.start(named: "lua-host", stackSize: 1 << 20) { [queue, self] in
                while let job = queue.next() { job.runSynchronously(on: asUnownedTaskExecutor()) }
            }
        }
    }

    /// Queues a job; called by Swift's runtime.
    func enqueue(_ job: consuming ExecutorJob) { queue.add(UnownedJob(job)) }
}

extension Thread {
    static func start(named name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.name = name
        thread.stackSize = stackSize
        thread.start()
    }
}
