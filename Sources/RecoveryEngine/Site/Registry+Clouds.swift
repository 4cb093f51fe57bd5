import BlockReplication
import Hypervisors
package import SiteModel
import VaultStore

/// Clouds, host clusters and pairs.
extension RecoveryEngine {
    @discardableResult
    package func ensureCluster(name: String, hosts: [String], accessName: String) async throws -> HostCluster {
        let wanted = HostCluster(
            id: dependencies.identifiers.next(), name: name, hosts: hosts, accessName: accessName)
        try Self.check(wanted, "cluster '\(name)'")
        return try await ensure(wanted) { wanted, vault in
            let names = Dictionary(
                try vault.objects(Host.self).map { ($0.value.id, $0.value.name) }, uniquingKeysWith: { a, _ in a })
            let others = try vault.objects(HostCluster.self).map(\.value)
            if let same = others.first(where: { $0.id != wanted.id && $0.accessName == wanted.accessName }) {
                try Self.check(
                    [
                        FieldViolation(
                            "access_name", given: "\(wanted.accessName), which is cluster \(same.name)'s",
                            allowed: "a name of its own")
                    ], "cluster '\(wanted.name)'")
            }
            if let refusal = Guards.checkCluster(wanted, others: others, hostName: { names[$0] ?? $0 }) {
                throw Self.refused(refusal)
            }
            for cloud in try vault.objects(Cloud.self).map(\.value)
            where cloud.clusters?.contains(wanted.id) ?? false {
                try Self.checkHosts(of: cloud, with: wanted, vault)
            }
        } adopt: {
            $0.id = $1.id
        }
    }

    /// Refuses hosts that a cloud cannot have or cannot lose; `cluster` is one that is about to be kept.
    private static func checkHosts(
        of wanted: Cloud, with cluster: HostCluster? = nil, _ vault: any VaultReader
    ) throws {
        let names = Dictionary(
            try vault.objects(Host.self).map { ($0.value.id, $0.value.name) }, uniquingKeysWith: { a, _ in a })
        let present = try vault.objects(HostCluster.self).map(\.value)
        let clusters = present.filter { $0.id != cluster?.id } + [cluster].compactMap { $0 }
        let pairs = try vault.objects(CloudPair.self).map(\.value).filter { $0.joins(wanted.id) }
        let items = try vault.objects(ProtectedItem.self).map(\.value)
            .filter { item in pairs.contains { $0.id == item.pair } }
        let refusal = Guards.checkHosts(
            of: wanted, among: try vault.objects(Cloud.self).map(\.value), clusters: clusters, isPaired: !pairs.isEmpty,
            before: try vault.object(Cloud.self, id: wanted.id)?.value.allHosts(in: present) ?? [],
            replicated: try items.compactMap { try vault.object(Relationship.self, id: $0.relationship)?.value }
                .filter { $0.state != .unprotected },
            hostName: { names[$0] ?? $0 })
        if let refusal { throw refused(refusal) }
    }

    /// Makes a cloud of hosts, or gives it the hosts named.
    ///
    /// - Throws: `EngineError` of kind `refused` (rules host-in-one-cloud, cloud-needs-a-host, host-holds-vms).
    @discardableResult
    package func ensureCloud(
        name: String, server: String, hosts: [String], clusters: [String]? = nil
    ) async throws -> Cloud {
        let wanted = Cloud(
            id: dependencies.identifiers.next(), name: name, server: server, hosts: hosts, clusters: clusters)
        try Self.check(wanted, "cloud '\(name)'")
        return try await ensure(wanted) { wanted, vault in
            try Self.checkHosts(of: wanted, vault)
        } adopt: {
            $0.id = $1.id
            if clusters == nil { $0.clusters = $1.clusters }
        }
    }

    /// Joins two clouds under a policy.
    ///
    /// A cloud is in one pair at most, and its other cloud is not exchanged. Every host of both clouds is looked at: the pair
    /// is `incomplete` while one does not answer. Pairing again takes another policy, and looks again.
    @discardableResult
    package func ensurePair(primary: Cloud, recovery: Cloud, policy: Policy) async throws -> CloudPair {
        let id = dependencies.identifiers.next()
        let (hosts, record) = try await vault.read { vault in
            (
                try (vault.hostIDs(of: primary) + vault.hostIDs(of: recovery)).compactMap {
                    try vault.object(Host.self, id: $0)?.value
                },
                try vault.objects(VaultRecord.self).first?.value
            )
        }
        try Self.check(port: policy.port, of: hosts, policy.name)
        let unready = try await unready(hosts)
        return try await vault.write { vault in
            let pairs = try vault.objects(CloudPair.self)
            let goal = record?.goal ?? .anyServers
            let refusal =
                Guards.checkPairing(primary, with: recovery, existing: pairs.map(\.value), goal: goal)
            if let refusal { throw Self.refused(refusal) }
            func settled(_ pair: CloudPair) -> CloudPair {
                var pair = pair
                pair.policy = policy.id
                pair.state = unready.isEmpty ? .paired : .incomplete
                pair.unready = unready.isEmpty ? nil : unready
                return pair
            }
            if var same = pairs.first(where: { $0.value.primary == primary.id && $0.value.recovery == recovery.id }) {
                let wanted = settled(same.value)
                guard wanted != same.value else { return wanted }
                same.value = wanted
                return try vault.update(same).value
            }
            if let refusal = Guards.checkPair(primary, with: recovery, existing: pairs.map(\.value)) {
                throw Self.refused(refusal)
            }
            return try vault.insert(
                settled(
                    CloudPair(
                        id: id, name: "\(primary.name) -> \(recovery.name)", primary: primary.id,
                        recovery: recovery.id, policy: policy.id))
            ).value
        }
    }

    /// Names of the hosts whose hypervisor or agent does not answer.
    private func unready(_ all: [Host]) async throws -> [String] {
        var unready: [String] = []
        for host in all {
            let hypervisor = try await hosts.reachableHypervisor(host.id)
            let agent = try await hosts.reachableAgent(host.id)
            if hypervisor == nil || agent == nil { unready.append(host.name) }
        }
        return unready
    }

    /// A policy that names a port holds for hosts whose agents listen there.
    static func check(port: Int?, of hosts: [Host], _ policy: String) throws {
        guard let port else { return }
        let others = hosts.filter { !$0.agentAddress.hasSuffix(":\(port)") }
        guard let other = others.first else { return }
        try check(
            [
                FieldViolation(
                    "port", given: "\(port), and host \(other.name) receives at \(other.agentAddress)",
                    allowed: "the port of every host of both clouds, or none")
            ], "policy '\(policy)'")
    }

    /// Takes a pair apart, with the mappings between its clouds; refused while one of its VMs is protected.
    package func unpair(_ cloud: Cloud) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard let pair = try vault.objects(CloudPair.self).first(where: { $0.value.joins(cloud.id) }) else {
                throw Self.refused(RuleBook.pairRequired, cloud.name, "it is in no pair")
            }
            let items = try vault.objects(ProtectedItem.self).filter { $0.value.pair == pair.value.id }
            let states = try items.map { item in
                try vault.object(Relationship.self, id: item.value.relationship)?.value
            }
            let protected = zip(items, states).filter { $1.map { $0.state != .unprotected } ?? false }.map(
                \.0.value.name)
            if let refusal = Guards.checkUnpairing(pair.value, protected: protected) { throw Self.refused(refusal) }
            // What is no longer protected belongs to no pair: it would keep its VM from being protected in another one.
            for (item, relationship) in zip(items, states) {
                if let relationship, let stored = try vault.object(Relationship.self, id: relationship.id) {
                    try vault.delete(stored)
                }
                try vault.delete(item)
            }
            for mapping in try vault.objects(NetworkMapping.self)
            where pair.value.joins(mapping.value.sourceCloud) && pair.value.joins(mapping.value.targetCloud) {
                try vault.delete(mapping)
            }
            try vault.delete(pair)
            try vault.append(
                Event(
                    at: now, severity: .info, object: pair.value.id, text: "pair \(pair.value.name) was taken apart",
                    code: "unpaired", topic: .setup))
        }
    }
}
