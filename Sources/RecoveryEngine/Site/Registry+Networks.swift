import BlockReplication
import Hypervisors
package import SiteModel
package import VaultStore

/// Networks as they are planned with, and where replicas are connected.
extension RecoveryEngine {
    @discardableResult
    package func ensureLogicalNetwork(
        name: String, server: Server, isolation: NetworkIsolation?, clouds: [Cloud]?
    ) async throws -> LogicalNetwork {
        if let foreign = clouds?.first(where: { $0.server != server.id }) {
            try Self.check(
                [
                    FieldViolation(
                        "clouds", given: "cloud \(foreign.name) of another server",
                        allowed: "clouds of server \(server.name)")
                ], "logical network '\(name)'")
        }
        let wanted = LogicalNetwork(
            id: dependencies.identifiers.next(), name: name, server: server.id, isolation: isolation ?? .none,
            clouds: (clouds ?? []).map(\.id))
        try Self.check(wanted, "logical network '\(name)'")
        return try await ensure(wanted) { wanted, vault in
            for network in try vault.objects(VMNetwork.self, parent: wanted.id).map(\.value) {
                try Self.check(
                    network.violations(under: wanted.isolation), "VM network '\(network.name)' of '\(wanted.name)'")
            }
        } adopt: {
            $0.id = $1.id
            if isolation == nil { $0.isolation = $1.isolation }
            if clouds == nil { $0.clouds = $1.clouds }
        }
    }

    /// Links a VM network to a logical one.
    ///
    /// At the hosts it is the libvirt network of the same name, so a server has one of a name.
    @discardableResult
    package func ensureVMNetwork(
        name: String, logical: LogicalNetwork, subnets: [Subnet]?
    ) async throws -> VMNetwork {
        let wanted = VMNetwork(
            id: dependencies.identifiers.next(), name: name, logicalNetwork: logical.id, subnets: subnets ?? [])
        let what = "VM network '\(name)'"
        try Self.check(wanted.violations + wanted.violations(under: logical.isolation), what)
        return try await ensure(wanted) { wanted, vault in
            for other in try vault.objects(LogicalNetwork.self, parent: logical.server)
            where other.value.id != logical.id {
                guard try vault.object(VMNetwork.self, named: wanted.name, parent: other.value.id) != nil else {
                    continue
                }
                try Self.check(
                    [
                        FieldViolation(
                            "name", given: "\(name), which is linked to \(other.value.name)",
                            allowed: "a name once on a server")
                    ], what)
            }
        } adopt: {
            $0.id = $1.id
            if subnets == nil { $0.subnets = $1.subnets }
        }
    }

    /// Maps a network of one cloud to a network of the other; both must exist on a host of their cloud, and the target must
    /// be of a logical network that is associated with its cloud, where the vault knows one.
    ///
    /// Mapping a source anew moves the replicas that it connects; an event says which.
    @discardableResult
    package func ensureNetworkMapping(
        cloud: Cloud, network: String, targetCloud: Cloud, targetNetwork: String
    ) async throws -> NetworkMapping {
        let wanted = NetworkMapping(
            id: dependencies.identifiers.next(), sourceNetwork: network, sourceCloud: cloud.id,
            targetCloud: targetCloud.id, targetNetwork: targetNetwork)
        try Self.check(wanted, "network mapping of cloud '\(cloud.name)'")
        for (cloud, network) in [(cloud, network), (targetCloud, targetNetwork)] {
            try await checkPresence(of: network, in: cloud)
        }
        let before = try await mappings(of: cloud, targetCloud)
        let made = try await ensure(wanted) { _, vault in
            let logical = try vault.logicalNetwork(of: targetNetwork, on: targetCloud.server)
            if let refusal = Guards.checkTarget(network: targetNetwork, of: targetCloud, logical: logical) {
                throw Self.refused(refusal)
            }
        } adopt: {
            $0.id = $1.id
        }
        try await tellReconnections(from: cloud, to: targetCloud, before: before)
        return made
    }

    /// Removes a mapping: replicas of that network are left unconnected from now on.
    package func removeNetworkMapping(cloud: Cloud, network: String) async throws {
        let partner = try await vault.read { vault in
            try vault.objects(CloudPair.self).map(\.value).first { $0.joins(cloud.id) }?.partner(of: cloud.id).flatMap {
                try vault.object(Cloud.self, id: $0)?.value
            }
        }
        let before = try await mappings(of: cloud, partner ?? cloud)
        try await vault.write { vault in
            guard let mapping = try vault.object(NetworkMapping.self, named: network, parent: cloud.id) else {
                let known = try vault.objects(NetworkMapping.self, parent: cloud.id).map(\.value.name)
                throw EngineError(
                    .unknown, "cloud \(cloud.name) has no mapping of network '\(network)'",
                    hint: Nearest.suggestion(for: network, among: known).map { "did you mean '\($0)'?" }
                        ?? "it maps: \(known.isEmpty ? "none" : known.joined(separator: ", "))", object: cloud.name)
            }
            try vault.delete(mapping)
        }
        if let partner { try await tellReconnections(from: cloud, to: partner, before: before) }
    }

    private func checkPresence(of network: String, in cloud: Cloud) async throws {
        var present: Set<String> = []
        for host in try await vault.read({ try $0.hostIDs(of: cloud) }) {
            present.formUnion(try await hosts.hypervisor(host).networks())
        }
        guard !present.contains(network) else { return }
        let nearest = Nearest.suggestion(for: network, among: Array(present))
        throw EngineError(
            .unknown, "cloud \(cloud.name) has no network '\(network)'",
            hint: nearest.map { "did you mean '\($0)'?" } ?? "it has: \(present.sorted().joined(separator: ", "))",
            object: cloud.name)
    }

    private func mappings(of cloud: Cloud, _ other: Cloud) async throws -> [NetworkMapping] {
        try await vault.read { vault in
            try
                (vault.objects(NetworkMapping.self, parent: cloud.id)
                + vault.objects(NetworkMapping.self, parent: other.id)).map(\.value)
        }
    }

    /// Says which replicas a change of mappings connects otherwise.
    private func tellReconnections(from cloud: Cloud, to target: Cloud, before: [NetworkMapping]) async throws {
        let after = try await mappings(of: cloud, target)
        guard before != after else { return }
        let plans = [before, after].map { NetworkPlan(from: cloud.id, to: target.id, mappings: $0) }
        let replicas = try await vault.read { vault in
            let hosts = Set(try vault.hostIDs(of: cloud))
            return try vault.objects(Relationship.self).map(\.value).filter {
                $0.item != nil && $0.state != .unprotected && hosts.contains($0.source)
            }
        }
        var nics: [NICConnection] = []
        for replica in replicas {
            guard let hypervisor = try await hosts.reachableHypervisor(replica.source),
                let domain = try? await hypervisor.domain(uuid: replica.vmUUID)
            else { continue }
            nics += domain.nics.map { NICConnection(vm: replica.name, mac: $0.mac, network: $0.network) }
        }
        let changes = plans[0].reconnections(to: plans[1], of: nics)
        guard !changes.isEmpty else { return }
        let now = dependencies.clock.now
        let objects = Dictionary(replicas.map { ($0.name, $0.id) }, uniquingKeysWith: { a, _ in a })
        try await vault.write { vault in
            for change in changes {
                let (was, becomes) = (change.before ?? "no network", change.after ?? "no network")
                try vault.append(
                    Event(
                        at: now, severity: .info, object: objects[change.vm],
                        text: "the replica of \(change.vm) goes to \(becomes), not to \(was) (NIC \(change.mac))",
                        code: "reconnected", topic: .vm))
            }
        }
    }
}

extension VaultReader {
    /// The logical network that a VM network of a server is linked to; nil when the vault knows no such VM network.
    package func logicalNetwork(of network: String, on server: String) throws -> LogicalNetwork? {
        for logical in try objects(LogicalNetwork.self, parent: server).map(\.value)
        where try object(VMNetwork.self, named: network, parent: logical.id) != nil {
            return logical
        }
        return nil
    }
}
