import Foundation
import LuaHost
import RecoveryEngine
import SiteModel
import Testing

@testable import RecoveryScripting

@Suite("Declarations are complete")
struct DeclarationTests {
    private static let all = LuaAPI.functions

    @Test("Every function has all that help and reference show", arguments: LuaAPI.functions)
    func declaration(function: DeclaredFunction) async throws {
        #expect(Self.gaps(in: function) == [])
        try await LuaState().check(function.declaration.example, chunk: function.publicName)
    }

    @Test("Every field of objects and tables says what it is, and figures their unit")
    func fields() {
        for type in LuaAPI.types {
            #expect(type.doc.hasSuffix("."), "\(type.name)")
            for field in type.fields {
                #expect(Self.gaps(field.doc, field.type, field.unit) == [], "\(type.name).\(field.name)")
            }
        }
        for record in LuaAPI.records {
            #expect(record.doc.hasSuffix(".") || record.doc.hasSuffix(":"), "\(record.name)")
            for field in record.fields {
                #expect(Self.gaps(field.doc, field.type, field.unit) == [], "\(record.name).\(field.name)")
            }
        }
        #expect(LuaAPI.modules.allSatisfy { $0.doc.hasSuffix(".") })
    }

    private static let spoilings: [(String, @Sendable (inout Draft) -> Void)] = [
        ("doc has no period at its end", { $0.doc = "Moves" }), ("doc is no sentence", { $0.doc = "moves." }),
        ("no version", { $0.since = "" }), ("example does not call it", { $0.example = "go()" }),
        ("no error is declared for what it changes", { $0.errors = [] }),
        ("error 'oops' is no kind", { $0.errors = [ErrorDeclaration("oops", "it slips")] }),
        ("error 'failed' does not say when", { $0.errors = [ErrorDeclaration("failed", "")] }),
        ("to: no doc", { $0.named = [.required("to", .text, "")] }),
        ("to: no unit", { $0.named = [.required("to", .integer, "where")] }),
        ("to: neither default nor what holds without it", { $0.named = [.optional("to", .text, "where")] }),
        ("to: its default is no string", { $0.named = [.optional("to", .text, "where", default: 3)] }),
        ("place: no unit", { $0.results = [ResultDeclaration("place", .number, "where")] }),
    ]

    @Test("A gap is found", arguments: spoilings)
    func gap(expected: String, spoil: @Sendable (inout Draft) -> Void) {
        var draft = Draft()
        #expect(Self.gaps(in: draft.function) == [])
        spoil(&draft)
        #expect(Self.gaps(in: draft.function) == [expected])
    }

    /// A whole declaration, of which a test takes something away.
    struct Draft {
        var doc = "Moves it."
        var since = "0.1"
        var example = "move()"
        var named: [Parameter] = []
        var results: [ResultDeclaration] = []
        var errors = [ErrorDeclaration("failed", "it does not move")]

        var function: DeclaredFunction {
            DeclaredFunction(
                prefix: "",
                declaration: FunctionDeclaration(
                    "move", doc, named: named, results: results, errors: errors, effect: .changes, since: since,
                    example: example, .immediate { _ in [] }), power: nil)
        }
    }

    /// What a declaration lacks.
    private static func gaps(in function: DeclaredFunction) -> [String] {
        let declaration = function.declaration
        var gaps: [String] = []
        if !declaration.doc.hasSuffix(".") { gaps.append("doc has no period at its end") }
        if declaration.doc.first?.isUppercase != true { gaps.append("doc is no sentence") }
        if declaration.since.wholeMatch(of: /\d+\.\d+/) == nil { gaps.append("no version") }
        if !declaration.example.contains(declaration.name) { gaps.append("example does not call it") }
        if [.changes, .cannotBeUndone].contains(declaration.effect), function.errors.isEmpty {
            gaps.append("no error is declared for what it changes")
        }
        for error in function.errors {
            if !kinds.contains(error.kind) { gaps.append("error '\(error.kind)' is no kind") }
            if error.when.isEmpty { gaps.append("error '\(error.kind)' does not say when") }
        }
        for parameter in declaration.positional + declaration.named {
            gaps += self.gaps(parameter.doc, parameter.type, parameter.unit).map { "\(parameter.name): \($0)" }
            if !parameter.isRequired, parameter.defaultValue == nil, parameter.otherwise == nil {
                gaps.append("\(parameter.name): neither default nor what holds without it")
            }
            if let value = parameter.defaultValue, !fits(value, parameter) {
                gaps.append("\(parameter.name): its default is no \(parameter.type.word)")
            }
        }
        for result in declaration.results {
            gaps += self.gaps(result.doc, result.type, result.unit).map { "\(result.name): \($0)" }
        }
        return gaps
    }

    private static func gaps(_ doc: String, _ type: ValueType, _ unit: RecoveryScripting.Unit?) -> [String] {
        (doc.isEmpty ? ["no doc"] : []) + (type.needsUnit && unit == nil ? ["no unit"] : [])
    }

    private static func fits(_ value: LuaValue, _ parameter: Parameter) -> Bool {
        let function = FunctionDeclaration(
            "check", "", positional: [parameter], effect: .none, example: "", .immediate { _ in [] })
        return (try? ArgumentDecoder(function: "check", declaration: function).decode([value], receiver: nil)) != nil
    }

    /// Kinds that the parts below raise; a declaration that names another promises what nobody keeps.
    private static let kinds: Set<String> = [
        // The Lua host.
        "argument", "undefined", "cancelled", "timeout", "size", "host", "not-granted",
        // The engine.
        "refused", "busy", "unknown", "invalid", "unreachable", "source-not-down", "target-not-down",
        "shutdown-timed-out", "failed",
        // The vault.
        "locked",
        // Functions of the API themselves.
        "no-answer", "not-found", "tls", "redirects", "protocol", "plan-incomplete", "plan-stopped",
    ]

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
}
