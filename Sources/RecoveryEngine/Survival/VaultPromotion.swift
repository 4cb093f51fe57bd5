package import BlockReplication
package import SiteModel
import VaultStore

/// Makes a copy of the vault the vault: from then on the agents refuse every other copy.
package struct VaultPromotion: Sendable {
    package struct Outcome: Sendable, Hashable {
        package var epoch: Int
        /// Since when the copy has been the vault, where it was that already and nothing was changed.
        package var already: Timestamp?
        /// Hosts whose agents know of it now.
        package var told: [String]
        /// Hosts whose agents did not answer; they are told when they do.
        package var silent: [String]
        /// Open jobs that the lost engine left: the next engine takes them up.
        package var openJobs: Int
    }

    let dependencies: EngineDependencies
    let place: String

    /// - Parameter place: which copy it is, `MACHINE:PATH`: a copy that was promoted where it lies is the vault already.
    package init(_ dependencies: EngineDependencies, place: String) {
        self.dependencies = dependencies
        self.place = place
    }

    /// Promotes the copy, and tells the hosts that answer.
    ///
    /// One that is the vault already stays as it is; hosts are told again. Throws `superseded` when a host obeys another copy:
    /// promoted once more after that, this one takes its place, for then whoever asks knows of the other.
    ///
    /// - Parameter kept: the copy's place in a host's store, if it lies in one: taken before the copy was opened, and let go
    ///   of here, once the store knows what its agent would be told.
    package func promote(_ kept: consuming KeptCopy? = nil) async throws -> Outcome {
        let (vault, now) = (dependencies.vault, dependencies.clock.now)
        let mark = PromotionMark(id: dependencies.identifiers.next(), place: place, at: now)
        let identity = try await vault.changeIdentity(orNew: dependencies.identifiers.next()) { identity in
            if identity.promotion?.place == mark.place, identity.supersededBy == nil { return }
            identity.promote(as: mark)
        }
        if let kept = consume kept {
            try await vault.obeyed(as: identity) { try kept.attend(identity.standing) }
        }
        let isNew = identity.promotion == mark
        if isNew {
            try await vault.write { vault in
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: nil,
                        text: "this copy of the vault was promoted: epoch \(identity.epoch), \(mark.place)"))
            }
        }
        let directory = HostDirectory(vault: vault, connections: dependencies.connections)
        var outcome = Outcome(
            epoch: identity.epoch, already: isNew ? nil : identity.promotion?.at, told: [], silent: [], openJobs: 0)
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
