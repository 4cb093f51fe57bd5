import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `server`: a management server, which owns clouds.
enum ServerObject {
    static let type = TypeDeclaration(
        "server", "A management server: owns clouds. It may itself run in a VM, which the hosts replicate directly.",
        fields: [name, vm], methods: [cloud, clouds, CheckMethod.server])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })

    static let vm = FieldDeclaration(
        "vm", .text, "name of the VM that it runs in", optional: true,
        .waiting { call in [LuaValue(try await call.session.server(call.receiver).managementVM)] })

    static let cloud = FunctionDeclaration(
        "cloud", "Makes a cloud of hosts or changes its hosts, or looks one up by name.",
        named: [
            .required("name", .text, "unique on its server"),
            .required("hosts", .list(.object("host")), "its hosts, in order of preference for placement"),
        ],
        lookup: .required("name", .text, "name of a cloud of this server", names: .cloud),
        results: [ResultDeclaration("cloud", .object("cloud"), "the cloud")],
        errors: [ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest")],
        effect: .changes,
        example: "local bronze = vmm:cloud { name = \"bronze\", hosts = { vault:host(\"a1\") } }",
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            let server = try await session.server(call.receiver)
            if call.arguments.isLookup {
                return [.object(Handle.cloud(try await session.cloud(name, of: server).name, of: server.name))]
            }
            try Handle.check(name, of: "cloud")
            var hosts: [String] = []
            for host in call.arguments.objects("hosts") ?? [] { hosts.append(try await session.host(host).id) }
            let cloud = try await session.engine.ensureCloud(name: name, server: server.id, hosts: hosts)
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
