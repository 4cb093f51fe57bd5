import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Whether the points at the target are those that the vault knows: only on such is a further one built.
///
/// Change maps say what the source wrote since the vault's newest point. Over another state of the target they would make a
/// point that never was; then all is compared.
enum Lineage {
    /// What contradicts the vault, in one sentence; nil when the target holds the vault's newest point and what follows from it.
    ///
    /// - Parameters:
    ///   - points: what the target holds, oldest first.
    ///   - newest: generation of the newest point that the vault knows; nil before the first copy.
    ///   - number: that point's number in the vault.
    static func contradiction(points: [PointSummary], newest: String?, number: Int?) -> String? {
        guard let newest else { return nil }
        guard let last = points.last else { return "the target holds no point any more" }
        guard let index = points.firstIndex(where: { $0.generation == newest }) else {
            return "the target's newest point is \(last.number), and the vault's newest"
                + (number.map { ", \($0)," } ?? "") + " is not there"
        }
        if let number, points[index].number != number {
            return "point \(number) of the vault has number \(points[index].number) at the target"
        }
        for (earlier, later) in zip(points[index...], points[(index + 1)...]) where later.previous != earlier.generation
        {
            return "point \(later.number) at the target was not made from point \(earlier.number)"
        }
        return nil
    }
}

extension JobDriver {
    /// Whether whole disks are compared, whatever is known of changes.
    var isResync: Bool { job.operation == .resync || (job.operation == .resume && job.origin == .resyncPaused) }

    /// Makes vault and target agree on what the next point is built on, or says that they have diverged.
    func settleLineage(at target: any Agent) async throws {
        guard job.operation.copies else { return try await adoptUnrecordedPoints(at: target) }
        let points = try await target.points(relationship: relationship.id)
        if isResync { return try await reconcile(with: points, at: target) }
        try await checkLineage(points)
        try await adoptUnrecordedPoints(points)
    }

    func checkLineage(at target: any Agent) async throws {
        try await checkLineage(try await target.points(relationship: relationship.id))
    }

    private func checkLineage(_ points: [PointSummary]) async throws {
        let newest = relationship.newestGeneration
        let known = try await dependencies.vault.read { vault in
            try newest.flatMap { try vault.object(RecoveryPoint.self, id: $0)?.value.number }
        }
        if let contradiction = Lineage.contradiction(points: points, newest: newest, number: known) {
            throw EngineError(
                .diverged, "the sides of \(relationship.name) have diverged: \(contradiction)",
                hint: "resync: whole disks are compared, and points that are whole stay", object: relationship.name)
        }
    }

    /// Takes the target's points for what they are: those that are whole there stay or come into the vault, those that are gone
    /// leave it.
    ///
    /// Every point is checked by its store against its own manifest, and none is ever changed, so a divergence of the newest
    /// says nothing against an older one. Where no point is left, the copy begins anew.
    private func reconcile(with points: [PointSummary], at target: any Agent) async throws {
        // Of a first copy that this job has begun, what came stays.
        if points.isEmpty, !keepsFirstCopy {
            try await target.forget(relationship: relationship.id)
            try await recordOwnershipAtHosts([relationship.target], required: true)
        }
        let (now, name) = (now, relationship.name)
        let dependencies = dependencies
        try await record { job, relationship, vault in
            let there = Set(points.map(\.generation))
            var gone: [Int] = []
            for point in try vault.objects(RecoveryPoint.self, parent: relationship.id) {
                let same = points.contains { $0.generation == point.value.id && $0.number == point.value.number }
                if !same { try vault.delete(point) }
                if !there.contains(point.value.id) { gone.append(point.value.number) }
            }
            // What changed since a point that is gone says nothing about what changed since an older one.
            if points.last?.generation != relationship.newestGeneration { relationship.checkpoint = nil }
            relationship.newestGeneration = nil
            for point in points { try Self.note(point, in: &relationship, vault, dependencies) }
            guard !gone.isEmpty else { return }
            let numbers = gone.sorted().map(String.init).joined(separator: ", ")
            job.facts["dropped"] = numbers
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "the resync of \(name) found that the target no longer holds point \(numbers)",
                    code: "points-gone", topic: .vm))
        }
    }

    /// Ends what the job that this one ended had begun: its export at the source, and what the target has received of its point.
    ///
    /// A side that does not answer holds nothing up: the next copy begins by ending what it finds.
    func endCopy() async throws {
        if let hypervisor = try await hosts.reachableHypervisor(relationship.source),
            try await hypervisor.domain(uuid: relationship.vmUUID) != nil
        {
            try await hypervisor.endBackup(uuid: relationship.vmUUID)
        }
        guard let leftover = fact("leftover"), let agent = try await hosts.reachableAgent(relationship.target) else {
            return
        }
        try await agent.abandonPoint(relationship: relationship.id, generation: leftover)
    }

    /// Says where a VM is that its source no longer knows: one that was moved is not replicated from there (rule 29).
    func goneFromSource() async throws -> EngineError {
        let all = try await dependencies.vault.read { try $0.objects(Host.self).map(\.value) }
        let source = all.first { $0.id == relationship.source }?.name ?? "its source"
        for host in all where host.id != relationship.source && host.id != relationship.target {
            guard let hypervisor = try await hosts.reachableHypervisor(host.id),
                (try? await hypervisor.domain(uuid: relationship.vmUUID)) ?? nil != nil
            else { continue }
            return EngineError(
                .vmGone, "\(relationship.name) is at \(host.name) now, and is replicated from \(source)",
                hint: "move it back and resume, or unprotect it and protect it where it is", object: relationship.name)
        }
        return EngineError(
            .vmGone, "\(source) does not know the VM \(relationship.name) any more",
            hint: "define it there again and resume; if it is lost, fail over unplanned", object: relationship.name)
    }
}
