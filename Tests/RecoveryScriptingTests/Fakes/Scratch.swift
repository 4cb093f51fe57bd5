import Foundation
import RecoveryEngine
import RecoveryScripting
import VaultStore

/// A folder for one test, removed with what it holds when the test is over.
final class Scratch: Sendable {
    let path: String

    init() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "perilune-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    func folder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: self(name), withIntermediateDirectories: true)
    }

    func put(_ text: String, at name: String) throws {
        try text.write(toFile: self(name), atomically: true, encoding: .utf8)
    }

    func text(_ name: String) -> String? { try? String(contentsOfFile: self(name), encoding: .utf8) }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: self(name), withDestinationPath: target)
    }
}

extension Bench {
    /// Runs a script that is granted these powers and folders, by the machine's own clock: the world outside keeps to it.
    func run(
        _ text: String, powers: Set<Power>, folders: [GrantedFolder] = [], arguments: [String] = []
    ) async throws -> RunOutcome {
        var options = options(grants: powers)
        options.folders = folders
        let printed = printed
        let engine = RecoveryEngine(
            EngineDependencies(
                vault: MemoryVault(), connections: FakeConnections(world: world), fencing: FakeFencing(world: world),
                clock: SystemClock(), identifiers: CountingIdentifiers(), holder: "test", leaseLifetime: 10_000))
        return try await ScriptRunner(engine: engine, options: options)
            .run(text: text, name: "test.lua", arguments: arguments) { printed.append($0) }
    }
}
