package import LuaHost

/// A function that scripts may call, said once.
///
/// From the one declaration come the checks of its arguments, `help()`, completion, the reference, editor types and
/// luacheck's globals.
package struct FunctionDeclaration: Sendable {
    package let name: String
    /// One or two present-tense sentences.
    package let doc: String
    /// Arguments given by position, in order.
    package let positional: [Parameter]
    /// Arguments given in one table by name, after the positional ones.
    package let named: [Parameter]
    /// The one argument of the function's other form, in which it looks up what exists and changes nothing.
    package let lookup: Parameter?
    package let results: [ResultDeclaration]
    package let errors: [ErrorDeclaration]
    package let effect: Effect
    /// What becomes of a call that was begun when its process died.
    package let repetition: Repetition
    /// The version that brought it.
    package let since: String
    /// Lua that runs in ``situation``; the tests do it.
    package let example: String
    /// How things stand where the example makes sense.
    package let situation: Situation
    package let body: Body

    /// How the function is carried out.
    package enum Body: Sendable {
        /// At once; other tasks of the script wait meanwhile.
        case immediate(@Sendable (Call) throws -> [LuaValue])
        /// While the calling Lua task is suspended and other tasks go on.
        case waiting(@Sendable (Call) async throws -> [LuaValue])
        /// By the Lua host itself: declared here for the documents alone.
        case host
    }

    package init(
        _ name: String, _ doc: String, positional: [Parameter] = [], named: [Parameter] = [], lookup: Parameter? = nil,
        results: [ResultDeclaration] = [], errors: [ErrorDeclaration] = [], effect: Effect,
        ifCutOff repetition: Repetition = .same,
        since: String = "0.1", example: String, in situation: Situation = .protected, _ body: Body
    ) {
        self.name = name
        self.doc = doc
        self.positional = positional
        self.named = named
        self.lookup = lookup
        self.results = results
        self.errors = errors
        self.effect = effect
        self.repetition = repetition
        self.since = since
        self.example = example
        self.situation = situation
        self.body = body
    }
}

/// What a call does to the world: shown in help and reference.
package enum Effect: String, Sendable {
    /// Nothing outside the script.
    case none = "none"
    case reads
    case changes
    case cannotBeUndone = "cannot be undone"
}

/// One value that a function returns.
package struct ResultDeclaration: Sendable {
    package let name: String
    package let type: ValueType
    package let doc: String
    package let isOptional: Bool
    /// What its figure counts.
    package let unit: Unit?

    package init(_ name: String, _ type: ValueType, _ doc: String, unit: Unit? = nil, optional: Bool = false) {
        self.name = name
        self.type = type
        self.doc = doc
        self.unit = unit
        self.isOptional = optional
    }
}

/// A kind of error that a caller may want to handle.
package struct ErrorDeclaration: Sendable {
    /// `e.kind`.
    package let kind: String
    package let when: String

    package init(_ kind: String, _ when: String) {
        self.kind = kind
        self.when = when
    }
}

/// A field of an object, read from the vault or the site each time.
package struct FieldDeclaration: Sendable {
    package let name: String
    package let type: ValueType
    package let doc: String
    package let isOptional: Bool
    /// What its figure counts.
    package let unit: Unit?
    package let body: FunctionDeclaration.Body

    package init(
        _ name: String, _ type: ValueType, _ doc: String, unit: Unit? = nil, optional: Bool = false,
        _ body: FunctionDeclaration.Body
    ) {
        self.name = name
        self.type = type
        self.doc = doc
        self.unit = unit
        self.isOptional = optional
        self.body = body
    }
}

/// A type of object: its fields and methods.
package struct TypeDeclaration: Sendable {
    package let name: String
    package let doc: String
    package let fields: [FieldDeclaration]
    package let methods: [FunctionDeclaration]

    package init(_ name: String, _ doc: String, fields: [FieldDeclaration], methods: [FunctionDeclaration]) {
        self.name = name
        self.doc = doc
        self.fields = fields
        self.methods = methods
    }
}

/// A plain table that functions take or return.
package struct RecordDeclaration: Sendable {
    package let name: String
    package let doc: String
    package let fields: [ResultDeclaration]

    package init(_ name: String, _ doc: String, fields: [ResultDeclaration]) {
        self.name = name
        self.doc = doc
        self.fields = fields
    }
}

/// A global table of functions.
package struct ModuleDeclaration: Sendable {
    package let name: String
    package let doc: String
    /// The power that a run must have been granted; nil when every run has it.
    package let power: Power?
    package let functions: [FunctionDeclaration]

    package init(_ name: String, _ doc: String, power: Power? = nil, functions: [FunctionDeclaration]) {
        self.name = name
        self.doc = doc
        self.power = power
        self.functions = functions
    }
}
