import LuaHost

/// Runs a recipe that a brewer wrote: kettles are objects with methods, and opening the drain is a power.
func brew(_ recipe: String, granting powers: Set<String> = []) async throws -> [LuaValue] {
    // What scripts may do with a kettle. The handle is a type and an id; the kettle itself stays in Swift.
    let kettle = ObjectType(
        "kettle",
        methods: [
            HostFunction(
                "heat",
                .asynchronous { context, arguments in
                    guard let kettle = arguments[0].object, let degrees = arguments.dropFirst().first?.integer else {
                        throw LuaError(.argument, "\(context.function): expected the degrees", hint: "kettle:heat(66)")
                    }
                    try await context.clock.sleep(for: .milliseconds(degrees / 10))
                    return ["\(kettle.id) is at \(degrees)"]
                })
        ],
        fields: [HostFunction("litres", .synchronous { _, _ in [50] })],
        // Two tasks that heat one kettle at once are told of each other.
        isExclusive: true)

    let brewery = HostModule(
        "brewery",
        functions: [
            HostFunction(
                "kettle",
                .synchronous { _, arguments in
                    [.object(LuaObject(type: "kettle", id: arguments.first?.text ?? "large"))]
                })
        ],
        // Scripts read it as a table and cannot change it.
        constants: [(name: "degrees", value: ["mash": 66, "boil": 100])])

    // Without the grant its functions say what is missing.
    let drain = Capability(
        "drain", grant: "--allow drain",
        modules: [HostModule("drain", functions: [HostFunction("open", .synchronous { _, _ in ["empty"] })])])

    var configuration = LuaConfiguration()
    configuration.objectTypes = [kettle]
    configuration.modules = [brewery]
    configuration.capabilities = [drain]
    configuration.granted = powers
    // What a recipe may use at most; the defaults are larger.
    configuration.limits.fuel = 1_000_000
    configuration.limits.luaTime = .seconds(30)
    configuration.limits.memory = 8 << 20

    return try await LuaState(configuration).run(recipe, chunk: "recipe.lua")
}
