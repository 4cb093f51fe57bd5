import Foundation
import LuaHost
import RecoveryEngine
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

@testable import RecoveryScripting

@Suite("Every example of the reference runs")
struct DeclarationExampleTests {
    @Test("The example runs where it makes sense, and does what its effect says", arguments: LuaAPI.functions)
    func example(function: DeclaredFunction) async throws {
        let declaration = function.declaration
        let bench = Bench()
        let scratch = try Scratch()
        let keys = ["vmm02", "vmm03"].map { "/tmp/perilune-\($0).key" }.filter(declaration.example.contains)
        for key in keys { try? FileManager.default.removeItem(atPath: key) }
        defer {
            scratch.remove()
            for key in keys { try? FileManager.default.removeItem(atPath: key) }
        }
        var options = bench.options(grants: Set(Power.allCases))
        options.folders = [GrantedFolder(path: scratch.path, isWritable: true)]
        let runner = ScriptRunner(engine: bench.engine, options: options)

        let prepared = try await runner.run(text: declaration.situation.preparation, name: "before.lua") { _ in }
        try #require(prepared.error == nil, "\(prepared)")
        if declaration.name == "leave_out" { bench.world.addDisk("vdc") }
        let before = try await Trace(of: bench)

        let text = "\(declaration.situation.names)\ndo\n\(declaration.example)\nend"
        let outcome = try await runner.run(text: text, name: "example.lua") { _ in }
        #expect(outcome.error == nil, "\(text)\n\(outcome.error?.description ?? "")")
        let changes = try await Trace(of: bench).differences(from: before)
        switch declaration.effect {
        case .none, .reads: #expect(changes.isEmpty, "its effect is '\(declaration.effect.rawValue)'")
        case .changes, .cannotBeUndone:
            // What the powers do is no matter of the vault and its sites.
            if function.power == nil || function.power == .lab {
                #expect(!changes.isEmpty, "it is said to have an effect, and the example shows none")
            }
        }
    }

    @Test("Every field reads as what it is declared to be", arguments: LuaAPI.types.map(\.name))
    func fields(name: String) async throws {
        let type = try #require(LuaAPI.types.first { $0.name == name })
        let bench = Bench()
        try await bench.run(Situation.protected.preparation)
        let examples = [
            "vault": "vault", "server": "vmm", "cloud": "gold", "host": "vault:host('a1')", "policy": "fast",
            "vm": "vm",
            "cluster": "vault:cluster { name = 'w', hosts = { vault:host('b1') }, access_name = 'w' }",
            "logical_network": "vmm:logical_network { name = 'lan', clouds = { silver } }",
            "vm_network": "vmm:logical_network { name = 'lan' }:vm_network { name = 'n', "
                + "subnets = { { name = 's', block = '10.1.0.0/24' } } }",
            "storage_class": "vmm:storage_class { name = 's', "
                + "locations = { { host = vault:host('b1'), path = '/srv' } } }",
            "item": "item", "relationship": "relationship",
            "plan": "vault:plan { name = 'shop', source = vmm, groups = { { vms = { 'orders' } } } }",
        ]
        let object = try #require(examples[name], "the test has no \(name)")
        for field in type.fields {
            let outcome = try await bench.run("\(Situation.protected.names)\nreturn \(object).\(field.name)")
            #expect(outcome.error == nil, "\(outcome)")
            let value = outcome.values.first ?? .nil
            #expect(
                field.isOptional && value == .nil || Self.fits(value, field.type), "\(name).\(field.name): \(value)")
        }
    }

    @Test(
        "What operations and questions return is what is declared",
        arguments: [
            ("item:sync()", "sync"), ("item:points()", "points"), ("item:next()", "next"),
            ("item:can('reverse')", "can"), ("item:probe { host = '10.77.0.11' }", "probe"),
            ("item:failover { kind = 'planned' }", "failover"),
        ])
    func results(call: String, name: String) async throws {
        let declaration = try #require(LuaAPI.functions.first { $0.publicName == "item:\(name)" }).declaration
        let bench = Bench()
        try await bench.run(Situation.protected.preparation)
        let outcome = try await bench.run("\(Situation.protected.names)\nreturn \(call)")
        #expect(outcome.error == nil && outcome.values.count <= declaration.results.count, "\(outcome)")
        for (value, result) in zip(outcome.values, declaration.results) {
            #expect(Self.fits(value, result.type), "\(result.name): \(value)")
        }
    }

    /// Whether a value is of a declared type; of a record each field is looked at, and none may be there undeclared.
    private static func fits(_ value: LuaValue, _ type: ValueType) -> Bool {
        switch type {
        case .any: return true
        case .boolean: return value.boolean != nil
        case .integer: return value.integer != nil
        case .number, .duration, .size: return value.number != nil
        case .text: return value.text != nil
        case .choice(let words): return words.contains(value.text ?? "")
        case .object(let name): return value.object?.type == name
        case .function: if case .function = value { return true } else { return false }
        case .list(let element): return value.table?.array.allSatisfy { fits($0, element) } == true
        case .map(let element): return value.table?.fields.allSatisfy { fits($0.value, element) } == true
        case .either(let types): return types.contains { fits(value, $0) }
        case .record(let name):
            guard let table = value.table, let record = LuaAPI.records.first(where: { $0.name == name }) else {
                return false
            }
            let declared = Set(record.fields.map(\.name))
            return table.fields.allSatisfy { declared.contains($0.key.text ?? "") }
                && record.fields.allSatisfy { field in
                    let value = table[field.name]
                    return value == .nil ? field.isOptional : fits(value, field.type)
                }
        }
    }
}

extension DeclaredFunction: CustomTestStringConvertible {
    package var testDescription: String { publicName }
}

/// What the vault holds and how the sites stand, without the runs themselves and without what guests write.
private struct Trace {
    private var lines: [String]

    init(of bench: Bench) async throws {
        lines = try await bench.engine.vault.read { vault in
            func all<Object: SiteObject>(_ type: Object.Type) throws -> [String] {
                let encoder = JSONEncoder()
                encoder.outputFormatting = .sortedKeys
                return try vault.objects(type).map { String(decoding: try encoder.encode($0.value), as: UTF8.self) }
            }
            let events = try vault.events(about: nil, limit: 100_000).map(\.text).filter { !$0.hasPrefix("run of ") }
            return try all(Host.self) + all(Server.self) + all(Cloud.self) + all(Policy.self) + all(CloudPair.self)
                + all(NetworkMapping.self) + all(ProtectedItem.self) + all(Relationship.self)
                + all(RecoveryPoint.self) + all(Job.self) + all(RecoveryPlan.self) + all(PlanRun.self)
                + all(AlertRule.self)
                + all(HostCluster.self) + all(LogicalNetwork.self) + all(VMNetwork.self) + all(StorageClass.self)
                + all(StorageMapping.self) + all(VaultRecord.self) + all(RegistrationKey.self) + events
        }
        lines += bench.world.sites.withLock { sites in
            sites.sorted { $0.key < $1.key }.flatMap { name, site in
                ["\(name) \(site.isUp) \(site.points.mapValues(\.count).sorted { $0.key < $1.key })"]
                    + site.guests.sorted { $0.key < $1.key }.map {
                        "\(name) \($0.key) \($0.value.power) \($0.value.autostart)"
                    }
            }
        }
    }

    func differences(from other: Trace) -> [String] {
        zip(lines, other.lines).filter { $0 != $1 }.map(\.0)
            + lines.dropFirst(other.lines.count) + other.lines.dropFirst(lines.count)
    }
}
