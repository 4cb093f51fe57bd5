internal import Foundation
internal import GRDB
internal import Glibc

/// The vault on disk: one SQLite database in WAL mode, which any number of processes on its machine may have open.
///
/// A write that has returned survives a power failure (`synchronous = FULL`). Write transactions are immediate: they
/// wait for the write lock at their start, up to the busy timeout, and never fail halfway for want of it.
package final class SQLiteVault: Vault {
    private let pool: DatabasePool
    /// Held shared while the vault is open, so that nobody migrates it meanwhile.
    private let lock: VaultLock
    package let path: String
    /// The file that was opened: SQLite would write on to one that has no name any more, and all of it would be lost.
    private let mark: FileMark?

    init(path: String, pool: DatabasePool, lock: VaultLock) {
        self.path = path
        self.pool = pool
        self.lock = lock
        mark = FileMark(path)
    }

    /// Opens the vault at `path`; when there is none and `create` is true, makes one, whole or not at all.
    ///
    /// Throws `VaultError` and leaves the file as it is: `notFound`, `corrupt` (not a vault, or damaged),
    /// `newerVersion`, `readOnly`, `networkFileSystem`, `locked` (being migrated), `inputOutput`.
    package static func open(path: String, create: Bool = false) throws -> SQLiteVault {
        try VaultOpening(path: path, create: create).open()
    }

    package func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result {
        try requireInPlace()
        let (pool, path) = (pool, path)
        return try await uncancelled {
            do {
                return try await pool.read { try body(ReadTransaction(rows: SQLiteRows(database: $0))) }
            } catch {
                throw SQLiteVault.translated(error, path)
            }
        }
    }

    @discardableResult
    package func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result {
        try requireInPlace()
        let (pool, path) = (pool, path)
        return try await uncancelled {
            do {
                return try await pool.write { try body(WriteTransaction(rows: SQLiteRows(database: $0))) }
            } catch {
                throw SQLiteVault.translated(error, path)
            }
        }
    }

    private func requireInPlace() throws(VaultError) {
        guard FileMark(path) == mark else { throw .vanished(path) }
    }

    /// Reads every page and index of the vault; the sentences say what is wrong with it, none when it is whole.
    ///
    /// Takes about a second for each 100 MB.
    package func problems() async throws -> [String] {
        let (pool, path) = (pool, path)
        return try await uncancelled {
            do {
                let lines = try await pool.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") }
                return lines.filter { $0 != "ok" }
            } catch {
                throw SQLiteVault.translated(error, path)
            }
        }
    }

    /// Blocks while it copies, so on a thread that nothing else waits for.
    func backUp(to target: DatabaseQueue) async throws {
        let pool = pool
        try await uncancelled { try pool.backup(to: target) }
    }

    /// Runs on the connection that writes, outside a transaction; for tests and maintenance.
    func onWriter<Result: Sendable>(_ body: @escaping @Sendable (Database) throws -> Result) async throws -> Result {
        try await pool.writeWithoutTransaction(body)
    }

    /// Closes the vault and, when no other process is reading, brings everything into its one file.
    ///
    /// A vault that is let go of closes itself and leaves that to the next.
    package func close() throws {
        // A reader elsewhere keeps the log from being emptied: no harm, the log is part of the vault.
        _ = try? pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try pool.close()
        lock.release()
    }

    /// Removes the vault's file with its logs and its lock, with no other process at it, once `check` lets it go.
    ///
    /// The vault cannot be used after that. Throws `locked` while another process has it open; then, and when `check` throws, it
    /// is as it was.
    package func remove(check: () async throws -> Void) async throws {
        try lock.take(.alone, patience: 0)
        do {
            try await check()
        } catch {
            try lock.take(.shared, patience: 3)
            throw error
        }
        // A log that outlived its database would be read into the next one of that name.
        try await pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        try pool.close()
        for log in ["-wal", "-shm", "-journal"] { unlink(path + log) }
        guard unlink(path) == 0 || errno == ENOENT else { throw VaultFile.failure("remove \(path)", errno) }
        try VaultFile.syncFolder((path as NSString).deletingLastPathComponent)
        // The lock last: until then nobody makes another vault in its place.
        for beside in [".new", ".lock"] { unlink(path + beside) }
        lock.release()
    }

    /// Runs `work` to its end even if the caller's task is cancelled: GRDB would otherwise give up the transaction.
    private func uncancelled<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await Task.detached(operation: work).value
    }

    /// What an SQLite error means for a vault; any other error passes as it is.
    static func translated(_ error: any Error, _ path: String) -> any Error {
        guard let failure = error as? DatabaseError else { return error }
        switch failure.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return VaultFile.damaged(path, failure.message ?? "a page makes no sense", cause: failure)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return VaultError(
                .locked, "Another process has been writing to the vault \(path) for too long.",
                hint: "Try again. If it stays so, end the process that holds it; nothing is lost by that.",
                cause: failure)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            return VaultError(
                .readOnly, "The vault \(path) cannot be written.",
                hint: "Give this user write permission to the file and its folder.", cause: failure)
        case .SQLITE_FULL:
            return VaultError(
                .inputOutput, "The disk of the vault \(path) is full.",
                hint: "Free some space there; nothing was changed.", cause: failure)
        default:
            return VaultError(
                .inputOutput, "The vault \(path) cannot be read or written: \(failure.message ?? "unknown error").",
                hint: "Check the disk that it lies on.", cause: failure)
        }
    }
}
