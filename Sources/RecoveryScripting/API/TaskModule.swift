/// `task`, several things at once: carried out by the Lua host, declared here for the documents.
enum TaskModule {
    static let module = ModuleDeclaration(
        "task",
        "Several things at once. A call that waits suspends its task; others go on. A scope ends when its tasks have.",
        functions: [all, map, race, sleep, timeout, scope, spawn])

    private static let cancelled = ErrorDeclaration("cancelled", "the task was cancelled while it waited")

    static let all = FunctionDeclaration(
        "all", "Runs functions side by side and returns their results in order; the first error cancels the others.",
        positional: [.required("functions", .list(.function), "what to run")],
        results: [ResultDeclaration("results", .list(.any), "what each returned")], errors: [cancelled], effect: .none,
        example: "local both = task.all { function() return 1 end, function() return 2 end }", .host)

    static let map = FunctionDeclaration(
        "map", "Calls a function for each element of a list, several at once, and returns the results in order.",
        positional: [
            .required("list", .list(.any), "the elements"),
            .optional("options", .map(.any), "{limit=} how many run at once", otherwise: "all of them"),
            .required("fn", .function, "called with element and index"),
        ],
        results: [ResultDeclaration("results", .list(.any), "what each call returned")], errors: [cancelled],
        effect: .none, example: "task.map({ \"a\", \"b\" }, { limit = 2 }, function(name) print(name) end)", .host)

    static let race = FunctionDeclaration(
        "race", "Runs functions side by side, returns the result of the first that ends, and cancels the others.",
        positional: [.required("functions", .list(.function), "what to run")],
        results: [ResultDeclaration("result", .any, "what the first returned", optional: true)], errors: [cancelled],
        effect: .none, example: "task.race { function() task.sleep(\"1s\") end, function() return true end }", .host)

    static let sleep = FunctionDeclaration(
        "sleep", "Waits.", positional: [.required("duration", .duration, "how long")], errors: [cancelled],
        effect: .none, example: "task.sleep(\"500ms\")", .host)

    static let timeout = FunctionDeclaration(
        "timeout", "Calls a function and ends it when it takes longer.",
        positional: [.required("duration", .duration, "how long"), .required("fn", .function, "what to call")],
        results: [ResultDeclaration("result", .any, "what the function returned", optional: true)],
        errors: [ErrorDeclaration("timeout", "the function took longer"), cancelled], effect: .none,
        example: "task.timeout(\"5s\", function() task.sleep(\"1s\") end)", .host)

    static let scope = FunctionDeclaration(
        "scope", "Calls a function, and returns its results when every task that it spawned has ended.",
        positional: [.required("fn", .function, "what to call")],
        results: [ResultDeclaration("result", .any, "what the function returned", optional: true)],
        errors: [cancelled], effect: .none,
        example: "task.scope(function() task.spawn(task.sleep, \"10ms\") end)", .host)

    static let spawn = FunctionDeclaration(
        "spawn", "Starts a function beside the caller; the scope that it is started in waits for it.",
        positional: [
            .required("fn", .function, "what to run"),
            .optional("...", .any, "what it is called with", otherwise: "nothing"),
        ],
        results: [ResultDeclaration("task", .record("spawned"), "the task")], errors: [cancelled], effect: .none,
        example: """
            task.scope(function()
              local sum = task.spawn(function(a, b) return a + b end, 1, 2)
              assert(sum:wait() == 3)
            end)
            """, .host)

    static let spawned = RecordDeclaration(
        "spawned", "A task that `task.spawn` started.",
        fields: [
            ResultDeclaration("wait", .function, "a method: waits for its end, returns its results or raises its error")
        ])
}
