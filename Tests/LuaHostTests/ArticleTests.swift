import Foundation
import LuaHost
import Testing

/// The code that the article shows is the code that is compiled here, and its script runs.
@Suite struct ArticleTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    static func blocks(_ language: String) throws -> [String] {
        let article = root.appendingPathComponent("../../Sources/LuaHost/LuaHost.docc/EmbedInFiveMinutes.md")
            .standardized
        let text = try String(contentsOf: article, encoding: .utf8)
        return text.components(separatedBy: "```\(language)\n").dropFirst().compactMap {
            $0.components(separatedBy: "\n```").first
        }
    }

    @Test func theArticleShowsTheCodeThatIsCompiled() throws {
        let code = try String(
            contentsOf: Self.root.appendingPathComponent("EmbedInFiveMinutes.swift"), encoding: .utf8)
        #expect(try Self.blocks("swift") == [code.trimmingCharacters(in: .newlines)])
    }

    @Test func itsScriptRuns() async throws {
        let script = try #require(try Self.blocks("lua").first)
        let results = try await weigh(["a", "bb", "ccc"], rule: script)
        #expect(results == [["label for a", "label for bb", "ccc is too heavy"]])
        let error = await #expect(throws: LuaError.self) { try await weigh([], rule: "\n\nscael()") }
        #expect(error.map { "\($0)" }?.hasPrefix("rule.lua:3: unknown global 'scael'; did you mean 'scale'?") == true)
        let wrong = await #expect(throws: LuaError.self) { try await weigh([], rule: "scale.weight()") }
        #expect(wrong?.kind == .argument)
    }
}
