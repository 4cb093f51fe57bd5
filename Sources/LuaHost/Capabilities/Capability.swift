/// A power over the world outside the script, which the host grants to a run by name.
///
/// Its functions exist whether it is granted or not, so that a script is told what is missing and not that a name is
/// misspelt: without the grant each of them raises an error of kind ``LuaError/Kind/notGranted``. A function that needs a
/// capability only for some of what it does asks with ``CallContext/require(_:)``.
///
///     configuration.capabilities = [Capability("exec", grant: "--grant exec", globals: [exec])]
///     configuration.granted = ["exec"]
public struct Capability: Sendable {
    /// The name that grants and errors use.
    public let name: String
    /// What grants it, as whoever starts the script would write it, such as `--grant exec`.
    public let grant: String
    /// Modules that work only with the grant; their constants are there in any case.
    public let modules: [HostModule]
    /// Functions that are globals of their own and work only with the grant.
    public let globals: [HostFunction]

    /// Declares a capability.
    public init(_ name: String, grant: String, modules: [HostModule] = [], globals: [HostFunction] = []) {
        self.name = name
        self.grant = grant
        self.modules = modules
        self.globals = globals
    }

    /// The error of a call that needs it and may not: it names the capability and what grants it.
    public func refusal(of function: String) -> LuaError {
        LuaError(
            .notGranted, "\(function): '\(name)' is not granted to this run", hint: "run it with \(grant)")
    }

    /// The function as scripts find it without the grant.
    private func refusing(_ function: HostFunction) -> HostFunction {
        HostFunction(function.name, .synchronous { context, _ in throw refusal(of: context.function) })
    }

    /// The modules as scripts find them without the grant.
    var refusingModules: [HostModule] {
        modules.map { module in
            HostModule(
                module.name, functions: module.functions.map(refusing), constants: module.constants,
                isGlobal: module.isGlobal)
        }
    }

    /// The globals as scripts find them without the grant.
    var refusingGlobals: [HostFunction] { globals.map(refusing) }
}

extension LuaError.Kind {
    /// The run was not granted a ``Capability`` that it asks for.
    public static let notGranted: LuaError.Kind = "not-granted"
}

extension CallContext {
    /// Refuses the call unless the run was granted the capability.
    ///
    /// - Throws: ``LuaError`` of kind ``LuaError/Kind/notGranted``. A name that the host does not declare is granted to nobody.
    public func require(_ capability: String) throws(LuaError) {
        guard let declared = shared.capabilities[capability] else {
            throw LuaError(
                .notGranted, "\(function): '\(capability)' is not granted to this run",
                hint: "this host has no capability of that name")
        }
        if !declared.isGranted { throw declared.capability.refusal(of: function) }
    }
}

extension LuaConfiguration {
    /// All modules, those of capabilities as the grants have them.
    var offeredModules: [HostModule] {
        modules + capabilities.flatMap { granted.contains($0.name) ? $0.modules : $0.refusingModules }
    }

    /// All functions that are globals, those of capabilities as the grants have them.
    var offeredGlobals: [HostFunction] {
        globals + capabilities.flatMap { granted.contains($0.name) ? $0.globals : $0.refusingGlobals }
    }

    /// The capabilities by name, and which of them are granted.
    var capabilitiesByName: [String: (capability: Capability, isGranted: Bool)] {
        Dictionary(
            capabilities.map { ($0.name, ($0, granted.contains($0.name))) }, uniquingKeysWith: { first, _ in first })
    }

    /// Refuses grants of what no capability is named: a misspelt grant must not pass for one that was left out.
    func checkGrants() throws(LuaError) {
        let known = capabilities.map(\.name).sorted()
        for name in granted.sorted() where !known.contains(name) {
            throw LuaError(
                .notGranted, "there is no capability '\(name)' to grant",
                hint: known.isEmpty ? "this host has none" : "this host has: \(known.joined(separator: ", "))")
        }
    }
}
