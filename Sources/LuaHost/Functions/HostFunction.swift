/// A function of the host that scripts may call.
public struct HostFunction: Sendable {
    /// How the function runs.
    public enum Body: Sendable {
        /// Runs at once on the Lua thread; it should be quick, as no other task of the run goes on meanwhile.
        case synchronous(@Sendable (CallContext, [LuaValue]) throws -> [LuaValue])
        /// Runs at once on the Lua thread, reads its arguments where they are and writes its results without arrays
        /// between: for small functions that are called often. A call with numbers takes some tens of nanoseconds.
        case direct(@Sendable (borrowing ArgumentReader, inout ResultWriter) throws(LuaError) -> Void)
        /// Suspends the calling Lua task until it returns; other tasks of the run go on. It must heed task cancellation.
        ///
        /// It runs on the Lua thread until its first wait and whenever it goes on, unless
        /// ``LuaConfiguration/hostExecutor`` says otherwise: it should wait rather than block or compute for long.
        case asynchronous(@Sendable (CallContext, [LuaValue]) async throws -> [LuaValue])
    }

    /// The name within its module or object type: a Lua identifier.
    public let name: String
    /// What it does.
    public let body: Body

    /// Makes a function.
    ///
    /// An error that is not a ``LuaError`` reaches the script with kind ``LuaError/Kind/host``.
    ///
    /// As a method it receives the object as its first argument, whose type has been checked.
    public init(_ name: String, _ body: Body) {
        self.name = name
        self.body = body
    }
}

/// A group of functions and constants that scripts see as one frozen table.
public struct HostModule: Sendable {
    /// The name of the global, and of `require`.
    public let name: String
    /// Its functions.
    public let functions: [HostFunction]
    /// Its constants: plain values that scripts read as fields, in order.
    ///
    /// Tables among them, and tables within those, cannot be changed by scripts; otherwise they read as tables do. Passed to
    /// a host function they arrive as ``LuaTable``.
    public let constants: [(name: String, value: LuaValue)]
    /// Whether the module is a global; otherwise only `require` finds it.
    public let isGlobal: Bool

    /// Makes a module.
    ///
    /// Two modules of one name are a programmer's mistake.
    public init(
        _ name: String, functions: [HostFunction], constants: [(name: String, value: LuaValue)] = [],
        isGlobal: Bool = true
    ) {
        self.name = name
        self.functions = functions
        self.constants = constants
        self.isGlobal = isGlobal
    }
}

/// A type of host object: what scripts may do with a ``LuaObject`` of that name.
///
/// In Lua an object is a locked userdata: unknown fields raise with the nearest name, fields cannot be set, `==` holds
/// for handles with the same id, and `tostring` gives `type<id>` or what `describe` says.
public struct ObjectType: Sendable {
    /// The name, such as `"vm"`; also what `getmetatable` answers.
    public let name: String
    /// Methods, called as `object:name(...)`.
    public let methods: [HostFunction]
    /// Computed fields, read as `object.name`: each receives the object as its only argument and returns one value.
    public let fields: [HostFunction]
    /// The text for `tostring`; quick, as it cannot wait.
    public let describe: (@Sendable (CallContext, LuaObject) throws -> String)?
    /// Whether an object serves one call at a time.
    ///
    /// While an asynchronous method of it waits, others of its methods are refused with an error of kind
    /// ``LuaError/Kind/busy`` that names both places in the script. Direct methods and fields are not.
    public let isExclusive: Bool

    /// Makes a type.
    ///
    /// A field and a method of one name are a programmer's mistake.
    public init(
        _ name: String, methods: [HostFunction] = [], fields: [HostFunction] = [], isExclusive: Bool = false,
        describe: (@Sendable (CallContext, LuaObject) throws -> String)? = nil
    ) {
        self.name = name
        self.methods = methods
        self.fields = fields
        self.isExclusive = isExclusive
        self.describe = describe
    }
}
