import BlockReplication
import Hypervisors
package import SiteModel
import VaultStore

/// How one VM stands: what an operator wants to know before touching anything.
package struct VMStatus: Sendable {
    package var relationship: Relationship
    package var item: ProtectedItem?
    package var owner: Host?
    package var source: Host?
    package var target: Host?
    package var newestPoint: RecoveryPoint?
    package var points: Int
    /// The open job that has the VM, and who drives it.
    package var job: Job?
    package var jobStanding: JobStanding?
    package var verdicts: [Guards.Verdict]
    /// Which operations come next, the recommended first, and where the VM stands.
    package var next: NextSteps
    /// Hosts at which the VM runs though they do not own it: two copies may be written.
    package var runsWithoutOwnership: [Host]
    /// Whether the VM runs at its owner; nil when the owner does not answer.
    package var runsAtOwner: Bool?
}

extension RecoveryEngine {
    /// The state of every replicated VM, by name.
    package func status() async throws -> [VMStatus] {
        let all = try await vault.read { vault in try vault.objects(Relationship.self).map(\.value) }
        var rows: [VMStatus] = []
        for relationship in all { rows.append(try await status(of: relationship)) }
        return rows
    }

    /// The state of a replicated VM by its name; nil when there is none.
    package func status(ofVM name: String) async throws -> VMStatus? {
        let found = try await vault.read { try $0.object(Relationship.self, named: name, parent: nil)?.value }
        guard let found else { return nil }
        return try await status(of: found)
    }

    package func status(of relationship: Relationship) async throws -> VMStatus {
        let (hosts, points, job, standing) = try await vault.read { vault in
            let job = try relationship.activeJob.flatMap { try vault.object(Job.self, id: $0)?.value }
            return (
                try vault.objects(Host.self).map(\.value),
                try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value),
                job, try job.flatMap { try self.standing(of: $0, vault) }
            )
        }
        func host(_ id: String) -> Host? { hosts.first { $0.id == id } }
        let item = try await item(of: relationship)
        let facts = try await facts(for: relationship, item: item, looking: true)
        let running = facts.runningAt ?? []
        let ownerAnswers =
            relationship.owner == relationship.source ? facts.sourceReachable : facts.targetReachable
        return VMStatus(
            relationship: relationship, item: item, owner: host(relationship.owner),
            source: host(relationship.source), target: host(relationship.target),
            newestPoint: points.max { $0.number < $1.number }, points: points.count,
            job: job.flatMap { $0.state.isOpen ? $0 : nil }, jobStanding: standing,
            verdicts: Guards.verdicts(for: relationship, item: item, facts: facts),
            next: Guards.next(for: relationship, item: item, facts: facts),
            runsWithoutOwnership: running.filter { $0 != relationship.owner }.compactMap(host),
            runsAtOwner: ownerAnswers == true ? running.contains(relationship.owner) : nil)
    }
}
