import Hypervisors
import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `vm`: a workload at its present host.
enum VMObject {
    static let type = TypeDeclaration(
        "vm", "A VM of a cloud or a host. Operations are those of the item or relationship that replicates it.",
        fields: [name, uuid, state, host],
        methods: [protect, replicate, item, relationship, CheckMethod.vm] + Operations.methods(of: "vm")
            + HealthMethods.methods(of: "vm"))

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let uuid = FieldDeclaration(
        "uuid", .text, "its identity, the same at both hosts",
        .waiting { call in
            if let known = try await call.session.replication(ofVM: call.receiver) { return [LuaValue(known.vmUUID)] }
            return [LuaValue(try await call.session.locate(call.receiver).domain.uuid)]
        })

    static let state = FieldDeclaration(
        "state", .choice(["running", "paused", "shutting-down", "off", "crashed"]), "its power at its present owner",
        .waiting { call in
            let power = try await call.session.locate(call.receiver).domain.power
            return [LuaValue(ErrorConversion.kind(power.rawValue).rawValue)]
        })

    static let host = FieldDeclaration(
        "host", .object("host"), "the host where it is now",
        .waiting { call in
            if let known = try await call.session.replication(ofVM: call.receiver) {
                return [try await call.session.hostHandle(id: known.owner)]
            }
            return [try await call.session.hostHandle(id: call.session.locate(call.receiver).host)]
        })

    static let protect = FunctionDeclaration(
        "protect",
        "Protects this VM through its cloud and waits for the first copy, or until that is scheduled or written for carrying.",
        named: FirstCopyMethods.options,
        results: [ResultDeclaration("item", .object("item"), "the protected item")],
        errors: [
            ErrorDeclaration(
                "refused", "rules already-protected, pair-required, management-vm-outside-clouds and others"),
            ErrorDeclaration("invalid", "an option does not fit the VM's disks, the policy or another option"),
        ] + Operations.errors.filter { $0.kind != "refused" },
        effect: .changes, example: "local item = gold:vm(\"orders\"):item() or gold:vm(\"orders\"):protect()",
        in: .registered,
        .waiting { call in
            let (session, name, asker) = (call.session, Handle.name(of: call.receiver), call.asker)
            let cloud = try await cloud(ofVM: call.receiver, session)
            let options = FirstCopyMethods.options(of: call)
            let item = try await session.operations.wait(for: "protect of \(name)") {
                try await session.engine.protect(vm: name, in: cloud, options: options, run: asker)
            }
            let handle = Handle.item(item.name)
            _ = try await session.relationship(of: handle)
            return [.object(handle)]
        })

    static let replicate = FunctionDeclaration(
        "replicate",
        "Lets the hosts replicate this VM directly, outside every cloud, and waits for the first copy. This is how the "
            + "management server's own VM is replicated.",
        named: [
            .required("to", .object("host"), "the host that receives"),
            .required("policy", .object("policy"), "how it is replicated"),
            .optional(
                "networks", .map(.text), "network at the target for each network here", default: .table(LuaTable())),
        ] + FirstCopyMethods.options,
        results: [ResultDeclaration("relationship", .object("relationship"), "the relationship")],
        errors: [ErrorDeclaration("refused", "rule already-protected")]
            + Operations.errors.filter { $0.kind != "refused" }, effect: .changes,
        example:
            "vm:replicate { to = vault:host(\"b1\"), policy = fast, networks = { [\"gold-net\"] = \"silver-net\" } }",
        in: .registered,
        .waiting { call in
            let (session, name, asker) = (call.session, Handle.name(of: call.receiver), call.asker)
            let source = try await session.engine.hosts.host(session.locate(call.receiver).host)
            let target = try await session.host(call.arguments.object("to"))
            let policy = try await session.policy(call.arguments.object("policy"))
            let networks = call.arguments.textsByName("networks") ?? [:]
            let options = FirstCopyMethods.options(of: call)
            let made = try await session.operations.wait(for: "replication of \(name)") {
                try await session.engine.replicate(
                    vm: name, from: source, to: target, policy: policy, networks: networks, options: options,
                    run: asker)
            }
            return [.object(session.handle(of: made))]
        })

    static let item = FunctionDeclaration(
        "item", "Returns the protected item of this VM.",
        results: [ResultDeclaration("item", .object("item"), "nil when the vault does not protect it", optional: true)],
        effect: .reads, example: "local item = gold:vm(\"orders\"):item()",
        .waiting { call in
            guard let found = try await call.session.replication(ofVM: call.receiver), found.item != nil else {
                return [.nil]
            }
            return [.object(call.session.handle(of: found))]
        })

    static let relationship = FunctionDeclaration(
        "relationship", "Returns the relationship of this VM, if the hosts replicate it directly.",
        results: [
            ResultDeclaration("relationship", .object("relationship"), "nil when they do not", optional: true)
        ],
        effect: .reads, example: "local own = vault:host(\"a1\"):vm(\"vmm01\"):relationship()",
        .waiting { call in
            guard let found = try await call.session.replication(ofVM: call.receiver), found.item == nil else {
                return [.nil]
            }
            return [.object(call.session.handle(of: found))]
        })

    /// The cloud that a VM is protected through: the one it was found in, or the only one that its host belongs to.
    private static func cloud(ofVM vm: LuaObject, _ session: ScriptContext) async throws -> Cloud {
        let place = Handle.place(ofVM: vm)
        if place.type == "cloud" { return try await session.cloud(place) }
        let host = try await session.host(place)
        let clouds = try await session.engine.vault.read { vault in
            try vault.objects(Cloud.self).map(\.value).filter { try vault.hostIDs(of: $0).contains(host.id) }
        }
        guard let cloud = clouds.first, clouds.count == 1 else {
            throw EngineError(
                .invalid, "host \(host.name) belongs to \(clouds.isEmpty ? "no cloud" : "several clouds")",
                hint: "find the VM through its cloud: server:cloud(\"...\"):vm(\"\(Handle.name(of: vm))\")",
                object: host.name)
        }
        return cloud
    }
}
