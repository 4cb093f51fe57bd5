import Hypervisors
import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// From handles to what the vault says now. Nothing is kept between two calls.
extension ScriptContext {
    /// The object of that name; an unknown one is an error with the nearest name.
    func find<Object: SiteObject>(
        _ type: Object.Type, named name: String, parent: String? = nil, as word: String, in place: String = "the vault"
    ) async throws -> Object {
        let (found, known) = try await engine.vault.read { vault -> (Object?, [String]) in
            if let found = try vault.object(type, named: name, parent: parent)?.value { return (found, []) }
            let others = try parent.map { try vault.objects(type, parent: $0) } ?? vault.objects(type)
            return (nil, others.map(\.value.name))
        }
        if let found { return found }
        let nearest = Nearest.suggestion(for: name, among: known)
        throw EngineError(
            .unknown, "\(place) has no \(word) '\(name)'",
            hint: nearest.map { "did you mean '\($0)'?" }
                ?? (known.isEmpty ? "it has none yet" : "it has: \(known.joined(separator: ", "))"),
            object: name)
    }

    func host(_ object: LuaObject) async throws -> Host { try await find(Host.self, named: object.id, as: "host") }

    func server(_ object: LuaObject) async throws -> Server {
        try await find(Server.self, named: object.id, as: "server")
    }

    func policy(_ object: LuaObject) async throws -> Policy {
        try await find(Policy.self, named: object.id, as: "policy")
    }

    func cloud(_ object: LuaObject) async throws -> Cloud {
        let server = String(object.id.split(separator: "/").first ?? "")
        return try await cloud(
            Handle.name(of: object), of: find(Server.self, named: server, as: "server"))
    }

    func cloud(_ name: String, of server: Server) async throws -> Cloud {
        try await find(Cloud.self, named: name, parent: server.id, as: "cloud", in: "server \(server.name)")
    }

    func cluster(_ object: LuaObject) async throws -> HostCluster {
        try await find(HostCluster.self, named: object.id, as: "cluster")
    }

    /// The server that an object of its own belongs to.
    func server(owning object: LuaObject) async throws -> Server {
        try await find(Server.self, named: Handle.server(of: object), as: "server")
    }

    func logicalNetwork(_ name: String, of server: Server) async throws -> LogicalNetwork {
        try await find(
            LogicalNetwork.self, named: name, parent: server.id, as: "logical network", in: "server \(server.name)")
    }

    func storageClass(_ name: String, of server: Server) async throws -> StorageClass {
        try await find(
            StorageClass.self, named: name, parent: server.id, as: "storage class", in: "server \(server.name)")
    }

    func storageClass(_ object: LuaObject) async throws -> StorageClass {
        try await storageClass(Handle.name(of: object), of: server(owning: object))
    }

    /// The handle of a host by its id in the vault.
    func hostHandle(id: String) async throws -> LuaValue {
        .object(Handle.host(try await engine.hosts.host(id).name))
    }

    /// The handle of a cloud by its id in the vault.
    func cloudHandle(id: String) async throws -> LuaValue {
        let names = try await engine.vault.read { vault -> (String, String)? in
            guard let cloud = try vault.object(Cloud.self, id: id)?.value,
                let server = try vault.object(Server.self, id: cloud.server)?.value
            else { return nil }
            return (cloud.name, server.name)
        }
        return names.map { .object(Handle.cloud($0.0, of: $0.1)) } ?? .nil
    }

    /// The pair that a cloud is in, whichever side it is.
    func pair(of cloud: Cloud) async throws -> CloudPair? {
        try await engine.vault.read { vault in
            try vault.objects(CloudPair.self).map(\.value).first { $0.joins(cloud.id) }
        }
    }

    // MARK: Replication

    /// What an item, a relationship or a VM is replicated by.
    func relationship(of object: LuaObject) async throws -> Relationship {
        if object.type == "vm" {
            if let found = try await replication(ofVM: object) { return found }
            throw EngineError(
                .refused, "\(Handle.name(of: object)) is not replicated: \(RuleBook.notProtected.sentence)",
                hint: RuleBook.notProtected.hint, rule: RuleBook.notProtected.id, object: Handle.name(of: object))
        }
        let found = try await find(Relationship.self, named: object.id, as: object.type)
        note(found.state, of: object)
        return found
    }

    /// The relationship of a VM, if it is one of the hosts through which the VM was found.
    func replication(ofVM object: LuaObject) async throws -> Relationship? {
        let name = Handle.name(of: object)
        let found = try await engine.vault.read { try $0.object(Relationship.self, named: name, parent: nil)?.value }
        guard let found, found.state != .unprotected else { return nil }
        let hosts = try await hostIDs(of: Handle.place(ofVM: object))
        guard hosts.contains(found.source) || hosts.contains(found.target) else { return nil }
        note(found.state, of: object)
        return found
    }

    /// The hosts of the cloud or host through which a VM was found.
    func hostIDs(of place: LuaObject) async throws -> [String] {
        guard place.type == "cloud" else { return [try await host(place).id] }
        let cloud = try await cloud(place)
        return try await engine.vault.read { try $0.hostIDs(of: cloud) }
    }

    /// The handle that a relationship goes by: its item's where the vault protects it, else its own.
    func handle(of relationship: Relationship) -> LuaObject {
        let handle =
            relationship.item == nil ? Handle.relationship(relationship.name) : Handle.item(relationship.name)
        note(relationship.state, of: handle)
        return handle
    }

    /// A VM and the host where it is now: its owner's where it is replicated, else where it is found.
    func locate(_ vm: LuaObject) async throws -> (host: String, domain: Domain) {
        if let relationship = try await replication(ofVM: vm) {
            let hypervisor = try await engine.hosts.hypervisor(relationship.owner)
            if let domain = try await hypervisor.domain(uuid: relationship.vmUUID) {
                return (relationship.owner, domain)
            }
            let owner = try await engine.hosts.host(relationship.owner).name
            throw EngineError(
                .unknown, "host \(owner) owns \(relationship.name) and does not know it",
                hint: "see the job in: perilune status", object: relationship.name)
        }
        let place = Handle.place(ofVM: vm)
        let (domain, host) = try await engine.find(
            vm: Handle.name(of: vm), on: hostIDs(of: place), where: "\(place.type) \(Handle.name(of: place))")
        return (host, domain)
    }

    /// Checks that a VM of that name is known, without asking hosts about one that is replicated: its site may be lost.
    func vm(_ name: String, in place: LuaObject) async throws -> LuaObject {
        let vm = Handle.vm(name, in: place)
        if try await replication(ofVM: vm) != nil { return vm }
        _ = try await engine.find(
            vm: name, on: hostIDs(of: place), where: "\(place.type) \(Handle.name(of: place))")
        return vm
    }

    /// The VMs of these hosts, by name: without copies that stand by for another host's, and without test VMs.
    func vms(on hosts: [String], in place: LuaObject, without excluded: String? = nil) async throws -> [LuaValue] {
        let replicated = try await engine.vault.read { try $0.objects(Relationship.self).map(\.value) }
        let elsewhere = Set(replicated.filter { !hosts.contains($0.owner) }.map(\.vmUUID))
        let tests = Set(replicated.compactMap { $0.test?.vmUUID })
        var names: Set<String> = []
        for host in hosts {
            for domain in try await engine.hosts.hypervisor(host).domains()
            where !elsewhere.contains(domain.uuid) && !tests.contains(domain.uuid) && domain.name != excluded {
                names.insert(domain.name)
            }
        }
        return names.sorted().map { .object(Handle.vm($0, in: place)) }
    }
}
