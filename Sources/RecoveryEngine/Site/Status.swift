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
    package var job: Job?
    package var verdicts: [Guards.Verdict]
}

extension RecoveryEngine {
    /// The state of every replicated VM, by name.
    package func status() async throws -> [VMStatus] {
        let all = try await vault.read { vault in try vault.objects(Relationship.self).map(\.value) }
        var rows: [VMStatus] = []
        for relationship in all { rows.append(try await status(of: relationship)) }
        return rows
    }

    package func status(of relationship: Relationship) async throws -> VMStatus {
        let (hosts, points, job) = try await vault.read { vault in
            (
                try vault.objects(Host.self).map(\.value),
                try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value),
                try relationship.activeJob.flatMap { try vault.object(Job.self, id: $0)?.value }
            )
        }
        func host(_ id: String) -> Host? { hosts.first { $0.id == id } }
        let verdicts = try await verdicts(on: relationship)
        return VMStatus(
            relationship: relationship, item: try await item(of: relationship), owner: host(relationship.owner),
            source: host(relationship.source), target: host(relationship.target),
            newestPoint: points.max { $0.number < $1.number }, points: points.count,
            job: job.flatMap { $0.state.isOpen ? $0 : nil },
            verdicts: verdicts)
    }
}
