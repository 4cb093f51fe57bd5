import SiteModel
import VaultStore

/// Removes runs of scripts and of plans that are over and beyond the limits.
extension RecoveryEngine {
    /// Prunes runs of scripts.
    ///
    /// One that a run of a plan names stays with it; one that is under way always does.
    func pruneRuns(keeping named: NamedHistory, _ limits: HistoryLimits) async throws -> Int {
        let now = dependencies.clock.now
        let spent = try await vault.read { vault in
            let asked = Set(try vault.objects(PlanRun.self).compactMap(\.value.run))
            let over = try vault.objects(Run.self).map(\.value).filter { !named.runs.contains($0.id) }
            return Self.spent(over, { ($0.startedAt, $0.id) }, now, days: limits.days, count: limits.runs)
                .map(\.id).filter { !asked.contains($0) }
        }
        return try await remove(Run.self, spent, lease: Self.runLeaseName)
    }

    /// Prunes runs of plans with their steps.
    ///
    /// The last one of each kind of each plan stays, and so does one that can be taken up again.
    func prunePlanRuns(_ limits: HistoryLimits) async throws -> Int {
        let now = dependencies.clock.now
        var count = 0
        for plan in try await vault.read({ try $0.parents(of: PlanRun.self) }) {
            let spent = try await vault.read { vault in
                let over = try vault.objects(PlanRun.self, parent: plan).map(\.value).filter { !$0.state.isOpen }
                var seen: Set<[String]> = []
                let last = over.sorted { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
                    .filter { seen.insert([$0.operation.rawValue, $0.direction.rawValue, $0.state.rawValue]).inserted }
                return Self.spent(over, { ($0.startedAt, $0.id) }, now, days: limits.days, count: limits.runsOfPlan)
                    .map(\.id).filter { id in !last.contains { $0.id == id } }
            }
            for id in spent { count += try await removePlanRun(id) ? 1 : 0 }
        }
        return count
    }

    /// The steps first: a run without all of its steps is removed by the next pruning, and steps without a run would stay.
    private func removePlanRun(_ id: String) async throws -> Bool {
        let steps = try await vault.read { try $0.objects(PlanStep.self, parent: id).map(\.value.id) }
        for part in steps.parts(of: Self.atOnce) {
            try await vault.write { vault in
                for id in part {
                    if let step = try vault.object(PlanStep.self, id: id) { try vault.delete(step) }
                }
            }
        }
        return try await vault.write { vault in
            guard let run = try vault.object(PlanRun.self, id: id), !run.value.state.isOpen else { return false }
            try vault.delete(run)
            return true
        }
    }

    /// What is beyond the newest `count`, or older than `days`; oldest first.
    private static func spent<Object>(
        _ objects: [Object], _ age: (Object) -> (Timestamp, String), _ now: Timestamp, days: Int, count: Int
    ) -> [Object] {
        let newestFirst = objects.sorted { age($0) > age($1) }
        return newestFirst.enumerated().filter { index, object in
            index >= count || now.seconds(since: age(object).0) > Double(days) * 86_400
        }.map(\.element).reversed()
    }
}
