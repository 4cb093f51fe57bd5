import SiteModel
import Simulation
import VaultStore

/// Chooses the next move: mostly what may come next, often what may not, and now and then something goes wrong.
struct MoveMaker: Sendable {
    private var chance: SplitMix
    private let site: RandomSite
    /// Incidents that put right what is wrong now.
    private var repairs: [Incident] = []

    init(_ site: RandomSite) {
        self.site = site
        chance = SplitMix(seed: SplitMix.seed("moves", site.seed))
    }

    mutating func next(_ play: isolated Play) async throws -> Move {
        let vm = pick(site.allVMs)
        let relationship = try await play.relationship(vm)
        let points = try await play.points(of: relationship)
        // Where too much is broken for long, all is refused.
        if !repairs.isEmpty, hit(0.1 + 0.15 * Double(repairs.count)) { return repair() }
        switch chance.next(below: 100) {
        case ..<51: return operation(on: vm, relationship, points)
        case ..<56:
            return site.vms.count > 1 ? plan() : operation(on: vm, relationship, points)
        case ..<66:
            // Now and then long enough for a deadline.
            return .wait([0.5, 7, 31, 31, 90, 4000][Int(chance.next(below: 6))])
        case ..<70: return .write(vm)
        case ..<78: return incident(vm)
        case ..<85:
            // Most operations take fewer than sixty steps.
            let move = site.vms.count > 1 && hit(0.1) ? plan() : operation(on: vm, relationship, points)
            return .crash(move, afterSteps: 1 + Int(chance.next(below: 60)))
        case ..<92:
            let second: Move =
                switch chance.next(below: 3) {
                case 0: incident(vm)
                case 1: operation(on: pick(site.allVMs), relationship, points)
                default: operation(on: vm, relationship, points)
                }
            let after = [0, 0.01, 0.05, 0.3, 1, 4][Int(chance.next(below: 6))]
            return .during(operation(on: vm, relationship, points), after: after, second)
        case ..<94: return .cleanUpDueTests
        case ..<97: return .recover
        default: return .watch
        }
    }

    private mutating func hit(_ share: Double) -> Bool { chance.fraction() < share }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int(chance.next(below: UInt64(elements.count)))]
    }

    // MARK: Operations

    private mutating func operation(
        on vm: String, _ relationship: Relationship?, _ points: [RecoveryPoint]
    ) -> Move {
        guard let relationship, relationship.state != .unprotected || hit(0.15) else {
            return .protect(vm, later: hit(0.15))
        }
        let allowed = TransitionTable.allowed(in: relationship.state)
        var operation = hit(0.8) && !allowed.isEmpty ? pick(allowed) : pick(Operation.allCases)
        if [.protected, .testing].contains(relationship.state), hit(0.2) { operation = .sync }
        // Protection that ends half of the time gets nowhere.
        if [.unprotect, .pause, .cancelFirstCopy].contains(operation), hit(0.6) { operation = .sync }
        return .operation(operation, vm, arguments(of: operation, points))
    }

    private mutating func plan() -> Move {
        let operation = pick([PlanOperation.planned, .planned, .unplanned, .commit, .reverse, .test, .cleanUpTest])
        switch operation {
        case .planned: return .plan(operation, ["shutdown_limit": "12"])
        case .unplanned:
            return .plan(operation, ["source": hit(0.6) ? "fence" : "declared lost", "shutdown_limit": "6"])
        default: return .plan(operation, [:])
        }
    }

    private mutating func arguments(of operation: Operation, _ points: [RecoveryPoint]) -> [String: String] {
        switch operation {
        case .unplannedFailover:
            var arguments = ["source": hit(0.6) ? "fence" : "declared lost", "shutdown_limit": "6"]
            if hit(0.1) { arguments["source"] = nil }
            arguments["point"] = point(points)
            return arguments
        case .changePoint: return ["point": point(points) ?? "latest"]
        case .undo: return hit(0.5) ? [:] : ["target": hit(0.5) ? "fence" : "declared lost"]
        case .plannedFailover: return ["shutdown_limit": "12"]
        case .testFailover:
            var arguments = ["network": pick(["none", "create", "test-net", "prod-b", "nowhere"])]
            if hit(0.3) { arguments["force"] = "looked at by hand" }
            if hit(0.5) { arguments["within"] = "60" }
            if hit(0.3) { arguments["point"] = point(points) }
            return arguments
        default: return [:]
        }
    }

    private mutating func point(_ points: [RecoveryPoint]) -> String? {
        if hit(0.4) { return nil }
        if points.isEmpty || hit(0.05) { return "4711" }
        return pick(points).name
    }

    // MARK: Incidents

    private mutating func repair() -> Move {
        .incident(repairs.remove(at: Int(chance.next(below: UInt64(repairs.count)))))
    }

    private mutating func incident(_ vm: String) -> Move {
        let host = pick(site.hosts)
        let (incident, remedy): (Incident, Incident?) =
            switch chance.next(below: 14) {
            case 0, 1: (.loseHost(host), .restoreHost(host))
            case 2: (.cutOff(host), .restoreHost(host))
            case 3: (.cutLink, .mendLink)
            case 4: (.fill(host), .empty(host))
            case 5: (.kill(vm, at: host), nil)
            case 6: (.powerOff(vm, at: host), nil)
            case 7, 8: (.startByHand(vm, at: host), nil)
            case 9: (.grow(vm, at: host), .shrinkBack(vm, at: host))
            case 10: (.stubborn(vm, true), .stubborn(vm, false))
            case 11: (.fence(host, works: false), .fence(host, works: true))
            case 12: (.putBack(vm), nil)
            default: (.fault(pick(Self.calls), at: host, losesAnswer: hit(0.5)), .clearFaults)
            }
        if let remedy, !repairs.contains(remedy) { repairs.append(remedy) }
        return .incident(incident)
    }

    private static let calls = [
        "hypervisor.begin-backup", "hypervisor.end-backup", "hypervisor.define", "hypervisor.undefine",
        "hypervisor.start", "hypervisor.resume", "hypervisor.destroy", "hypervisor.domain", "hypervisor.information",
        "hypervisor.create-checkpoint", "hypervisor.delete-checkpoint", "hypervisor.autostart",
        "hypervisor.commit-chain", "hypervisor.shut-down", "hypervisor.define-network", "agent.open-point",
        "agent.send-point", "agent.seal-point", "agent.keep-points", "agent.points", "agent.drop-points",
        "agent.record-ownership", "agent.forget-ownership", "agent.forget", "agent.create-boot-images",
        "agent.discard-boot-images", "agent.adopt-disks", "agent.settle-disks", "agent.status", "agent.domain-xml",
    ]
}
