import Foundation
import RecoveryEngine
import SiteModel
import Testing

@Suite("The original's rules of order, and what stands for each")
struct ReferenceRulesTests {
    @Test("They are 34, in order, each with a sentence and a word on where it is kept")
    func complete() {
        #expect(ReferenceRules.all.map(\.number) == Array(1...34))
        for rule in ReferenceRules.all {
            #expect(rule.sentence.hasSuffix(".") && rule.here.hasSuffix("."), "rule \(rule.number)")
        }
        #expect(Set(ReferenceRules.all.map(\.sentence)).count == 34)
    }

    @Test("What they name exists", arguments: ReferenceRules.all.map(\.number))
    func named(number: Int) throws {
        let rule = try #require(ReferenceRules.all.first { $0.number == number })
        for id in rule.rules { #expect(RuleBook.rule(id) != nil, "there is no rule \(id)") }
        for id in rule.checks { #expect(CheckBook.check(id) != nil, "there is no check \(id)") }
    }

    @Test("Each rule of the book that comes from one of them is named by it")
    func sources() {
        for rule in RuleBook.all where rule.source.contains("2.4 rule") {
            let text = rule.source.components(separatedBy: "2.4 rule").dropFirst().joined()
            let numbers = text.components(separatedBy: ";")[0].split { !$0.isNumber }.compactMap { Int($0) }
            for number in numbers where (1...34).contains(number) {
                let entry = ReferenceRules.all[number - 1]
                #expect(entry.rules.contains(rule.id), "rule \(number) does not name \(rule.id)")
            }
        }
    }

    @Test("Each number has a test in this folder that names it")
    func tested() throws {
        let folder = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let text = try files.filter { $0.pathExtension == "swift" }
            .map { try String(contentsOf: $0, encoding: .utf8) }.joined()
        for number in 1...34 { #expect(text.contains("\"rule \(number): "), "rule \(number) has no test") }
    }
}
