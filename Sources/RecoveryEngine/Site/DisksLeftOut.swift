import Hypervisors
package import SiteModel
import VaultStore

/// Saying of a VM's disks, while it is replicated, which are not.
extension RecoveryEngine {
    /// Leaves these disks out of the points to come, and takes in all others; points that are whole stay as they are.
    ///
    /// A disk that is taken in again travels whole with the next point. Refused while an operation has the VM, for names that
    /// it does not have, and where no disk would be left.
    @discardableResult
    package func leaveOut(_ disks: [String], of relationshipID: String) async throws -> Relationship {
        let relationship = try await relationship(relationshipID)
        let domain = try await hosts.hypervisor(relationship.source).domain(uuid: relationship.vmUUID)
        let writable = domain?.disks.filter { !$0.isReadOnly }.map(\.target) ?? []
        let known = writable + (relationship.excludedDisks ?? []).filter { !writable.contains($0) }
        if case .failure(let violation) = DiskChoice.choose(of: known, only: nil, excluding: disks) {
            throw EngineError(
                .invalid, "leave_out of '\(relationship.name)': \(violation.sentence)",
                hint: "change \(violation.field); nothing was changed", object: relationship.name)
        }
        let now = dependencies.clock.now
        return try await vault.write { vault in
            guard var found = try vault.object(Relationship.self, id: relationshipID) else {
                throw EngineError(
                    .unknown, "\(relationship.name) is no longer in the vault", hint: "protect it anew",
                    object: relationship.name)
            }
            guard found.value.activeJob == nil, found.value.failover == nil else {
                throw EngineError(
                    .refused, "\(relationship.name) is in the middle of an operation or a failover",
                    hint: "let it end (commit and reverse a failover), then say it again", object: relationship.name)
            }
            found.value.excludedDisks = disks.isEmpty ? nil : disks
            found.value.disks.removeAll { disks.contains($0.target) }
            let left = found.value.unreplicated?.filter { !disks.contains($0.key) } ?? [:]
            found.value.unreplicated = left.isEmpty ? nil : left
            try vault.update(found)
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationshipID,
                    text: disks.isEmpty
                        ? "all disks of \(relationship.name) are replicated from its next point on"
                        : "disk \(disks.joined(separator: ", ")) of \(relationship.name) is left out of its points to come",
                    code: "disks-left-out", topic: .vm))
            return found.value
        }
    }
}
