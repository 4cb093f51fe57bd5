import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Choosing the host that a replica goes to, from what the hosts of the recovery cloud say now.
extension RecoveryEngine {
    /// The best host of the pair's recovery cloud for a VM; where none answers, the first, so that the rules say what is missing.
    func place(_ domain: Domain, disks: [String], from source: String, _ pair: CloudPair) async throws -> String {
        let ground = try await vault.read { try PlacementGround($0, pair) }
        guard let first = ground.ranks.first(where: { $0.host.id != source })?.host else {
            let name = ground.recovery?.name ?? pair.name
            throw EngineError(
                .invalid,
                ground.ranks.isEmpty
                    ? "the recovery cloud \(name) has no host"
                    : "the recovery cloud \(name) has no host but the one that \(domain.name) runs on",
                hint: "add one to it", object: name)
        }
        try Self.check(port: ground.policy?.port, of: ground.ranks.map(\.host), ground.policy?.name ?? "")
        var candidates: [PlacementCandidate] = []
        for (host, rank) in ground.ranks where host.id != source {
            candidates.append(await candidate(host, rank: rank))
        }
        let chosen = domain.disks.filter { disks.contains($0.target) }
        let need = PlacementNeed(
            vm: domain.uuid,
            networks: Set(domain.nics.compactMap { ground.plan.target(of: $0.network) }),
            bytes: chosen.reduce(0) { $0 + ($1.size ?? 0) } / Self.leastShareOfSpace,
            classes: ground.targets(of: chosen.compactMap(\.path), at: source))
        return Placement.choose(need, among: candidates)?.host ?? first.id
    }

    /// A host counts as full with less free than this part of the disks: they are thin, and nobody knows how thin.
    static var leastShareOfSpace: UInt64 { 10 }

    private func candidate(_ host: Host, rank: Int) async -> PlacementCandidate {
        var candidate = PlacementCandidate(
            host: host.id, rank: rank, healthy: false, networks: [], store: host.store, freeBytes: 0)
        guard let hypervisor = try? await hosts.hypervisor(host.id), let networks = try? await hypervisor.networks(),
            let agent = try? await hosts.agent(host.id), let status = try? await agent.status()
        else { return candidate }
        candidate.healthy = true
        candidate.networks = Set(networks)
        candidate.freeBytes = status.freeBytes
        return candidate
    }
}

/// What the vault knows of a pair that matters to placement.
private struct PlacementGround: Sendable {
    var recovery: Cloud?
    var policy: Policy?
    /// The recovery cloud's hosts; those of one cluster share a rank.
    var ranks: [(host: Host, rank: Int)] = []
    var plan: NetworkPlan
    private var classes: [StorageClass]
    private var mappings: [StorageMapping]
    private var primaryServer: String?

    init(_ vault: any VaultReader, _ pair: CloudPair) throws {
        let recovery = try vault.object(Cloud.self, id: pair.recovery)?.value
        self.recovery = recovery
        policy = try vault.object(Policy.self, id: pair.policy)?.value
        primaryServer = try vault.object(Cloud.self, id: pair.primary)?.value.server
        plan = NetworkPlan(
            from: pair.primary, to: pair.recovery,
            mappings: try
                (vault.objects(NetworkMapping.self, parent: pair.primary)
                + vault.objects(NetworkMapping.self, parent: pair.recovery)).map(\.value))
        classes = try vault.objects(StorageClass.self).map(\.value)
        mappings = try vault.objects(StorageMapping.self).map(\.value)
        guard let recovery else { return }
        let clusters = try (recovery.clusters ?? []).compactMap { try vault.object(HostCluster.self, id: $0)?.value }
        for id in recovery.allHosts(in: clusters) {
            guard let host = try vault.object(Host.self, id: id)?.value else { continue }
            let own = recovery.hosts.firstIndex(of: id)
            let cluster = clusters.firstIndex { $0.hosts.contains(id) } ?? 0
            ranks.append((host, own ?? recovery.hosts.count + cluster))
        }
    }

    /// The classes that the classes of these files are mapped to, each once.
    func targets(of paths: [String], at host: String) -> [StorageClass] {
        let sources = classes.filter { storageClass in
            storageClass.server == primaryServer && paths.contains { storageClass.holds($0, at: host) }
        }
        let wanted = Set(mappings.filter { mapping in sources.contains { $0.id == mapping.source } }.map(\.target))
        return classes.filter { wanted.contains($0.id) }
    }
}
