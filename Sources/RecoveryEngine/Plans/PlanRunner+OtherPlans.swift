import SiteModel
import VaultStore

/// Groups that wait for groups of other plans.
extension PlanRunner {
    enum Others: Sendable {
        case over
        /// Another run is at it.
        case underWay
        /// Nobody brings it about; the group is named.
        case missing(String)
    }

    /// Waits until what a group needs of other plans is over.
    ///
    /// A test of one plan waits for no other: that is what a test of one plan is for.
    func awaitOtherPlans(_ group: PlanGroup) async throws {
        guard operation.isFailover else { return }
        while true {
            switch try await otherPlans(neededBy: group) {
            case .over: return
            case .missing(let what): return await record.fail(Self.waitsInVain(group, what))
            case .underWay: try await engine.dependencies.clock.sleep(seconds: 1)
            }
        }
    }

    static func waitsInVain(_ group: PlanGroup, _ what: String) -> JobFailure {
        JobFailure(
            kind: "refused", message: "group \"\(group.name)\" waits for \(what), which is not over and not under way",
            hint: "run that plan first; its VMs must have been moved the same way")
    }

    func otherPlans(neededBy group: PlanGroup) async throws -> Others {
        let now = engine.dependencies.clock.now
        let (plan, direction) = (plan, direction)
        return try await engine.vault.read { vault in
            var nodes = PlanGraph.needed(by: group, in: plan).filter { !$0.hasPrefix("\(plan.name)/") }
            for name in plan.dependsOn {
                let other = try vault.object(RecoveryPlan.self, named: name, parent: nil)?.value
                nodes += other?.bootGroups.map { PlanGraph.node(name, $0.name) } ?? []
            }
            for node in nodes {
                let parts = node.split(separator: "/", maxSplits: 1).map(String.init)
                guard let name = parts.first, let last = parts.last,
                    let other = try vault.object(RecoveryPlan.self, named: name, parent: nil)?.value
                else { return .missing(node) }
                let vms = other.bootGroups.first { $0.name == last }?.vms ?? []
                let open = try vms.first { vm in
                    guard let item = try RecoveryEngine.item(vm, group: last, vault) else { return true }
                    return !item.isOver(direction)
                }
                guard open != nil else { continue }
                let lease = try vault.lease(PlanRunRecord.leaseName(other.id))
                return lease.map { $0.expiresAt > now } == true ? .underWay : .missing(node)
            }
            return .over
        }
    }
}
