import Foundation
import SiteModel
import Testing

@testable import RecoveryEngine

@Suite("The page that leads from the original to Perilune")
struct ReferencePageTests {
    private static let parts: [(name: String, text: @Sendable () -> String)] = [
        ("rules", { ReferenceRules.markdown() }), ("objects", { ReferenceObjects.markdown() }),
        ("checks", { ReferenceChecks.markdown() }), ("limits", { ReferenceLimits.markdown() }),
    ]

    /// Set PERILUNE_WRITE_DOCS to write the parts anew.
    @Test("docs/from-site-recovery.md holds the parts that are generated")
    func page() throws {
        let file = project("docs/from-site-recovery.md")
        var written = try String(contentsOfFile: file, encoding: .utf8)
        for (name, text) in Self.parts {
            let first = try #require(written.range(of: ReferencePage.begin(name)), "\(name): the border line is gone")
            let last = try #require(written.range(of: ReferencePage.end(name)), "\(name): the border line is gone")
            let part = first.lowerBound..<last.upperBound
            if ProcessInfo.processInfo.environment["PERILUNE_WRITE_DOCS"] != nil {
                written.replaceSubrange(part, with: text())
                try written.write(toFile: file, atomically: true, encoding: .utf8)
            } else {
                #expect(written[part] == text(), "\(name): run the tests once with PERILUNE_WRITE_DOCS=1")
            }
        }
    }

    @Test("No cell breaks its table, and links lead somewhere", arguments: parts.map(\.name))
    func tables(name: String) throws {
        let text = try #require(Self.parts.first { $0.name == name }).text()
        var columns = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.hasPrefix("|") else {
                columns = 0
                continue
            }
            let found = line.count { $0 == "|" }
            if columns == 0 { columns = found }
            #expect(found == columns, "\(line)")
        }
        for match in text.matches(of: #/\]\(([a-z.-]+)\)/#) {
            #expect(FileManager.default.fileExists(atPath: project("docs/\(match.1)")), "\(match.1)")
        }
    }

    // MARK: Objects

    @Test("Each section of the original's objects is there, with parts that say something")
    func sections() {
        #expect(
            ReferenceObjects.all.map(\.section)
                == (1...5).map { "1.\($0)" } + [
                    "1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", "1.13", "6", "1.15", "1.16",
                ])
        for object in ReferenceObjects.all {
            #expect(object.here.hasSuffix(".") && object.parts.count > 2, "\(object.name)")
            #expect(Set(object.parts.map(\.original)).count == object.parts.count, "\(object.name)")
            for part in object.parts where part.isLeftOut {
                #expect(part.here.count > 20, "\(object.name): \(part.original) is left out without a reason")
            }
        }
    }

    @Test("What the page says is kept in the vault is in the model", arguments: ReferenceObjects.all.map(\.section))
    func model(section: String) throws {
        let object = try #require(ReferenceObjects.all.first { $0.section == section })
        let model = try ModelText.read()
        for name in object.parts.flatMap(\.model) {
            #expect(model.has(name), "\(object.name): the model has no \(name)")
        }
        #expect(!model.has("Policy.noSuchField") && !model.has("NoSuchType.name"))
    }

    @Test("Rules and checks that its sentences name exist")
    func named() {
        let sentences = ReferenceObjects.all.flatMap { object in
            [object.here] + object.parts.map(\.here)
        }
        var seen = 0
        for sentence in sentences {
            for match in sentence.matches(of: #/[Rr]ules? ((?:`[a-z-]+`(?:, | and )?)+)/#) {
                for id in match.1.matches(of: #/`([a-z-]+)`/#) {
                    #expect(isRule(String(id.1)), "there is no rule \(id.1)")
                    seen += 1
                }
            }
            for match in sentence.matches(of: #/[Cc]hecks? ((?:`[a-z-]+`(?:, | and )?)+)/#) {
                for id in match.1.matches(of: #/`([a-z-]+)`/#) {
                    #expect(CheckBook.check(String(id.1)) != nil, "there is no check \(id.1)")
                    seen += 1
                }
            }
        }
        #expect(seen > 20, "the sentences are no longer understood")
    }

    /// Plans refuse by rules of their own, which the API's reference names.
    private func isRule(_ id: String) -> Bool { RuleBook.rule(id) != nil || Self.plans.contains(id) }

    private static let plans: Set<String> = ["one-group-per-vm", "plan-cycle"]

    @Test("Rules of plans are told where a plan is made", arguments: plans)
    func planRules(id: String) throws {
        #expect(try String(contentsOfFile: project("docs/lua-api.md"), encoding: .utf8).contains(id))
    }

    // MARK: Checks

    @Test("All 26 rows are there once, in order, and what they name exists")
    func checks() {
        let numbers = ReferenceChecks.all.compactMap { Int($0.row) }
        #expect(numbers == Array(1...26))
        for row in ReferenceChecks.all {
            for id in row.checks { #expect(CheckBook.check(id) != nil, "row \(row.row): there is no check \(id)") }
            #expect(!row.checks.isEmpty || row.isForeign, "row \(row.row): nothing stands for it")
            #expect(row.here.hasSuffix("."), "row \(row.row)")
        }
    }

    @Test("Each check that comes from a row is named by it")
    func checkSources() {
        for check in CheckBook.all where check.source.hasPrefix("3, row") {
            let text = check.source.prefix { $0 != ";" && $0 != "(" }
            var rows = text.split { !$0.isNumber }.compactMap { Int($0) }.dropFirst().map { $0 }
            if text.contains(" to "), let first = rows.first, let last = rows.last { rows = Array(first...last) }
            #expect(!rows.isEmpty, "\(check.source)")
            for row in rows {
                let entry = ReferenceChecks.all.first { $0.row == "\(row)" }
                #expect(entry?.checks.contains(check.id) == true, "row \(row) does not name \(check.id)")
            }
        }
    }

    @Test("A row of Windows alone has its word in docs/checks.md too", arguments: CheckBook.unchecked.map(\.row))
    func unchecked(row: Int) {
        #expect(ReferenceChecks.all.contains { $0.row == "\(row)" })
    }

    // MARK: Limits

    @Test("What shows how far a limit is lifted is where the page says", arguments: ReferenceLimits.all.map(\.original))
    func evidence(limit: String) throws {
        let limit = try #require(ReferenceLimits.all.first { $0.original == limit })
        for (file, text) in limit.evidence {
            let content = try String(contentsOfFile: project(file), encoding: .utf8)
            #expect(content.contains(text), "\(file) no longer says \(text)")
        }
    }
}

/// The declarations of the model, as its source files have them.
private struct ModelText {
    /// Members by type.
    private var members: [String: Set<String>] = [:]

    static func read() throws -> ModelText {
        var model = ModelText()
        let folder = project("Sources/SiteModel")
        for name in FileManager.default.subpaths(atPath: folder)?.sorted() ?? [] where name.hasSuffix(".swift") {
            model.take(in: try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8))
        }
        return model
    }

    /// Types by their indentation: a member belongs to the innermost type that is less indented.
    private mutating func take(in text: String) {
        var open: [(indent: Int, type: String)] = []
        for line in text.split(separator: "\n") {
            let indent = line.prefix { $0 == " " }.count
            while let last = open.last, indent <= last.indent { open.removeLast() }
            if let type = line.firstMatch(
                of: #/^ *(?:package |private |fileprivate )*(?:struct|enum|extension|class) ([A-Za-z.]+)/#)
            {
                let parent = open.last.map { $0.type + "." } ?? ""
                open.append((indent, parent + type.1))
            } else if let type = open.last?.type {
                for match in line.matches(of: #/(?:var|let|case|func) ([A-Za-z]+)/#) {
                    members[type, default: []].insert(String(match.1))
                }
                if let cases = line.firstMatch(of: #/^ *case (.+)$/#) {
                    for name in cases.1.matches(of: #/([a-z][A-Za-z]*)/#) {
                        members[type, default: []].insert(String(name.1))
                    }
                }
            }
        }
    }

    func has(_ name: String) -> Bool {
        guard let dot = name.lastIndex(of: ".") else { return false }
        return members[String(name[..<dot])]?.contains(String(name[name.index(after: dot)...])) == true
    }
}
