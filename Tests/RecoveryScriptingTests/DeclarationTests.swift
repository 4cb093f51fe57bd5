import Foundation
import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Declarations and what is made of them")
struct DeclarationTests {
    private static let all = LuaAPI.functions

    @Test(
        "Every function says what it does, since when, and shows an example that is Lua",
        arguments: LuaAPI.functions.map(\.publicName))
    func declaration(name: String) async throws {
        let declaration = try #require(Self.all.first { $0.publicName == name }).declaration
        #expect(declaration.doc.hasSuffix("."))
        #expect(!declaration.since.isEmpty)
        #expect(declaration.example.contains(declaration.name))
        try await LuaState().check(declaration.example, chunk: name)
        for parameter in declaration.positional + declaration.named {
            #expect(!parameter.doc.isEmpty, "\(parameter.name)")
        }
    }

    @Test("Names are unique, and plain Lua identifiers")
    func names() {
        #expect(Set(Self.all.map(\.publicName)).count == Self.all.count)
        for type in LuaAPI.types {
            let members = type.fields.map(\.name) + type.methods.map(\.name)
            #expect(Set(members).count == members.count, "\(type.name)")
            #expect(members.allSatisfy { $0.allSatisfy { $0.isLowercase || $0 == "_" } }, "\(type.name)")
        }
    }

    @Test("Every type that a declaration names is declared")
    func types() {
        let objects = Set(LuaAPI.types.map(\.name))
        let records = Set(LuaAPI.records.map(\.name))
        func check(_ type: ValueType, _ place: String) {
            switch type {
            case .object(let name): #expect(objects.contains(name), "\(place): \(name)")
            case .record(let name): #expect(records.contains(name), "\(place): \(name)")
            case .list(let element), .map(let element): check(element, place)
            case .either(let types): for type in types { check(type, place) }
            default: break
            }
        }
        for function in Self.all {
            for parameter in function.declaration.positional + function.declaration.named {
                check(parameter.type, function.publicName)
            }
            for result in function.declaration.results { check(result.type, function.publicName) }
        }
        for type in LuaAPI.types { for field in type.fields { check(field.type, "\(type.name).\(field.name)") } }
        for record in LuaAPI.records { for field in record.fields { check(field.type, record.name) } }
    }

    @Test("docs/lua-api.md is what the declarations say")
    func reference() throws {
        if ProcessInfo.processInfo.environment["PERILUNE_WRITE_DOCS"] != nil {
            try MarkdownReference.text.write(toFile: Project.path("docs/lua-api.md"), atomically: true, encoding: .utf8)
        }
        let written = try Project.text("docs/lua-api.md")
        #expect(
            written == MarkdownReference.text,
            "docs/lua-api.md is out of date: PERILUNE_WRITE_DOCS=1 swift test --filter DeclarationTests writes it anew")
    }

    @Test(".luacheckrc names the globals that the declarations say")
    func luacheck() throws {
        #expect(try Project.text(".luacheckrc").contains(LuacheckGlobals.text))
    }

    @Test("Editor types are Lua, and tell of every function and field")
    func editorTypes() async throws {
        try await LuaState().check(EditorTypes.text, chunk: "perilune.d.lua")
        for function in Self.all { #expect(EditorTypes.text.contains("function \(function.publicName)(")) }
        for type in LuaAPI.types {
            #expect(EditorTypes.text.contains("---@class perilune.\(type.name)\n"))
            for field in type.fields { #expect(EditorTypes.text.contains("---@field \(field.name) ")) }
        }
        #expect(EditorTypes.text.contains("---@overload fun(self, name: string): perilune.host"))
        #expect(EditorTypes.text.contains("---@field kind \"planned\"|\"unplanned\" "))
    }

    @Test("Help knows every module, object, table and function")
    func help() {
        for topic in HelpText.topics { #expect(HelpText.text(for: topic) != nil, "\(topic)") }
        #expect(HelpText.text(for: "vault.host") == HelpText.text(for: "vault:host"))
        #expect(HelpText.text(for: "nonsense") == nil)
    }
}
