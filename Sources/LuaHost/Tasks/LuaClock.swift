/// The time a run goes by: what `os.time` reads and what `task.sleep` waits on.
public protocol LuaClock: Sendable {
    /// The time since 1970-01-01 00:00 UTC.
    var now: Duration { get }
    /// Returns when the duration has passed; throws `CancellationError` at once when the task is cancelled.
    func sleep(for duration: Duration) async throws
}
