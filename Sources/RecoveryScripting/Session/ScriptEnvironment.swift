import LuaHost
import RecoveryEngine

/// Builds the Lua host's configuration from the API's declarations.
enum ScriptEnvironment {
    static func configuration(
        _ context: ScriptContext, _ options: ScriptOptions, output: @escaping @Sendable (String) -> Void
    ) -> LuaConfiguration {
        var configuration = LuaConfiguration()
        configuration.modules = LuaAPI.modules.filter { $0.power == nil }.compactMap(\.hostModule)
        configuration.objectTypes = LuaAPI.types.map(\.objectType)
        configuration.globals = LuaAPI.plainGlobals.compactMap { $0.hostFunction(isMethod: false) }
        configuration.capabilities = Power.allCases.map(\.capability)
        configuration.granted = Set(options.grants.map(\.rawValue))
        configuration.limits = options.limits
        let clock = EngineLuaClock(clock: context.engine.dependencies.clock)
        configuration.clock = clock
        if let keeper = context.keeper {
            configuration.clock = RunClock(clock: clock, keeper: keeper)
            configuration.time = { keeper.readTime() }
            configuration.deliveryOrder = keeper
            configuration.onUncaught = { await keeper.resolution(of: $0, in: $1) }
        }
        // An engine that is kept to one executor, as a simulated one is, keeps its scripts there too.
        // Not the thread of Lua: what the engine computes for one VM must not hold up what the script does for another.
        configuration.hostExecutor = context.engine.dependencies.executor ?? globalConcurrentExecutor
        configuration.executor = context.engine.dependencies.executor as? any SerialExecutor
        configuration.seed = seed(of: context.run)
        configuration.resolver = FileModuleResolver(searching: options.moduleFolders)
        configuration.print = output
        configuration.userData = context
        return configuration
    }

    /// A seed that the run's id determines, so that a repeated run draws the same numbers (FNV-1a).
    private static func seed(of run: String) -> UInt64 {
        run.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
