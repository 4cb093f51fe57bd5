import Foundation
import LuaHost
import Testing

/// The code that the articles show is the code that is compiled here, and their scripts run.
@Suite struct ArticleTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    static func text(_ article: String) throws -> String {
        let file = root.appendingPathComponent("../../Sources/LuaHost/LuaHost.docc/\(article).md").standardized
        return try String(contentsOf: file, encoding: .utf8)
    }

    static func blocks(_ language: String, in article: String) throws -> [String] {
        try text(article).components(separatedBy: "```\(language)\n").dropFirst().compactMap {
            $0.components(separatedBy: "\n```").first
        }
    }

    @Test(arguments: ["EmbedInFiveMinutes", "ObjectsAndPowers"])
    func theArticleShowsTheCodeThatIsCompiled(_ article: String) throws {
        let code = try String(contentsOf: Self.root.appendingPathComponent("\(article).swift"), encoding: .utf8)
        #expect(try Self.blocks("swift", in: article) == [code.trimmingCharacters(in: .newlines)])
    }

    @Test func theScriptOfTheFirstRuns() async throws {
        let script = try #require(try Self.blocks("lua", in: "EmbedInFiveMinutes").first)
        let results = try await weigh(["a", "bb", "ccc"], rule: script)
        #expect(results == [["label for a", "label for bb", "ccc is too heavy"]])
        let error = await #expect(throws: LuaError.self) { try await weigh([], rule: "\n\nscael()") }
        #expect(error.map { "\($0)" }?.hasPrefix("rule.lua:3: unknown global 'scael'; did you mean 'scale'?") == true)
        let wrong = await #expect(throws: LuaError.self) { try await weigh([], rule: "scale.weight()") }
        #expect(wrong?.kind == .argument)
    }

    @Test func theScriptOfTheSecondRuns() async throws {
        let script = try #require(try Self.blocks("lua", in: "ObjectsAndPowers").first)
        #expect(try await brew(script) == [false, "not-granted"])
        #expect(try await brew(script, granting: ["drain"]).first == true)
        let told = "return tostring(brewery.kettle()), brewery.kettle('large'):heat(66)"
        #expect(try await brew(told) == ["kettle<large>", "large is at 66"])
    }

    /// Each row of the table: a script, the kind of its error and what the error says.
    @Test func whatMisbehavesEndsAsTheTableSays() async throws {
        let rows = try Self.text("ObjectsAndPowers").split(separator: "\n").filter { $0.hasPrefix("| `") }
        #expect(rows.count == 7)
        for row in rows {
            let cells = row.components(separatedBy: "` | `")
            try #require(cells.count == 3)
            let script = String(cells[0].dropFirst(3))
            let error = await #expect(throws: LuaError.self) { try await brew(script) }
            #expect(error?.kind.rawValue == cells[1])
            #expect(error?.description == cells[2].replacing("` |", with: ""))
        }
    }
}
