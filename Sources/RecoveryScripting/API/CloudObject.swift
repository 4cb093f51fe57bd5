import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `cloud`: a named group of hosts; the unit that is paired and given a policy.
enum CloudObject {
    static let type = TypeDeclaration(
        "cloud", "A named group of hosts on one server: the unit that is paired and given a policy.",
        fields: [name, hosts, clusters, pairedWith, policy, pairing, unready],
        methods: [pair, unpair, mapNetwork, unmapNetwork, networkMappings, vms, vm, remove])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let hosts = FieldDeclaration(
        "hosts", .list(.object("host")), "its hosts, in order of preference; then those of its clusters",
        .waiting { call in
            var hosts: [LuaValue] = []
            for id in try await call.session.hostIDs(of: call.receiver) {
                hosts.append(try await call.session.hostHandle(id: id))
            }
            return [.list(hosts)]
        })

    static let clusters = FieldDeclaration(
        "clusters", .list(.object("cluster")), "its host clusters",
        .waiting { call in
            let ids = try await call.session.cloud(call.receiver).clusters ?? []
            let names = try await call.session.engine.vault.read { vault in
                try ids.compactMap { try vault.object(HostCluster.self, id: $0)?.value.name }
            }
            return [.list(names.map { .object(Handle.cluster($0)) })]
        })

    static let pairing = FieldDeclaration(
        "pairing", .choice(PairingState.allCases.map(\.rawValue) + ["none"]),
        "how far its pair is set up: incomplete while a host does not answer",
        .waiting { call in
            let pair = try await call.session.pair(of: call.session.cloud(call.receiver))
            return [LuaValue(pair.map { ($0.state ?? .paired).rawValue } ?? "none")]
        })

    static let unready = FieldDeclaration(
        "unready", .list(.text), "hosts of its pair that did not answer when that was last set up",
        .waiting { call in
            let pair = try await call.session.pair(of: call.session.cloud(call.receiver))
            return [.list((pair?.unready ?? []).map { LuaValue($0) })]
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
        errors: [
            ErrorDeclaration(
                "refused",
                "rules one-pair-per-cloud, two-clouds-on-one-server, unpair-before-pairing-anew, cloud-needs-a-host, "
                    + "goal-of-the-vault"),
            ErrorDeclaration("invalid", "the policy names a port that a host's agent does not listen on"),
        ],
        effect: .changes,
        example: "gold:pair { with = silver, policy = fast }", in: .unpaired,
        .waiting { call in
            let session = call.session
            try await session.engine.ensurePair(
                primary: session.cloud(call.receiver), recovery: session.cloud(call.arguments.object("with")),
                policy: session.policy(call.arguments.object("policy")))
            return []
        })

    static let unpair = FunctionDeclaration(
        "unpair",
        "Takes this cloud's pair apart, with its network mappings. Needed before it is paired with another cloud.",
        errors: [ErrorDeclaration("refused", "rules unprotect-before-unpairing, pair-required")], effect: .changes,
        ifCutOff: .removal,
        example: "gold:unpair()", in: .registered,
        .waiting { call in
            try await call.session.engine.unpair(call.session.cloud(call.receiver))
            return []
        })

    static let unmapNetwork = FunctionDeclaration(
        "unmap_network", "Removes a network mapping: replicas of that network are left unconnected.",
        positional: [.required("from", .text, "the network of this cloud")],
        errors: [ErrorDeclaration("unknown", "it is not mapped; the hint has the nearest")], effect: .changes,
        ifCutOff: .removal,
        example: "gold:unmap_network(\"gold-net\")",
        .waiting { call in
            try await call.session.engine.removeNetworkMapping(
                cloud: call.session.cloud(call.receiver), network: call.arguments.text("from"))
            return []
        })

    static let networkMappings = FunctionDeclaration(
        "network_mappings", "Tells where each mapped network of this cloud goes.",
        results: [ResultDeclaration("mappings", .map(.text), "target by source")], effect: .reads,
        example: "for from, to in pairs(gold:network_mappings()) do print(from, to) end",
        .waiting { call in
            let cloud = try await call.session.cloud(call.receiver)
            let mappings = try await call.session.engine.vault.read {
                try $0.objects(NetworkMapping.self, parent: cloud.id).map(\.value)
            }
            var table = LuaTable()
            for mapping in mappings { table[mapping.name] = LuaValue(mapping.targetNetwork) }
            return [.table(table)]
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes this cloud from its server; its hosts and VMs stay as they are.",
        errors: [ErrorDeclaration("refused", "rule still-in-use")], effect: .changes, ifCutOff: .removal,
        example: "vmm:cloud { name = \"bronze\", hosts = {} }:remove()",
        .waiting { call in
            try await call.session.engine.removeCloud(call.session.cloud(call.receiver))
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
            ErrorDeclaration("refused", "rules pair-required, target-network-not-associated"),
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
                .list(
                    try await call.session.vms(
                        on: call.session.hostIDs(of: call.receiver), in: call.receiver, without: server?.managementVM))
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
