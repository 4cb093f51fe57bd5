internal import ArgumentParser
import Foundation
import Glibc
import RecoveryEngine
import SiteModel
import VaultStore

/// Which vault a command works on, and the engine over it.
struct VaultOptions: ParsableArguments {
    @Option(name: .customLong("vault"), help: "The vault's file (also: PERILUNE_VAULT).")
    var path: String = ProcessInfo.processInfo.environment["PERILUNE_VAULT"] ?? "/var/lib/perilune/vault.db"

    @Flag(help: "Print JSON for machines.")
    var json = false

    /// Opens the vault and makes an engine over it; `create` makes a new vault where there is none.
    ///
    /// A copy in whose place another was promoted is refused, but to who only `inspects` it: what was written there would
    /// be lost.
    func engine(create: Bool = false, inspects: Bool = false, display: JobDisplay) throws -> RecoveryEngine {
        let vault = try SQLiteVault.open(path: path, create: create)
        if !inspects, let refusal = try SQLiteVault.identity(ofCopyAt: path)?.refusal(path) { throw refusal }
        let dependencies = Self.dependencies(vault) { job, vm in display.update(job, vm) }
        VaultShipping.begin(
            try VaultShipper(vault: vault, connections: dependencies.connections, clock: dependencies.clock))
        return RecoveryEngine(dependencies)
    }

    static func dependencies(
        _ vault: SQLiteVault, observer: @escaping @Sendable (Job, String) -> Void = { _, _ in }
    ) -> EngineDependencies {
        EngineDependencies(
            vault: vault, connections: LibvirtConnections(), fencing: CommandFencing(), clock: SystemClock(),
            identifiers: RandomIdentifiers(), holder: holder(), observer: observer)
    }

    /// Which copy of a vault lies at a path: the machine and the file, for whoever looks for it.
    static func place(of path: String) -> String {
        "\(ProcessInfo.processInfo.hostName):\(URL(filePath: path).resolvingSymlinksInPath().path())"
    }

    private static func holder() -> String {
        "\(ProcessInfo.processInfo.hostName):\(getpid()):\(UUID().uuidString.lowercased().prefix(8))"
    }
}
