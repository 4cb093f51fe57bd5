import BlockReplication
import SiteModel
import VaultStore

/// Words for a point other than its number.
enum PointChoice {
    /// The newest one that the guest's applications agreed to.
    static let applicationConsistent = "application-consistent"
    /// Every point; a verification takes it.
    static let all = "all"
}

/// Which point a VM is started from, and whether it can be.
extension JobDriver {
    /// Refuses, while the VM still runs at its source, what would be refused of the failover once it does not.
    func checkBeforeEnding() async throws {
        let points = try await hosts.agent(relationship.target).points(relationship: relationship.id)
        try await checkStart(from: try await chosenPoint(among: points), among: points)
    }

    /// The point that was asked for, of those at the target.
    func chosenPoint(among points: [PointSummary]) async throws -> PointSummary {
        guard let newest = points.last else {
            throw EngineError(.failed, "the target holds no point of \(relationship.name)", object: relationship.name)
        }
        let (wanted, member) = try await wantedPoint()
        let chosen =
            switch wanted {
            case "latest": newest
            case PointChoice.applicationConsistent: points.last { $0.cause == .applicationConsistent }
            default: points.first { String($0.number) == wanted || $0.generation == member ?? wanted }
            }
        guard let chosen else {
            throw EngineError(
                .unknown, "\(relationship.name) has no recovery point \(wanted)",
                hint: "it has: \(points.map { String($0.number) }.joined(separator: ", "))",
                rule: "recovery-point-unknown", object: relationship.name)
        }
        return chosen
    }

    /// What the operator said, and this VM's generation where it is the name of a group point.
    private func wantedPoint() async throws -> (wanted: String, member: String?) {
        let (wanted, id) = (argument("point") ?? "latest", relationship.id)
        return (wanted, try await dependencies.vault.read { try PointChoice.generation(wanted, of: id, in: $0) })
    }

    /// Refuses a point that the VM could not be started from, or should not without a word of the operator's.
    func checkStart(from chosen: PointSummary, among points: [PointSummary]) async throws {
        let (wanted, member) = try await wantedPoint()
        try await checkDisksInPoint(
            String(chosen.number),
            isNamed: member != nil || wanted == String(chosen.number) || wanted == chosen.generation)
        try await checkNameAtTarget()
        try await checkFirmware(at: chosen.generation)
        try await noteChecks(points)
        guard let damage = chosen.damage, argument("accept_damage") == nil else { return }
        let whole = points.last { $0.damage == nil }?.number
        let rule = SiteFacts.DamageFacts(number: chosen.number, text: damage.text, whole: whole)
            .rule(against: job.operation)
        throw EngineError(
            .refused, "\(job.operation.rawValue) of \(relationship.name): \(rule.sentence)", hint: rule.hint,
            rule: rule.id, object: relationship.name)
    }
}
