import SiteModel
import VaultStore

/// A VM of a plan, as the vault says that it stands now.
struct PlanItem: Sendable {
    var group: String
    var relationship: Relationship
    /// The job that has it, if it is one that moves it.
    var moving: Job?

    var vm: String { relationship.name }

    /// The way that it moves, or has moved: its replication's.
    var direction: PlanDirection { relationship.direction }

    /// Whether it has moved that way to its end, whoever moved it.
    func isOver(_ direction: PlanDirection) -> Bool {
        guard moving == nil else { return false }
        let destination = self.direction == direction ? relationship.target : relationship.source
        return relationship.owner == destination
    }
}

extension Relationship {
    var direction: PlanDirection { source == home ? .primaryToRecovery : .recoveryToPrimary }
}

extension RecoveryEngine {
    /// The VMs of a plan by name, and the names of those that are protected no more.
    func items(of plan: RecoveryPlan) async throws -> (items: [PlanItem], missing: [String]) {
        try await vault.read { vault in
            var items: [PlanItem] = []
            var missing: [String] = []
            for group in plan.bootGroups {
                for vm in group.vms {
                    guard let item = try Self.item(vm, group: group.name, vault), item.relationship.item != nil,
                        item.relationship.state != .unprotected
                    else {
                        missing.append(vm)
                        continue
                    }
                    items.append(item)
                }
            }
            return (items, missing)
        }
    }

    func item(_ vm: String, group: String) async throws -> PlanItem? {
        try await vault.read { try Self.item(vm, group: group, $0) }
    }

    static func item(_ vm: String, group: String, _ vault: any VaultReader) throws -> PlanItem? {
        guard let relationship = try vault.object(Relationship.self, named: vm, parent: nil)?.value else { return nil }
        let job = try relationship.activeJob.flatMap { try vault.object(Job.self, id: $0)?.value }
        let moves = job.map { $0.state.isOpen && [.plannedFailover, .unplannedFailover].contains($0.operation) }
        return PlanItem(group: group, relationship: relationship, moving: moves == true ? job : nil)
    }
}
