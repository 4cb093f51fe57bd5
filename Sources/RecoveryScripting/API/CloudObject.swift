import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `cloud`: a named group of hosts; the unit that is paired and given a policy.
enum CloudObject {
    static let type = TypeDeclaration(
        "cloud", "A named group of hosts on one server: the unit that is paired and given a policy.",
        fields: [name, hosts, pairedWith, policy], methods: [pair, mapNetwork, vms, vm])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let hosts = FieldDeclaration(
        "hosts", .list(.object("host")), "its hosts, in order of preference",
        .waiting { call in
            var hosts: [LuaValue] = []
            for id in try await call.session.cloud(call.receiver).hosts {
                hosts.append(try await call.session.hostHandle(id: id))
            }
            return [.list(hosts)]
        })

    static let pairedWith = FieldDeclaration(
        "paired_with", .object("cloud"), "the other cloud of its pair", optional: true,
        .waiting { call in
            let cloud = try await call.session.cloud(call.receiver)
            guard let other = try await call.session.pair(of: cloud)?.partner(of: cloud.id) else { return [.nil] }
            return [try await call.session.cloudHandle(id: other)]
        })

    static let policy = FieldDeclaration(
        "policy", .object("policy"), "the policy of its pair", optional: true,
        .waiting { call in
            let cloud = try await call.session.cloud(call.receiver)
            guard let pair = try await call.session.pair(of: cloud) else { return [.nil] }
            let name = try await call.session.engine.vault.read {
                try $0.object(Policy.self, id: pair.policy)?.value.name
            }
            return [name.map { .object(Handle.policy($0)) } ?? .nil]
        })

    static let pair = FunctionDeclaration(
        "pair", "Joins this cloud, as the primary one, with another under a policy.",
        named: [
            .required("with", .object("cloud"), "the cloud that receives"),
            .required("policy", .object("policy"), "how its VMs are replicated"),
        ],
        errors: [ErrorDeclaration("refused", "rules one-pair-per-cloud, two-clouds-on-one-server")], effect: .changes,
        example: "gold:pair { with = silver, policy = fast }", in: .unpaired,
        .waiting { call in
            let session = call.session
            try await session.engine.ensurePair(
                primary: session.cloud(call.receiver), recovery: session.cloud(call.arguments.object("with")),
                policy: session.policy(call.arguments.object("policy")))
            return []
        })

    static let mapNetwork = FunctionDeclaration(
        "map_network", "Says to which network of the paired cloud replicas of this cloud's VMs are connected.",
        named: [
            .required("from", .text, "a network of this cloud's hosts"),
            .required("to", .text, "a network of the paired cloud's hosts"),
        ],
        errors: [
            ErrorDeclaration("unknown", "a cloud has no such network; the hint has the nearest"),
            ErrorDeclaration("refused", "rule pair-required"),
        ],
        effect: .changes, example: "gold:map_network { from = \"gold-net\", to = \"silver-net\" }", in: .registered,
        .waiting { call in
            let session = call.session
            let cloud = try await session.cloud(call.receiver)
            guard let otherID = try await session.pair(of: cloud)?.partner(of: cloud.id),
                let other = try await session.engine.vault.read({ try $0.object(Cloud.self, id: otherID)?.value })
            else {
                throw EngineError(
                    .refused, "\(cloud.name): \(RuleBook.pairRequired.sentence)", hint: RuleBook.pairRequired.hint,
                    rule: RuleBook.pairRequired.id, object: cloud.name)
            }
            try await session.engine.ensureNetworkMapping(
                cloud: cloud, network: call.arguments.text("from"), targetCloud: other,
                targetNetwork: call.arguments.text("to"))
            return []
        })

    static let vms = FunctionDeclaration(
        "vms", "Lists the VMs on this cloud's hosts, by name, without the management server's own and without copies.",
        results: [ResultDeclaration("vms", .list(.object("vm")), "the VMs")],
        errors: [ErrorDeclaration("unreachable", "a host does not answer")], effect: .reads,
        example: "for _, vm in ipairs(gold:vms()) do print(vm.name, vm.state) end",
        .waiting { call in
            let cloud = try await call.session.cloud(call.receiver)
            let server = try await call.session.engine.vault.read {
                try $0.object(Server.self, id: cloud.server)?.value
            }
            return [
                .list(try await call.session.vms(on: cloud.hosts, in: call.receiver, without: server?.managementVM))
            ]
        })

    static let vm = FunctionDeclaration(
        "vm", "Looks a VM of this cloud up by name. One that is replicated is found even while its site is lost.",
        positional: [.required("name", .text, "the VM", names: .vm)],
        results: [ResultDeclaration("vm", .object("vm"), "the VM")],
        errors: [ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest")],
        effect: .reads, example: "local orders = gold:vm(\"orders\")",
        .waiting { call in
            [.object(try await call.session.vm(call.arguments.text("name"), in: call.receiver))]
        })
}
