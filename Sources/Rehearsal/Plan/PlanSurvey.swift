import RecoveryEngine
import SiteModel

/// What the sites lack before the script is run.
enum PlanSurvey {
    /// Checks of what a VM needs at the other side.
    static let checks: Set<String> = [
        "nics-on-networks", "vm-network-mapped", "target-name-free", "target-space", "target-memory", "networks-mapped",
        "target-network",
    ]

    /// Looks at the simulated sites, which are what the real ones were when they were described.
    static func missing(_ engine: RecoveryEngine) async throws -> [ScriptPlan.Missing] {
        let inspection = SiteInspection(engine: engine, isExecutable: { _ in true })
        return try await inspection.everything().filter {
            checks.contains($0.check) && ($0.verdict == .fail || $0.verdict == .warn)
        }.map {
            ScriptPlan.Missing(check: $0.check, object: $0.object, what: $0.cause, fix: $0.fix)
        }
    }
}
