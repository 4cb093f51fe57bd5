import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `cluster`: hosts that are reached as one.
enum ClusterObject {
    static let type = TypeDeclaration(
        "cluster",
        "A named group of hosts with one access name. A replica goes to one of its healthy hosts, the same one for the same VM.",
        fields: [name, accessName, hosts], methods: [remove])

    static let make = FunctionDeclaration(
        "cluster", "Makes a host cluster or changes it, or looks one up by name.",
        named: [
            .required("name", .text, "unique among clusters"),
            .required("hosts", .list(.object("host")), "its hosts; a host is in one cluster at most"),
            .required("access_name", .text, "the one name by which peers and clients know it"),
        ],
        lookup: .required("name", .text, "name of a cluster"),
        results: [ResultDeclaration("cluster", .object("cluster"), "the cluster")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("invalid", "it has no host, or the access name is another's"),
            ErrorDeclaration(
                "refused", "rules host-in-one-cluster, host-in-one-cloud, cloud-needs-a-host, host-holds-vms"),
        ],
        effect: .changes,
        example: "vault:cluster { name = \"west\", hosts = { vault:host(\"b1\") }, access_name = \"west.example\" }",
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            if call.arguments.isLookup {
                return [.object(Handle.cluster(try await session.cluster(Handle.cluster(name)).name))]
            }
            try Handle.check(name, of: "cluster")
            var hosts: [String] = []
            for host in call.arguments.objects("hosts") ?? [] { hosts.append(try await session.host(host).id) }
            let made = try await session.engine.ensureCluster(
                name: name, hosts: hosts, accessName: call.arguments.text("access_name"))
            return [.object(Handle.cluster(made.name))]
        })

    static let list = FunctionDeclaration(
        "clusters", "Lists the host clusters, by name.",
        results: [ResultDeclaration("clusters", .list(.object("cluster")), "the clusters")], effect: .reads,
        example: "for _, each in ipairs(vault:clusters()) do print(each.name, each.access_name) end",
        .waiting { call in
            let names = try await call.session.engine.vault.read { try $0.objects(HostCluster.self).map(\.value.name) }
            return [.list(names.map { .object(Handle.cluster($0)) })]
        })

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })

    static let accessName = FieldDeclaration(
        "access_name", .text, "the one name by which peers and clients know it",
        .waiting { call in [LuaValue(try await call.session.cluster(call.receiver).accessName)] })

    static let hosts = FieldDeclaration(
        "hosts", .list(.object("host")), "its hosts",
        .waiting { call in
            var hosts: [LuaValue] = []
            for id in try await call.session.cluster(call.receiver).hosts {
                hosts.append(try await call.session.hostHandle(id: id))
            }
            return [.list(hosts)]
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes this cluster; its hosts stay.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: a cloud has it")], effect: .changes,
        ifCutOff: .removal,
        example: """
            vault:cluster { name = "west", hosts = { vault:host("b1") }, access_name = "west.example" }:remove()
            """,
        .waiting { call in
            try await call.session.engine.removeCluster(call.session.cluster(call.receiver))
            return []
        })
}
