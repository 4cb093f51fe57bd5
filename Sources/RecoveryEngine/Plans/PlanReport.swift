package import SiteModel
import VaultStore

/// What a run of a plan came to.
package struct PlanReport: Sendable {
    /// One VM.
    package struct Row: Sendable {
        package var vm: String
        package var group: String
        package var step: PlanStep?
        /// The stages of its job, in order.
        package var stages: [Stage]
        package var point: Int?
        package var state: ReplicationState?
        /// Name of the host that owns it now.
        package var owner: String?

        /// Seconds from the first stage to the last, waits for other groups included.
        package var seconds: Double? {
            guard let step, let from = step.startedAt, let to = step.endedAt else { return nil }
            return to.seconds(since: from)
        }
    }

    package var plan: RecoveryPlan
    package var run: PlanRun
    package var rows: [Row]
    /// Actions that applied, in the order in which they began.
    package var actions: [PlanStep]
}

extension RecoveryEngine {
    /// The runs of a plan, newest first.
    package func runs(of plan: RecoveryPlan) async throws -> [PlanRun] {
        try await vault.read { vault in
            try vault.objects(PlanRun.self, parent: plan.id).map(\.value)
                .sorted { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
        }
    }

    /// The last run of each plan that is under way, or that goes on when the plan is run again.
    package func openPlanRuns() async throws -> [(plan: RecoveryPlan, run: PlanRun)] {
        try await vault.read { vault in
            try vault.objects(RecoveryPlan.self).map(\.value).compactMap { plan in
                let last = try vault.objects(PlanRun.self, parent: plan.id).map(\.value)
                    .max { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
                return last.flatMap { $0.state.isOpen ? (plan, $0) : nil }
            }
        }
    }

    package func report(of run: PlanRun, plan: RecoveryPlan) async throws -> PlanReport {
        try await vault.read { vault in
            let steps = try vault.objects(PlanStep.self, parent: run.id).map(\.value)
            let byName = Dictionary(steps.map { ($0.name, $0) }, uniquingKeysWith: { _, last in last })
            var rows: [PlanReport.Row] = []
            for group in plan.bootGroups {
                for vm in group.vms {
                    let step = byName[PlanStepName.vm(vm)]
                    let job = try step?.job.flatMap { try vault.object(Job.self, id: $0)?.value }
                    let relationship = try vault.object(Relationship.self, named: vm, parent: nil)?.value
                    rows.append(
                        PlanReport.Row(
                            vm: vm, group: group.name, step: step, stages: job?.stages ?? [],
                            point: job?.facts["point"].flatMap(Int.init), state: relationship?.state,
                            owner: try relationship.flatMap { try vault.object(Host.self, id: $0.owner)?.value.name }))
                }
            }
            let present = try vault.object(PlanRun.self, id: run.id)?.value ?? run
            return PlanReport(
                plan: plan, run: present, rows: rows,
                actions: steps.filter { $0.name.hasPrefix("action:") }
                    .sorted { ($0.startedAt ?? run.startedAt, $0.id) < ($1.startedAt ?? run.startedAt, $1.id) })
        }
    }
}
