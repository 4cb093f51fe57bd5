import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `server`: a management server, which owns clouds.
enum ServerObject {
    static let type = TypeDeclaration(
        "server", "A management server: owns clouds. It may itself run in a VM, which the hosts replicate directly.",
        fields: [
            name, vm, version, versionStatus, connection, lastHeartbeat, role, nodes,
        ],
        methods: [
            cloud, clouds, ServerMembers.join, ServerMembers.heartbeat, LogicalNetworkObject.make,
            LogicalNetworkObject.list, StorageClassObject.make, StorageClassObject.list, ServerMembers.unregister,
            ServerMembers.unregistrationSteps,
            CheckMethod.server,
        ])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })

    static let vm = FieldDeclaration(
        "vm", .text, "name of the VM that it runs in", optional: true,
        .waiting { call in [LuaValue(try await call.session.server(call.receiver).managementVM)] })

    static let version = field("version", .text, "the version that it told when it registered", optional: true) {
        server, _ in LuaValue(server.version)
    }
    static let versionStatus = field(
        "version_status", .choice(VersionStatus.allCases.map(\.rawValue)),
        "how that stands to the program that has the vault open", optional: true
    ) { server, _ in
        server.version.map { LuaValue(RecoveryEngine.versionSupport.status(of: $0).rawValue) } ?? .nil
    }
    static let connection = field(
        "connection", .choice(ConnectionStatus.allCases.map(\.rawValue)),
        "disconnected when no heartbeat came for five minutes"
    ) { server, now in LuaValue(server.connection(at: now).rawValue) }
    static let lastHeartbeat = field(
        "last_heartbeat", .number, "its last sign of life", .epochSeconds, optional: true
    ) { server, _ in server.lastHeartbeat.map(Records.seconds) ?? .nil }
    static let role = field("role", .text, "its cluster role, when it runs on several nodes", optional: true) {
        server, _ in LuaValue(server.role)
    }
    static let nodes = field("nodes", .list(.record("server_node")), "its nodes, the active one first") { server, _ in
        .list((server.nodes ?? []).map(Records.value))
    }

    private static func field(
        _ name: String, _ type: ValueType, _ doc: String, _ unit: Unit? = nil, optional: Bool = false,
        _ read: @escaping @Sendable (Server, Timestamp) -> LuaValue
    ) -> FieldDeclaration {
        FieldDeclaration(
            name, type, doc, unit: unit, optional: optional,
            .waiting { call in
                let now = call.session.engine.dependencies.clock.now
                return [read(try await call.session.server(call.receiver), now)]
            })
    }

    static let cloud = FunctionDeclaration(
        "cloud", "Makes a cloud of hosts or changes its hosts, or looks one up by name.",
        named: [
            .required("name", .text, "unique on its server"),
            .required("hosts", .list(.object("host")), "its hosts, in order of preference for placement"),
            .optional(
                "clusters", .list(.object("cluster")),
                "its host clusters, placed on after the hosts", otherwise: "stay as they are"),
        ],
        lookup: .required("name", .text, "name of a cloud of this server", names: .cloud),
        results: [ResultDeclaration("cloud", .object("cloud"), "the cloud")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("refused", "rules host-in-one-cloud, cloud-needs-a-host, host-holds-vms"),
        ],
        effect: .changes,
        example: "silver:remove()\nlocal bronze = vmm:cloud { name = \"bronze\", hosts = { vault:host(\"b1\") } }",
        in: .unpaired,
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            let server = try await session.server(call.receiver)
            if call.arguments.isLookup {
                return [.object(Handle.cloud(try await session.cloud(name, of: server).name, of: server.name))]
            }
            try Handle.check(name, of: "cloud")
            var hosts: [String] = []
            for host in call.arguments.objects("hosts") ?? [] { hosts.append(try await session.host(host).id) }
            var clusters: [String]?
            for cluster in call.arguments.objects("clusters") ?? [] {
                clusters = (clusters ?? []) + [try await session.cluster(cluster).id]
            }
            if call.arguments.objects("clusters")?.isEmpty == true { clusters = [] }
            let cloud = try await session.engine.ensureCloud(
                name: name, server: server.id, hosts: hosts, clusters: clusters)
            return [.object(Handle.cloud(cloud.name, of: server.name))]
        })

    static let clouds = FunctionDeclaration(
        "clouds", "Lists the clouds of this server, by name.",
        results: [ResultDeclaration("clouds", .list(.object("cloud")), "the clouds")], effect: .reads,
        example: "for _, cloud in ipairs(vmm:clouds()) do print(cloud.name) end",
        .waiting { call in
            let server = try await call.session.server(call.receiver)
            let clouds = try await call.session.engine.vault.read { vault in
                try vault.objects(Cloud.self, parent: server.id).map(\.value.name)
            }
            return [.list(clouds.map { .object(Handle.cloud($0, of: server.name)) })]
        })
}
