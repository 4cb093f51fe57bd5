/// What a ``LuaState`` offers to scripts, and the limits it holds them to.
public struct LuaConfiguration: Sendable {
    /// How much a run may use before it is ended for certain.
    public struct Limits: Sendable {
        /// Lua instructions for one run or evaluation; nil for no limit.
        ///
        /// The verdict is the same on every machine. A host call counts as 50 instructions, a wait as 1,000.
        public var fuel: UInt64? = 10_000_000_000
        /// Time spent running Lua, waits not counted, for one run or evaluation; nil for no limit.
        public var luaTime: Duration? = .seconds(60)
        /// Bytes held by the Lua state after collecting garbage.
        public var memory: Int = 256 << 20
        /// How deeply tables may be nested in an argument or a result.
        public var depth: Int = 64
        /// How many bytes the arguments or results of one call may take in flat form.
        public var argumentBytes: Int = 64 << 20
        /// How many bytes one chunk of source text may have.
        public var sourceBytes: Int = 16 << 20
        /// Lua instructions that the `<close>` handlers of a run or task may take that is being ended.
        public var closingFuel: UInt64 = 1_000_000
        /// Time that these handlers may take.
        public var closingTime: Duration = .seconds(1)
        /// How many Lua tasks may exist at once.
        public var tasks: Int = 100_000

        /// Makes the default limits.
        public init() {}
    }

    /// Modules, in addition to Lua's own and `task`.
    public var modules: [HostModule] = []
    /// Types of object that host functions may return.
    public var objectTypes: [ObjectType] = []
    /// Plain functions that are globals of their own, such as `help`.
    public var globals: [HostFunction] = []
    /// Powers whose functions work only for runs that were granted them.
    public var capabilities: [Capability] = []
    /// The names of the capabilities that this run is granted.
    public var granted: Set<String> = []
    /// What the run may use.
    public var limits = Limits()
    /// The clock; tests turn a ``VirtualClock`` by hand.
    public var clock: any LuaClock = SystemLuaClock()
    /// What `os.time`, `os.date` and `os.clock` read, each time; nil for ``clock``.
    ///
    /// It is called on the Lua thread, and for one script in one order of deliveries always in the same places: a journal can
    /// keep what it returned, and return it again.
    public var time: (@Sendable () -> Duration)?
    /// The seed of `math.random`.
    public var seed: UInt64 = 0
    /// Finds the text of a module for `require`; nil means there are only host modules.
    public var resolver: (any ModuleResolver)?
    /// Receives each printed line, without the line end, on the Lua thread.
    public var print: @Sendable (String) -> Void = { Swift.print($0) }
    /// Handed to host functions through ``CallContext/userData(as:)``.
    public var userData: (any Sendable)?
    /// Is told in which order tasks go on whose waits are over, and may dictate it.
    public var deliveryOrder: (any DeliveryOrder)?
    /// Asked what to do about an error of a host function that nothing in the script would catch.
    ///
    /// That is before anything unwinds: the call is still open, other tasks go on. Nil lets such errors fail the run. It is
    /// cancelled with the task that made the call.
    public var onUncaught: (@Sendable (LuaError, CallContext) async -> Resolution)?
    /// Where Lua runs; nil for a thread of the state's own with a stack of 16 MiB.
    ///
    /// Its threads need a stack of 2 MiB at least, besides what host functions take; with less than 6 MiB coroutines can be
    /// nested about half as deep.
    public var executor: (any SerialExecutor)?
    /// Where asynchronous host functions run between their waits; nil for ``executor``, if it runs tasks too.
    ///
    /// By default that is the thread of Lua, while no Lua task runs: a call that waits then wakes no thread but that one.
    /// What a body computes meanwhile holds Lua up, and Lua holds the body up; bodies that compute for long want
    /// threads of their own, such as `globalConcurrentExecutor`. So do bodies that call an actor which several states
    /// share, unless it has an executor of its own: its jobs wait while the Lua of the state that called it computes.
    public var hostExecutor: (any TaskExecutor)?

    /// Makes a configuration with no host functions.
    public init() {}
}

/// What becomes of a host call whose error nothing in the script would catch.
public enum Resolution: Hashable, Sendable {
    /// The error is raised.
    case fail
    /// The call is made again, with the same arguments.
    case retry
    /// The call returns the value.
    case value(LuaValue)
}
