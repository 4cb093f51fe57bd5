import Foundation
import Testing

@testable import RecoveryEngine

@Suite("Check book")
struct CheckBookTests {
    @Test("Every check has an id, a sentence, a source and a fix", arguments: CheckBook.all)
    func complete(check: CheckDefinition) {
        #expect(check.id.allSatisfy { ($0.isLowercase && $0.isASCII) || $0 == "-" } && check.id.count > 3)
        let begins = check.sentence.first?.isUppercase == true || check.sentence.hasPrefix("libvirt")
        #expect(check.sentence.hasSuffix(".") && begins)
        #expect(check.fix.count > 10 && !check.source.isEmpty)
        #expect(CheckBook.check(check.id) == check)
    }

    @Test("No two checks share an id or a sentence")
    func unique() {
        #expect(Set(CheckBook.all.map(\.id)).count == CheckBook.all.count)
        #expect(Set(CheckBook.all.map(\.sentence)).count == CheckBook.all.count)
        #expect(CheckBook.check("no-such-check") == nil)
    }

    @Test("Every row of the reference's table has a check, or a word on what stands for it")
    func rows() {
        var covered = Set(CheckBook.unchecked.map(\.row))
        for check in CheckBook.all where check.source.hasPrefix("3, row") {
            let rows = check.source.prefix { $0 != ";" && $0 != "(" }
            let numbers = rows.split { !$0.isNumber }.compactMap { Int($0) }.dropFirst()
            if rows.contains(" to "), let first = numbers.first, let last = numbers.dropFirst().first {
                covered.formUnion(first...last)
            } else {
                covered.formUnion(numbers)
            }
        }
        #expect(Set(1...26).subtracting(covered).isEmpty, "\(Set(1...26).subtracting(covered).sorted())")
    }

    /// Set PERILUNE_WRITE_DOCS to write the page anew.
    @Test("docs/checks.md is the page generated from the tables")
    func page() throws {
        let file = project("docs/checks.md")
        if ProcessInfo.processInfo.environment["PERILUNE_WRITE_DOCS"] != nil {
            try CheckBook.markdown().write(toFile: file, atomically: true, encoding: .utf8)
        }
        let written = try String(contentsOfFile: file, encoding: .utf8)
        #expect(written == CheckBook.markdown(), "run the tests once with PERILUNE_WRITE_DOCS=1")
    }
}
