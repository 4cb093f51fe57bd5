package import SiteModel

/// What a script would do, as far as a simulation of the sites can tell.
package struct ScriptPlan: Sendable, Encodable {
    package var script: String
    /// When the vault was read.
    package var at: Timestamp
    /// In the order in which they are expected to begin.
    package var steps: [PlanStep]
    /// Lines that the script prints.
    package var output: [String]
    package var questions: [PlanQuestion]
    /// How much each replicated VM would lose if its source were lost now.
    package var losses: [Loss]
    /// What is missing at the sites for replicated VMs to come up at the other side, as `doctor` would say.
    package var missing: [Missing]
    /// What the plan takes for given.
    package var assumptions: [String]
    /// What the script fails with; nil when it ends well.
    package var failure: PlanFailure?
    /// Invariants that break on the way; there should be none.
    package var violations: [String]
    /// Seconds from the first step to the end of the last as expected.
    package var expectedSeconds: Double

    /// What would be lost of a VM.
    package struct Loss: Sendable, Encodable {
        package var vm: String
        /// Seconds since the newest recovery point's instant; nil when there is none.
        package var seconds: Double?
        /// Seconds that the policy allows between two points.
        package var allowedSeconds: Double?
    }

    /// Something that a VM or pair lacks.
    package struct Missing: Sendable, Encodable, Equatable {
        /// Id of the check.
        package var check: String
        package var object: String
        package var what: String
        package var fix: String?
    }

    package var succeeded: Bool { failure == nil && violations.isEmpty }
}
