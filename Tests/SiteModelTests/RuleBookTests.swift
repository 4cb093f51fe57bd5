import Foundation
import SiteModel
import Testing

@Suite("Rule book")
struct RuleBookTests {
    @Test("Every rule has an id, a sentence, a source and a hint", arguments: RuleBook.all)
    func complete(rule: Rule) {
        #expect(rule.id.allSatisfy { ($0.isLowercase && $0.isASCII) || $0 == "-" } && !rule.id.isEmpty)
        #expect(rule.sentence.hasSuffix(".") && rule.sentence.first?.isUppercase == true)
        #expect(rule.hint.hasSuffix(".") && rule.hint.count > 10)
        #expect(rule.source.hasPrefix("site-recovery "))
        #expect(RuleBook.rule(rule.id) == rule)
    }

    @Test("No two rules share an id or a sentence")
    func unique() {
        #expect(Set(RuleBook.all.map(\.id)).count == RuleBook.all.count)
        #expect(Set(RuleBook.all.map(\.sentence)).count == RuleBook.all.count)
        #expect(RuleBook.rule("no-such-rule") == nil)
    }

    @Test("Every rule is reachable: some state, fact or pairing is refused by it")
    func reachable() {
        var met: Set<String> = []
        for state in ReplicationState.allCases {
            for operation in Operation.allCases {
                if case .refused(let rule) = TransitionTable.transition(from: state, operation) { met.insert(rule.id) }
            }
        }
        met.formUnion(GuardsTests.cases.compactMap(\.rule))
        met.formUnion(PairingTests.cases.compactMap(\.rule))
        met.formUnion(SiteRulesTests.cases.compactMap(\.rule))
        #expect(Set(RuleBook.all.map(\.id)).subtracting(met).isEmpty)
    }

    /// Set PERILUNE_WRITE_DOCS to write the page anew.
    @Test("docs/rules.md is the page generated from the table and the rules")
    func page() throws {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let file = root.appending(path: "docs/rules.md")
        if ProcessInfo.processInfo.environment["PERILUNE_WRITE_DOCS"] != nil {
            try RuleBook.markdown().write(to: file, atomically: true, encoding: .utf8)
        }
        let written = try String(contentsOf: file, encoding: .utf8)
        #expect(written == RuleBook.markdown(), "run the tests once with PERILUNE_WRITE_DOCS=1")
    }
}
