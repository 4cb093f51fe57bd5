import Hypervisors
import SiteModel
import Simulation
import VaultStore

/// Where a VM runs in a simulated world, and how its replication stands in the vault.
struct VMStanding: Sendable, Equatable {
    var places: [String]
    var state: String?
    var owner: String?

    var words: String {
        let place = places.isEmpty ? "runs nowhere" : "runs at \(places.joined(separator: " and "))"
        guard let state else { return place }
        return "\(place), \(state)" + (owner.map { ", owned by \($0)" } ?? "")
    }

    /// Of all VMs of the world, by name.
    static func all(_ world: World, _ vault: any Vault) async throws -> [String: VMStanding] {
        let (relationships, hosts) = try await vault.read { vault in
            (
                try vault.objects(Relationship.self).map(\.value),
                Dictionary(
                    try vault.objects(SiteModel.Host.self).map { ($0.id, $0.name) },
                    uniquingKeysWith: { first, _ in first })
            )
        }
        var standing: [String: VMStanding] = world.look { state in
            var standing: [String: VMStanding] = [:]
            for host in state.hosts.values.sorted(by: { $0.name < $1.name }) {
                for domain in host.domains.values {
                    standing[domain.name, default: VMStanding(places: [])].places +=
                        domain.power == .running ? [host.name] : []
                }
            }
            return standing
        }
        for relationship in relationships {
            standing[relationship.name, default: VMStanding(places: [])].state = relationship.state.rawValue
            standing[relationship.name]?.owner = hosts[relationship.owner]
        }
        return standing
    }

    /// Of one VM; nil when it is nowhere.
    static func of(_ name: String, _ world: World, _ vault: any Vault) async throws -> VMStanding? {
        let places = world.look { state in
            state.hosts.values.filter { $0.domains.values.contains { $0.name == name && $0.power == .running } }
                .map(\.name).sorted()
        }
        return try await vault.read { vault in
            let relationship = try vault.object(Relationship.self, named: name, parent: nil)?.value
            let owner = try relationship.flatMap { try vault.object(SiteModel.Host.self, id: $0.owner)?.value.name }
            return VMStanding(places: places, state: relationship?.state.rawValue, owner: owner)
        }
    }

    /// What is other than before, a sentence a VM.
    static func changes(from before: [String: VMStanding], to after: [String: VMStanding]) -> [String] {
        Set(before.keys).union(after.keys).sorted().compactMap { name in
            guard before[name] != after[name] else { return nil }
            return "\(name): \(before[name]?.words ?? "not there") -> \(after[name]?.words ?? "gone")"
        }
    }
}
