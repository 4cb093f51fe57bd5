import LuaHost

/// Weighs letters by a rule that the user of the program wrote in Lua.
func weigh(_ letters: [String], rule: String) async throws -> [LuaValue] {
    let scale = HostModule(
        "scale",
        functions: [
            // Returns at once.
            HostFunction(
                "weight",
                .synchronous { _, arguments in
                    guard let letter = arguments.first?.text else {
                        throw LuaError(
                            "argument", "scale.weight: expected the letter as a string", hint: "scale.weight(\"a\")")
                    }
                    return [LuaValue(letter.utf8.count * 10)]
                }),
            // Waits without holding a thread; the script reads on when the result is there.
            HostFunction(
                "print_label",
                .asynchronous { context, arguments in
                    try await context.clock.sleep(for: .milliseconds(5))
                    return [LuaValue("label for \(arguments.first?.text ?? "nobody")")]
                }),
        ],
        constants: [(name: "limit", value: 20)])

    var configuration = LuaConfiguration()
    configuration.modules = [scale]
    configuration.limits.fuel = 10_000_000
    configuration.limits.memory = 16 << 20

    let state = try LuaState(configuration)
    return try await state.run(rule, chunk: "rule.lua", arguments: [.list(letters.map { LuaValue($0) })])
}
