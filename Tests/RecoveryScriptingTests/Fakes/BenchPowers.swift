import RecoveryEngine
import RecoveryScripting
import VaultStore

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
