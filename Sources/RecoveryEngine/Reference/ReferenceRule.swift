/// One rule of order of the original, and what stands for it here.
package struct ReferenceRule: Sendable, Hashable {
    /// Its number in the collected facts, section 2.4.
    package let number: Int
    package let sentence: String
    /// Ids of rules of the rule book that refuse what breaks it.
    package let rules: [String]
    /// Ids of checks that tell of it beforehand.
    package let checks: [String]
    /// Where else it is kept, or why it has no meaning here.
    package let here: String

    init(_ number: Int, _ sentence: String, rules: [String] = [], checks: [String] = [], here: String) {
        self.number = number
        self.sentence = sentence
        self.rules = rules
        self.checks = checks
        self.here = here
    }
}

/// All 34 rules, and the part of docs/from-site-recovery.md that is made of them.
package enum ReferenceRules {
    package static let all: [ReferenceRule] = deployment + failover + controlPlane

    /// The generated part of the page, its border lines included.
    package static func markdown() -> String {
        let rows = all.map { rule in
            let kept =
                rule.rules.map { "rule `\($0)`" } + rule.checks.map { "check `\($0)`" }
            return
                "| \(rule.number) | \(rule.sentence) | \(kept.isEmpty ? "-" : kept.joined(separator: ", ")) | \(rule.here) |"
        }
        return """
            \(ReferencePage.begin("rules"))

            Rules are those of [rules.md](rules.md), checks those of [checks.md](checks.md). Each number has a test that names it,
            in `Tests/RecoveryEngineTests/ReferenceRules`.

            | number | the original's rule | refused or told by | here |
            | --- | --- | --- | --- |
            \(rows.joined(separator: "\n"))

            \(ReferencePage.end("rules"))
            """
    }
}
