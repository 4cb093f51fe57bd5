import Foundation
import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("What is made of the declarations")
struct RenderingTests {
    private static let all = LuaAPI.functions

    @Test("The files of the project are what the declarations say", arguments: GeneratedDocument.allCases)
    func files(document: GeneratedDocument) throws {
        if ProcessInfo.processInfo.environment["PERILUNE_WRITE_DOCS"] != nil {
            var text = document.text
            if document == .globals {
                text = try Project.text(document.path).replacing(#/read_globals = \{\n(   .*\n)*\}\n/#, with: text)
            }
            try text.write(toFile: Project.path(document.path), atomically: true, encoding: .utf8)
        }
        let difference = try document.difference(from: Project.text(document.path))
        #expect(
            difference == nil,
            "\(document.path): PERILUNE_WRITE_DOCS=1 swift test --filter RenderingTests writes it anew")
    }

    @Test("A difference is told by line", arguments: [GeneratedDocument.types, .docs])
    func difference(document: GeneratedDocument) throws {
        var lines = document.text.split(separator: "\n", omittingEmptySubsequences: false)
        lines[4] = "spoilt"
        let told = try #require(document.difference(from: lines.joined(separator: "\n")))
        #expect(told.hasPrefix("line 5 is \"spoilt\"; the declarations say "))
        #expect(document.difference(from: document.text + "x")?.contains("is \"x\"; the declarations say \"\"") == true)
        #expect(document.difference(from: document.text) == nil)
    }

    @Test("The globals may stand among other settings, and none may be missing")
    func globals() {
        let text = LuacheckGlobals.text
        #expect(GeneratedDocument.globals.difference(from: "std = \"lua54\"\n\(text)max_line_length = 80\n") == nil)
        #expect(GeneratedDocument.globals.difference(from: text.replacing("\"now\", ", with: "")) != nil)
        for function in LuaAPI.globals { #expect(text.contains("\"\(function.name)\",")) }
    }

    @Test("Editor types are Lua")
    func editorTypesAreLua() async throws {
        try await LuaState().check(EditorTypes.text, chunk: "perilune.d.lua")
    }

    @Test("Editor types tell all of a function", arguments: LuaAPI.functions)
    func editorTypes(function: DeclaredFunction) throws {
        let all = EditorTypes.text
        let place = try #require(all.range(of: "\nfunction \(function.publicName)("), "it is not there")
        let text = try #require(all[..<place.lowerBound].components(separatedBy: "\nfunction ").last) + "\n"
        let declaration = function.declaration
        #expect(text.contains("---\(declaration.doc)\n"))
        #expect(text.contains("---Effect: \(declaration.effect.rawValue). Since \(declaration.since).\n"))
        for error in function.errors { #expect(text.contains("---- `\(error.kind)`: \(error.when)\n")) }
        for parameter in declaration.named {
            let mark = parameter.isRequired ? "" : "?"
            #expect(text.contains("---@field \(parameter.name)\(mark) \(parameter.type.annotation) \(parameter.doc)"))
            for word in parameter.type.choices { #expect(text.contains("\"\(word)\"")) }
        }
        for parameter in declaration.positional { #expect(text.contains("---@param \(parameter.name)")) }
        for result in declaration.results { #expect(text.contains(" \(result.name) \(result.doc)")) }
        if declaration.lookup != nil { #expect(text.contains("---@overload fun(")) }
        for line in declaration.example.split(separator: "\n") { #expect(text.contains("---\(line)")) }
    }

    @Test("Editor types have units, defaults and ranges")
    func editorTypesOfFigures() {
        let text = EditorTypes.text
        #expect(
            text.contains(
                "---@field timeout? perilune.duration how long to wait for the answer; 0.1 to 600 seconds; default \"5s\"\n"
            ))
        #expect(text.contains("---@field took number? how long it took from begin to end, in seconds\n"))
        #expect(
            text.contains(
                "---@field scratch? perilune.size how much the copy may write; if left out: a tenth of its disks\n"))
        #expect(text.contains("---@field kind \"planned\"|\"unplanned\" "))
        #expect(text.contains("---@overload fun(self, name: string): perilune.host"))
        for type in LuaAPI.types {
            #expect(text.contains("---@class perilune.\(type.name)\n"))
            for field in type.fields { #expect(text.contains("---@field \(field.name) ")) }
        }
    }

    @Test("Help knows every module, object, table and function")
    func help() {
        for topic in HelpText.topics { #expect(HelpText.text(for: topic) != nil, "\(topic)") }
        #expect(HelpText.text(for: "vault.host") == HelpText.text(for: "vault:host"))
        #expect(HelpText.text(for: "nonsense") == nil)
    }

    @Test("A bare name finds every function and field that is called so, with its owner")
    func helpOfMembers() throws {
        let failover = try #require(HelpText.text(for: "failover"))
        for owner in ["vm", "item", "relationship", "plan"] {
            #expect(failover.contains("\(owner):failover"), "\(failover)")
        }
        #expect(failover.contains("help(\"vm:failover\") explains it."))
        #expect(HelpText.text(for: "revoke_key") == HelpText.text(for: "vault:revoke_key"), "the only one is explained")
        #expect(HelpText.text(for: "took")?.contains("job.took") == true)
        // An object's page stays what it is, with what else is called so at its end.
        let host = try #require(HelpText.text(for: "host"))
        #expect(host.hasPrefix("host: ") && host.contains("Also called host") && host.contains("vault:host"))
    }

    @Test("A bare name that is nearly right is suggested")
    func nearlyRight() async throws {
        let outcome = try await Bench().run("help('failovr')")
        #expect(outcome.error?.hint == "did you mean \"failover\"?", "\(String(describing: outcome.error))")
    }

    @Test(
        "apropos finds names first, then what is said of them, once",
        arguments: [
            ("failover", "item:failover", "item:test_failover"), ("POINT", "item:points", "vault:policy"),
            ("epoch", "item.epoch", "relationship.epoch"), ("fence", "lab_site.fence", "vault:host"),
        ])
    func apropos(word: String, first: String, second: String) throws {
        let lines = HelpSearch.lines(for: word).map { $0.split(separator: " ")[0] }
        let (one, two) = (lines.firstIndex(of: first[...]), lines.firstIndex(of: second[...]))
        #expect(try #require(one) < (try #require(two)), "\(lines)")
        #expect(Set(lines).count == lines.count)
        #expect(HelpSearch.lines(for: "no such word").isEmpty)
    }

    @Test("The session's help, apropos and inspect answer")
    func session() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            "help() help(help) help(task.map) help('item:commit') apropos('fence') apropos('xyzzy') print(inspect({ 1 }))"
        )
        #expect(outcome.error == nil, "\(outcome)")
        let text = bench.printed.text
        #expect(text.contains("task.map(list, [options], fn)") && text.contains("Effect: cannot be undone"))
        #expect(text.contains("nothing speaks of \"xyzzy\"") && text.hasSuffix("{ 1 }"), "\(text.suffix(80))")
    }

    @Test("An error's line ends with its position")
    func errorLine() async throws {
        let outcome = try await Bench().run(
            Bench.setUp + "gold:vm('web'):protect():failover { kind = 'planed' }", name: "dr.lua")
        let error = try #require(outcome.error)
        let line = Bench.setUp.split(separator: "\n", omittingEmptySubsequences: false).count
        #expect(
            ErrorLine.text(error)
                == "failover: 'kind' must be \"planned\" or \"unplanned\", got \"planed\" (dr.lua:\(line))")
        #expect(error.hint == "did you mean \"planned\"?")
    }
}
