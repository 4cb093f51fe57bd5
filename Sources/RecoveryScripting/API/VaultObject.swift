import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `vault`: the record of what exists and what was done.
enum VaultObject {
    static let type = TypeDeclaration(
        "vault",
        "The record of what exists and what was done. Methods that take a table make the vault say what it says.",
        fields: [],
        methods: [
            host, server, PolicyOptions.make, ClusterObject.make, hosts, servers, policies, ClusterObject.list, items,
            relationships, replicated, events, VaultRecords.jobs, VaultRecords.settings,
            VaultRecords.registrationKey, VaultRecords.registrationKeys, VaultRecords.revokeKey,
            VaultPlans.plan, VaultPlans.plans, VaultPlans.importPlan, HealthMethods.ofVault,
        ] + GroupPointFunctions.methods + AlertFunctions.methods + [AskFunction.questions, AskFunction.answer])

    private static let unknown = ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest")

    static let host = FunctionDeclaration(
        "host",
        "Registers a hypervisor with the agent beside it (needs --grant hosts), or looks one up by name.",
        named: [
            .required("name", .text, "unique among hosts"),
            .required("site", .text, "the place that fails as a whole"),
            .required("uri", .text, "libvirt connection URI"),
            .required("agent", .text, "path of the agent's control socket"),
            .required("address", .text, "where the agent receives data, as host:port"),
            .required("store", .text, "folder at the host for recovery points"),
            .optional(
                "fence", .either([.list(.text), .map(.any)]),
                "command that ends the host for certain (exit status 0 is proof), or { agent = \"fence_virsh\", "
                    + "options = {...}, secrets = { password = \"/path\" } }", otherwise: "stays as it is"),
        ],
        lookup: .required("name", .text, "name of a registered host", names: .host),
        results: [ResultDeclaration("host", .object("host"), "the host")],
        errors: [
            unknown,
            ErrorDeclaration("not-granted", "it says something new of a host, and the run has no --grant hosts"),
        ],
        effect: .changes,
        example: """
            vault:host {
              name = "b1", site = "b", uri = "qemu+unix:///system?socket=/run/b/libvirt-sock",
              agent = "/run/b/agent.sock", address = "10.99.0.2:7731", store = "/srv/points",
            }
            """, in: .bare,
        .waiting { call in
            let (arguments, name) = (call.arguments, call.arguments.text("name"))
            if arguments.isLookup { return [.object(Handle.host(try await call.session.host(Handle.host(name)).name))] }
            try Handle.check(name, of: "host")
            let engine = call.session.engine
            let present = try await engine.vault.read { try $0.object(Host.self, named: name, parent: nil)?.value }
            let agent = try FenceOption.agent(call.arguments["fence"])
            let command = agent == nil ? arguments.texts("fence") : []
            let host = Host(
                id: present?.id ?? engine.dependencies.identifiers.next(), name: name, site: arguments.text("site"),
                uri: arguments.text("uri"), agentSocket: arguments.text("agent"),
                agentAddress: arguments.text("address"), store: arguments.text("store"),
                fence: command ?? present?.fence ?? [],
                fenceAgent: agent ?? (command == nil ? present?.fenceAgent : nil))
            // A fence is a program to run, and a host's store is where copies go: not every script may say what they are.
            if host != present { try call.require(.hosts) }
            return [.object(Handle.host(try await engine.ensureHost(host).name))]
        })

    static let server = FunctionDeclaration(
        "server",
        "Registers a management server, or looks one up by name. A new one says more of itself than its name, so that no slip "
            + "in a name makes a server.",
        named: [
            .required("name", .text, "unique among servers"),
            .optional(
                "vm", .text, "name of the VM that the server runs in, if it runs in one", otherwise: "stays as it is"),
            .optional("version", .text, "its version, such as \"0.1.0\"", otherwise: "stays as it is"),
            .optional(
                "role", .text, "name of its cluster role, if it runs on several nodes: the same as its name",
                otherwise: "stays as it is"),
            .optional(
                "node", .text, "the active node that registers; the others join with server:join", otherwise: "none"),
            .optional(
                "key", .text, "path of the file with its registration key, where the vault asks for one",
                otherwise: "none"),
        ],
        lookup: .required("name", .text, "name of a registered server", names: .server),
        results: [ResultDeclaration("server", .object("server"), "the server")],
        errors: [
            unknown,
            ErrorDeclaration(
                "refused",
                "rules registration-key-needed, registration-key-refused, cluster-role-name, version-not-usable"),
        ],
        effect: .changes,
        example: "local vmm = vault:server { name = \"vmm01\", vm = \"vmm01\" }", in: .bare,
        .waiting { call in
            let name = call.arguments.text("name")
            if call.arguments.isLookup {
                return [.object(Handle.server(try await call.session.server(Handle.server(name)).name))]
            }
            try Handle.check(name, of: "server")
            let arguments = call.arguments
            if ["vm", "version", "role", "node", "key"].allSatisfy({ arguments[$0] == nil }) {
                return [.object(try await knownServer(name, call))]
            }
            let server = try await call.session.engine.register(
                RecoveryEngine.Registration(
                    name: name, managementVM: arguments.optionalText("vm"), version: arguments.optionalText("version"),
                    role: arguments.optionalText("role"), node: arguments.optionalText("node"),
                    keyFile: arguments.optionalText("key")))
            return [.object(Handle.server(server.name))]
        })

    /// A server that was named in a table and of which nothing else was said: it must be there.
    private static func knownServer(_ name: String, _ call: Call) async throws -> LuaObject {
        do {
            return Handle.server(try await call.session.server(Handle.server(name)).name)
        } catch let error as EngineError where error.kind == .unknown {
            let register =
                "to register it, say more than its name: vm = the VM that it runs in, or version = its version"
            throw EngineError(
                .unknown, "\(call.name): \(error.message), and a name alone registers none",
                hint: error.hint.map { "\($0); \(register)" } ?? register, object: name)
        }
    }

    static let hosts = list("hosts", "host", "Lists the registered hosts, by name.", Host.self) {
        Handle.host($0.name)
    }
    static let servers = list("servers", "server", "Lists the registered servers, by name.", Server.self) {
        Handle.server($0.name)
    }
    static let policies = list("policies", "policy", "Lists the policies, by name.", Policy.self) {
        Handle.policy($0.name)
    }

    static let items = FunctionDeclaration(
        "items", "Lists the protected items, by name.",
        results: [ResultDeclaration("items", .list(.object("item")), "the items")], effect: .reads,
        example: "for _, item in ipairs(vault:items()) do print(item, item.state) end",
        .waiting { call in [try await handles(call) { $0.item != nil && $0.state != .unprotected }] })

    static let relationships = FunctionDeclaration(
        "relationships", "Lists the VMs that the hosts replicate outside every cloud, by name.",
        results: [ResultDeclaration("relationships", .list(.object("relationship")), "the relationships")],
        effect: .reads, example: "for _, own in ipairs(vault:relationships()) do print(own, own.owner) end",
        .waiting { call in [try await handles(call) { $0.item == nil && $0.state != .unprotected }] })

    static let replicated = FunctionDeclaration(
        "replicated", "Returns what replicates a VM: its protected item, or its relationship outside every cloud.",
        positional: [.required("vm", .text, "name of the VM", names: .vm)],
        results: [
            ResultDeclaration("replication", .either([.object("item"), .object("relationship")]), "either of them")
        ],
        errors: [ErrorDeclaration("unknown", "no VM of that name is replicated; the hint has the nearest")],
        effect: .reads, example: "print(vault:replicated(\"orders\").state)",
        .waiting { call in
            let found = try await call.session.find(
                Relationship.self, named: call.arguments.text("vm"), as: "replicated VM")
            return [.object(call.session.handle(of: found))]
        })

    static let events = FunctionDeclaration(
        "events", "Lists what happened, newest first.",
        named: [
            .optional("limit", .integer, "how many at most", default: 50, unit: .count, range: 1...10_000),
            .optional("vm", .text, "only those about this replicated VM", otherwise: "all", names: .vm),
            .optional(
                "severity", .choice(["info", "warning", "critical"]), "only those at least so severe", default: "info"),
            .optional(
                "code", .text, "only those whose code begins so, such as health or age-critical", otherwise: "all"),
            .optional("within", .duration, "only those no older than this", otherwise: "all"),
        ],
        results: [ResultDeclaration("events", .list(.record("event")), "the events, of the newest 10000")],
        errors: [ErrorDeclaration("unknown", "no VM of that name is replicated; the hint has the nearest")],
        effect: .reads,
        example: "for _, event in ipairs(vault:events { severity = \"warning\", limit = 5 }) do print(event.text) end",
        .waiting { call in
            let (arguments, session) = (call.arguments, call.session)
            var object: String?
            if let vm = arguments.optionalText("vm") {
                object = try await session.find(Relationship.self, named: vm, as: "replicated VM").id
            }
            let filter = EventFilter(
                object: object, severity: arguments.optionalText("severity").flatMap(Event.Severity.init(rawValue:)),
                code: arguments.optionalText("code"),
                since: arguments.optionalNumber("within").map {
                    session.engine.dependencies.clock.now.advanced(bySeconds: -$0)
                })
            let events = try await session.engine.events(filter, limit: arguments.integer("limit"))
            return [.list(events.map(Records.value))]
        })

    // MARK: How

    private static func list<Object: SiteObject>(
        _ name: String, _ element: String, _ doc: String, _ type: Object.Type,
        _ handle: @escaping @Sendable (Object) -> LuaObject
    ) -> FunctionDeclaration {
        FunctionDeclaration(
            name, doc, results: [ResultDeclaration(name, .list(.object(element)), "handles")], effect: .reads,
            example: "for _, each in ipairs(vault:\(name)()) do print(each.name) end",
            .waiting { call in
                let found = try await call.session.engine.vault.read { try $0.objects(type).map(\.value) }
                return [.list(found.map { .object(handle($0)) })]
            })
    }

    private static func handles(
        _ call: Call, _ wanted: @escaping @Sendable (Relationship) -> Bool
    ) async throws -> LuaValue {
        let found = try await call.session.engine.vault.read { vault in
            try vault.objects(Relationship.self).map(\.value).filter(wanted)
        }
        return .list(found.map { .object(call.session.handle(of: $0)) })
    }
}
