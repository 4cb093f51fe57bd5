/// A text that is made of the declarations and kept among the project's files, where a test compares the two.
package enum GeneratedDocument: String, CaseIterable, Sendable {
    /// Types for the Lua language server.
    case types
    /// The reference, in Markdown.
    case docs
    /// The globals for luacheck.
    case globals

    package var text: String {
        switch self {
        case .types: EditorTypes.text
        case .docs: MarkdownReference.text
        case .globals: LuacheckGlobals.text
        }
    }

    /// Where the project keeps it.
    package var path: String {
        switch self {
        case .types: "docs/perilune.d.lua"
        case .docs: "docs/lua-api.md"
        case .globals: ".luacheckrc"
        }
    }

    /// Why a written text is not this document; nil when it is.
    ///
    /// The file with the globals may hold other settings around them.
    package func difference(from written: String) -> String? {
        if self == .globals {
            return written.contains(text) ? nil : "the table read_globals is not what the declarations say"
        }
        guard written != text else { return nil }
        let (mine, theirs) = (Self.lines(text), Self.lines(written))
        let index = zip(mine, theirs).enumerated().first { $1.0 != $1.1 }?.offset ?? min(mine.count, theirs.count)
        func line(_ lines: [String]) -> String { index < lines.count ? "\"\(lines[index].prefix(100))\"" : "the end" }
        return "line \(index + 1) is \(line(theirs)); the declarations say \(line(mine))"
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}
