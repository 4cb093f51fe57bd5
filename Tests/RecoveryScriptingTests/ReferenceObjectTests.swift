import RecoveryEngine
import Testing

@testable import RecoveryScripting

@Suite("What the page of the original's objects says of scripts")
struct ReferenceObjectTests {
    @Test("Every name is one of the Lua API", arguments: ReferenceObjects.all.map(\.section))
    func names(section: String) throws {
        let object = try #require(ReferenceObjects.all.first { $0.section == section })
        for name in object.parts.flatMap(\.lua) { #expect(Self.has(name), "\(object.name): there is no \(name)") }
    }

    @Test(
        "A name that is gone would be noticed",
        arguments: ["policy.prot", "polic.port", "vault:polic", "vault:policy{prot}", "vault", "vault:policy{port"])
    func wrong(name: String) { #expect(!Self.has(name)) }

    /// Every type that scripts can change has a row: what is new in the API is not forgotten here.
    @Test("Each object of the API stands in the page", arguments: LuaAPI.types.map(\.name))
    func complete(type: String) {
        let named = ReferenceObjects.all.flatMap(\.parts).flatMap(\.lua)
        // A relationship is an item without its cloud.
        let standsFor = type == "relationship" ? "item" : type
        #expect(named.contains { $0.hasPrefix("\(standsFor).") || $0.hasPrefix("\(standsFor):") })
    }

    @Test("Each field of a policy stands in the page")
    func policy() throws {
        let named = Set(ReferenceObjects.all.flatMap(\.parts).flatMap(\.lua))
        let type = try #require(LuaAPI.types.first { $0.name == "policy" })
        for field in type.fields { #expect(named.contains("policy.\(field.name)"), "\(field.name)") }
    }

    /// `type.field`, `type:method` or `type:method{option}`.
    private static func has(_ name: String) -> Bool {
        if let match = name.wholeMatch(of: #/([a-z_]+)\.([a-z_]+)/#) {
            let fields =
                LuaAPI.types.first { $0.name == match.1 }?.fields.map(\.name)
                ?? LuaAPI.records.first { $0.name == match.1 }?.fields.map(\.name)
            return fields?.contains(String(match.2)) == true
        }
        guard let match = name.wholeMatch(of: #/([a-z_]+):([a-z_]+)(?:\{([a-z_]+)\})?/#),
            let method = LuaAPI.types.first(where: { $0.name == match.1 })?.methods.first(where: { $0.name == match.2 })
        else { return false }
        return match.3.map { option in method.named.contains { $0.name == option } } ?? true
    }
}
