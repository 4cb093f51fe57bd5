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
    func engine(create: Bool = false, display: JobDisplay) throws -> RecoveryEngine {
        let vault = try SQLiteVault.open(path: path, create: create)
        return RecoveryEngine(
            EngineDependencies(
                vault: vault, connections: LibvirtConnections(), fencing: CommandFencing(), clock: SystemClock(),
                identifiers: RandomIdentifiers(), holder: Self.holder(),
                observer: { job, vm in display.update(job, vm) }))
    }

    private static func holder() -> String {
        "\(ProcessInfo.processInfo.hostName):\(getpid()):\(UUID().uuidString.lowercased().prefix(8))"
    }
}
