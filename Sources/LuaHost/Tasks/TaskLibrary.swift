/// The parts of `task` that are plain host functions; the scopes are in the shim's scope.c and in Scheduler.
enum TaskLibrary {
    static let sleep = HostFunction(
        "sleep",
        .asynchronous { context, arguments in
            let duration = try LuaDuration.parse(arguments.first ?? .nil, for: "task.sleep: the duration")
            try await context.clock.sleep(for: duration)
            return []
        })
}
