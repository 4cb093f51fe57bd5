import Testing

@testable import RecoveryEngine

/// One row: what is spoilt in healthy facts, which check notices, how, and a word of the cause.
struct JudgingCase<Facts: Sendable>: Sendable, CustomTestStringConvertible {
    var name: String
    var check: String
    var verdict: CheckVerdict
    var says: String
    var spoil: @Sendable (inout Facts) throws -> Void

    init(
        _ name: String, _ check: String, _ verdict: CheckVerdict, _ says: String,
        _ spoil: @escaping @Sendable (inout Facts) throws -> Void
    ) {
        self.name = name
        self.check = check
        self.verdict = verdict
        self.says = says
        self.spoil = spoil
    }

    var testDescription: String { name }

    /// Judges spoilt facts: the check that is named says so, and whatever else says the same is named in `besides`.
    func judge(_ healthy: Facts, by checks: [Check<Facts>]) throws {
        var facts = healthy
        try spoil(&facts)
        let findings = checks.flatMap { $0.findings(facts, object: "it") }
        let found = findings.filter { $0.check == check && $0.verdict == verdict }
        #expect(!found.isEmpty, "\(findings.filter { $0.check == check })")
        #expect(found.contains { $0.cause.contains(says) || $0.fix?.contains(says) == true }, "\(found)")
        if verdict == .fail || verdict == .warn { #expect(found.allSatisfy { $0.fix?.isEmpty == false }) }
        if verdict == .skipped { #expect(found.allSatisfy { $0.fix == nil && !$0.cause.isEmpty }) }
    }
}
