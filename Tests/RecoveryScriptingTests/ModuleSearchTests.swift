import Foundation
import LuaHost
import TestSupport
import Testing

@testable import RecoveryScripting

@Suite("Where modules are found")
struct ModuleSearchTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        for folder in ["own/lib", "first", "second", "standard"] { try scratch.folder(folder) }
    }

    private func run(_ text: String) async throws -> RunOutcome {
        let bench = Bench()
        let options = ScriptOptions(
            scriptFolder: scratch("own"), libraryPaths: [scratch("first"), scratch("second")],
            standardLibrary: scratch("standard"))
        return try await ScriptRunner(engine: bench.engine, options: options).run(text: text, name: "test.lua") { _ in }
    }

    @Test("The script's own tree comes first, then the libraries in order, then what comes with Perilune")
    func order() async throws {
        for (name, folders) in [
            ("one", ["own", "first", "second", "standard"]), ("two", ["first", "second", "standard"]),
            ("three", ["second", "standard"]), ("four", ["standard"]),
        ] {
            for folder in folders { try scratch.put("return '\(folder)'", at: "\(folder)/\(name).lua") }
        }
        try scratch.put("return 'deep'", at: "own/lib/part.lua")
        let outcome = try await run(
            "return require 'one', require 'two', require 'three', require 'four', require 'lib.part'")
        #expect(outcome.values == ["own", "first", "second", "standard", "deep"], "\(outcome)")
    }

    @Test("What is not found says where it was looked for")
    func missing() async throws {
        let error = try #require(try await run("require 'a.b'").error)
        #expect(error.kind == .undefined && error.message == "require: no module 'a.b'")
        let places = ["own", "first", "second", "standard"].map { scratch($0) }.joined(separator: ", ")
        #expect(error.hint == "neither a/b.lua nor a/b/init.lua is in: \(places)")
    }

    @Test("A library written for any Lua may ask for globals that do not exist; the script's modules may not")
    func foreign() async throws {
        for folder in ["own", "first", "standard"] {
            try scratch.put("return unpack or table.unpack", at: "\(folder)/portable_\(folder).lua")
        }
        #expect(try await run("return type(require 'portable_first')").values == ["function"])
        for folder in ["own", "standard"] {
            #expect(try await run("require 'portable_\(folder)'").error?.kind == .undefined)
        }
    }

    @Test(
        "Nothing outside the trees is loaded",
        arguments: [
            "secret", "link", "folder.secret", "../secret", "..secret", "/etc/passwd", "lib/../../secret", "absolute",
            "a\\0b",
        ])
    func outside(name: String) async throws {
        try scratch.put("return 'secret'", at: "secret.lua")
        try scratch.link("own/link.lua", to: "../secret.lua")
        try scratch.link("own/folder", to: "..")
        try scratch.link("own/absolute.lua", to: scratch("secret.lua"))
        let error = try #require(try await run("return require '\(name)'").error, "\(name) was loaded")
        #expect([.undefined, .argument].contains(error.kind), "\(error)")
    }

    @Test("A C library is refused by what it is")
    func compiled() async throws {
        try scratch.put("", at: "second/lpeg.so")
        let error = try #require(try await run("require 'lpeg'").error)
        #expect(error.kind == .undefined && error.message.contains("is a C library"), "\(error)")
    }
}
