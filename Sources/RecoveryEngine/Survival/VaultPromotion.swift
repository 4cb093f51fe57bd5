import BlockReplication
import SiteModel
import VaultStore

/// Makes a copy of the vault the vault: from then on the agents refuse every other copy.
package struct VaultPromotion: Sendable {
    package struct Outcome: Sendable, Hashable {
        package var epoch: Int
        /// Hosts whose agents know of it now.
        package var told: [String]
        /// Hosts whose agents did not answer; they are told when they do.
        package var silent: [String]
        /// Open jobs that the lost engine left: the next engine takes them up.
        package var openJobs: Int
    }

    let dependencies: EngineDependencies

    package init(_ dependencies: EngineDependencies) {
        self.dependencies = dependencies
    }

    package func promote() async throws -> Outcome {
        let (vault, now) = (dependencies.vault, dependencies.clock.now)
        let identity = try await vault.changeIdentity(orNew: dependencies.identifiers.next()) { identity in
            identity.epoch = max(identity.epoch, identity.supersededBy ?? 0) + 1
            identity.promotedAt = now
            // Its second place was itself.
            (identity.secondPlace, identity.supersededBy) = (nil, nil)
        }
        try await vault.write { vault in
            try vault.append(
                Event(
                    at: now, severity: .warning, object: nil,
                    text: "this copy of the vault was promoted: epoch \(identity.epoch)"))
        }
        let directory = HostDirectory(vault: vault, connections: dependencies.connections)
        var outcome = Outcome(epoch: identity.epoch, told: [], silent: [], openJobs: 0)
        outcome.openJobs = try await vault.read { try $0.openJobs().count }
        for host in try await vault.read({ try $0.objects(Host.self).map(\.value) }) {
            if try await directory.reachableAgent(host.id) != nil {
                outcome.told.append(host.name)
            } else {
                outcome.silent.append(host.name)
            }
        }
        return outcome
    }
}
