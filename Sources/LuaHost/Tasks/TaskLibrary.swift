/// The parts of `task` that are plain host functions; the scopes are in the shim's scope.c and in Scheduler.
enum TaskLibrary {
    /// What scripts call; the scheduler does the waiting, see Timers.
    static let sleep = HostFunction("sleep", .asynchronous { _, _ in [] })
}
