internal import Foundation
internal import GRDB
internal import Glibc

/// Copies of a vault that are whole: what stands in them is the vault at one instant.
extension SQLiteVault {
    /// Counts up whenever anybody has committed to the vault.
    ///
    /// Only its changing means anything, and only between two calls with the same `probe`.
    package func changes(_ probe: VaultProbe) throws -> Int {
        do { return try probe.queue.read { try Int.fetchOne($0, sql: "PRAGMA data_version") ?? 0 } } catch {
            throw SQLiteVault.translated(error, path)
        }
    }

    /// Writes a copy of the vault beside `place`, flushes it and gives it the name: what was there before stays whole until then.
    ///
    /// By SQLite's online backup: nobody waits for it, and it waits for nobody.
    package func copy(to place: String) async throws {
        let draft = place + ".part"
        try await copy(toDraft: draft)
        guard rename(draft, place) == 0 else { throw VaultFile.failure("name the copy \(place)", errno) }
        try VaultFile.syncFolder((place as NSString).deletingLastPathComponent)
    }

    /// Writes a copy of the vault into a fresh file, and flushes it.
    package func copy(toDraft draft: String) async throws {
        for leftover in [draft, draft + "-wal", draft + "-shm", draft + "-journal"] { unlink(leftover) }
        let file = Glibc.open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw VaultFile.failure("write \(draft)", errno) }
        defer { Glibc.close(file) }
        do {
            let target = try DatabaseQueue(path: draft)
            try await backUp(to: target)
            // One file, for whoever carries it; it goes back to a log of its own when it is opened as a vault.
            try await target.writeWithoutTransaction {
                _ = try String.fetchOne($0, sql: "PRAGMA journal_mode = DELETE")
            }
            try target.close()
        } catch {
            unlink(draft)
            throw SQLiteVault.translated(error, draft)
        }
        guard fsync(file) == 0 else { throw VaultFile.failure("sync \(draft)", errno) }
    }
}

/// A connection that only looks whether the vault has changed.
package final class VaultProbe: Sendable {
    let queue: DatabaseQueue

    package init(_ vault: SQLiteVault) throws {
        var configuration = Configuration()
        configuration.readonly = true
        do { queue = try DatabaseQueue(path: vault.path, configuration: configuration) } catch {
            throw SQLiteVault.translated(error, vault.path)
        }
    }
}
