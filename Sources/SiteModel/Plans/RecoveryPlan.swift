/// How the VMs of an application move together: groups in order, members of a group in parallel, and what is done before
/// and after each (reference, section 6).
///
/// A plan names things and holds nothing of the world: a run looks at the world. The limits of the reference (seven
/// groups, 100 items) were the service's own and are not kept; see `PlanLimits`.
package struct RecoveryPlan: SiteObject {
    package static let kind = "plan"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// Ids of the servers that own the primary and the recovery clouds; one server may be both.
    package var source: String
    package var target: String
    package var groups: [PlanGroup]
    /// Names of plans whose boot groups must all have been started before this plan begins.
    package var dependsOn: [String]

    package init(
        id: String, name: String, source: String, target: String, groups: [PlanGroup], dependsOn: [String] = []
    ) {
        self.id = id
        self.name = name
        self.source = source
        self.target = target
        self.groups = groups
        self.dependsOn = dependsOn
    }

    /// The groups that start VMs, in the order written.
    package var bootGroups: [PlanGroup] { groups.filter { $0.kind == .boot } }

    /// The names of all VMs of the plan, group by group.
    package var vms: [String] { groups.flatMap(\.vms) }

    /// The actions at which a run of that kind waits for a person; those of one direction only, where it is known.
    package func manualActions(for operation: PlanOperation, _ direction: PlanDirection? = nil) -> [PlanAction] {
        groups.flatMap { $0.before + $0.after }.filter { action in
            guard case .manual = action.work else { return false }
            return action.operations.contains(operation) && (direction.map(action.directions.contains) ?? true)
        }
    }

    /// The group that holds the actions around one of the steps that the plan has anyhow.
    package func step(_ kind: GroupKind) -> PlanGroup? { groups.first { $0.kind == kind } }
}

/// What a group is for.
package enum GroupKind: String, Codable, Hashable, Sendable, CaseIterable {
    /// The step that stops the VMs at the source, last group first. It has no members: only actions around it.
    case shutdown
    /// The step that moves all VMs, up to but not including their start. It has no members either.
    case failover
    /// VMs that are started together.
    case boot
}

/// A part of a plan that is begun and ended as one.
package struct PlanGroup: Codable, Hashable, Sendable {
    package var name: String
    package var kind: GroupKind
    /// Names of VMs; empty for `shutdown` and `failover`.
    package var vms: [String]
    package var before: [PlanAction]
    package var after: [PlanAction]
    /// What must have been started before this group: a group of this plan by its name, one of another plan as
    /// `plan/group`.
    ///
    /// Nil means the group written before this one; empty means nothing.
    package var dependsOn: [String]?

    package init(
        name: String, kind: GroupKind = .boot, vms: [String] = [], before: [PlanAction] = [], after: [PlanAction] = [],
        dependsOn: [String]? = nil
    ) {
        self.name = name
        self.kind = kind
        self.vms = vms
        self.before = before
        self.after = after
        self.dependsOn = dependsOn
    }
}

/// What a plan is run for.
package enum PlanOperation: String, Codable, Hashable, Sendable, CaseIterable {
    case test
    case cleanUpTest = "clean-up-test"
    case planned
    case unplanned
    case commit
    case reverse

    /// Whether a failure ends the run before the next group: it is fixed and the run repeated.
    ///
    /// In an outage the other way is better: what can be brought up is brought up, and the rest is reported
    /// (reference, section 6).
    package var stopsOnError: Bool { self == .planned }

    /// Whether it moves VMs from one side to the other.
    package var isFailover: Bool { self == .planned || self == .unplanned }
}

/// Which way the VMs of a plan move.
package enum PlanDirection: String, Codable, Hashable, Sendable, CaseIterable {
    case primaryToRecovery = "primary-to-recovery"
    case recoveryToPrimary = "recovery-to-primary"
}

/// How large a plan may be.
///
/// The bounds keep a damaged file from filling memory. Measured are 1,000 VMs in 50 groups.
package enum PlanLimits {
    package static let groups = 1000
    package static let vms = 10_000
    /// In one list of actions.
    package static let actions = 100
    package static let textBytes = 64 * 1024
    package static let words = 256
    package static let timeout = 0.1...604_800.0
    package static let retries = 0...100
    /// Bytes of an action's output that are kept; the rest is counted.
    package static let outputBytes = 4 * 1024 * 1024
    package static let fileBytes = 64 * 1024 * 1024
}
