/// What went wrong in a script or in a host function that it called.
///
/// A host function throws one to raise a Lua error object with these fields; an error that leaves a script arrives as
/// one. Tests and scripts decide on ``kind``, never on the text.
public struct LuaError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A stable word for a kind of error, such as `"argument"`; the host may add its own.
    public struct Kind: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The word that scripts see as `e.kind`.
        public let rawValue: String
        /// Makes a kind of its word.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// Makes a kind of its word.
        public init(stringLiteral value: String) { rawValue = value }
        /// The word.
        public var description: String { rawValue }

        /// Raised by the script itself: `error(...)`, `assert`, or a run-time error of the language.
        public static let script: Kind = "script"
        /// The source text is not Lua.
        public static let syntax: Kind = "syntax"
        /// A function was called with an argument it cannot take.
        public static let argument: Kind = "argument"
        /// A global, field, method or module of that name does not exist.
        public static let undefined: Kind = "undefined"
        /// The instruction budget is used up; a script cannot catch it.
        public static let fuel: Kind = "fuel"
        /// The time budget for running Lua is used up; a script cannot catch it.
        public static let deadline: Kind = "deadline"
        /// The memory budget is used up; a script cannot catch it.
        public static let memory: Kind = "memory"
        /// The run or the task was cancelled; the task that was cancelled cannot catch it.
        public static let cancelled: Kind = "cancelled"
        /// `task.timeout` ended before its function did.
        public static let timeout: Kind = "timeout"
        /// A value is larger than a limit allows.
        public static let size: Kind = "size"
        /// A table with two or more keys that have no order was traversed.
        public static let unorderedKeys: Kind = "unordered-keys"
        /// An object that serves one call at a time has one; see ``ObjectType/isExclusive``.
        public static let busy: Kind = "busy"
        /// A host function failed with an error of its own.
        public static let host: Kind = "host"
    }

    /// What kind of error it is.
    public var kind: Kind
    /// One sentence on what went wrong, without position.
    public var message: String
    /// What to do about it.
    public var hint: String?
    /// The id of the rule that refused, where a rule did.
    public var rule: String?
    /// The object the error is about.
    public var object: LuaObject?
    /// The line of the call that failed; filled in when a host function throws without one.
    public var `where`: SourcePosition?
    /// Whether the same call may succeed if it is made again.
    public var retryable: Bool
    /// The stack of the script when nothing caught the error, one frame a line; host frames folded.
    public var traceback: String?
    /// The value the script raised, when it was a table or other data of its own; or what a host function put there,
    /// which the script sees as field `value`.
    public var value: LuaValue?
    /// What close handlers raised while this error ended tasks, at most 8; scripts see it as field `suppressed`.
    ///
    /// They are those of the task itself when it was being ended (a budget, a cancellation), and of the siblings that
    /// were cancelled when a branch of a scope failed.
    public var suppressed: [LuaError] = []
    private var causeStorage: [LuaError]

    /// The error that led to this one.
    public var cause: LuaError? {
        get { causeStorage.first }
        set { causeStorage = newValue.map { [$0] } ?? [] }
    }

    /// Makes an error.
    public init(
        _ kind: Kind, _ message: String, hint: String? = nil, rule: String? = nil, object: LuaObject? = nil,
        where position: SourcePosition? = nil, retryable: Bool = false, cause: LuaError? = nil
    ) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.rule = rule
        self.object = object
        self.where = position
        self.retryable = retryable
        causeStorage = cause.map { [$0] } ?? []
    }

    /// One line: position, message, rule and hint, and what close handlers raised meanwhile.
    public var description: String {
        var line = `where`.map { "\($0): " } ?? ""
        line += message
        if let rule { line += " [\(rule)]" }
        if let hint { line += " (\(hint))" }
        if !suppressed.isEmpty {
            line += "; raised while closing: " + suppressed.map(\.description).joined(separator: "; ")
        }
        return line
    }
}

/// A place in a script.
public struct SourcePosition: Hashable, Sendable, CustomStringConvertible {
    /// The chunk's name: a path for files, a label such as `repl` for other text.
    public let chunk: String
    /// The line, from 1.
    public let line: Int

    /// Makes a position.
    public init(chunk: String, line: Int) {
        self.chunk = chunk
        self.line = line
    }

    /// The form editors understand, such as `dr.lua:14`.
    public var description: String { "\(chunk):\(line)" }
}
