internal import struct Foundation.UUID
internal import GRDB
internal import Glibc

/// The way from a path to an open vault: every check comes before anything is written.
struct VaultOpening {
    var path: String
    var create: Bool
    var schema: Schema = .current
    /// The kind of file system that holds a path.
    var fileSystem: @Sendable (String) -> FileSystemKind? = { FileSystemKind.probe($0) }
    /// Seconds to wait for a migration by another process to end.
    var patience = 3.0
    /// Seconds to wait for another process's write transaction to end.
    var busyTimeout = 5.0

    private var folder: String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    func open() throws -> SQLiteVault {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw VaultError(.notFound, "The path of the vault is empty or not a path.", hint: "Name the vault's file.")
        }
        try prepareFolder()
        try refuseNetwork(folder)
        guard let file = try VaultFile(inspecting: path) else {
            guard create else { throw missing }
            return try openCreated()
        }
        try refuseNetwork(path)
        try refuseNewer(file.version)
        guard file.version > 0 else { throw VaultFile.notAVault(path, "its making was never completed") }
        try VaultFile.requireWritable(path, folder: folder)
        let lock = try VaultLock(vault: path, mode: .shared, patience: patience)
        return try open(under: lock)
    }

    private var missing: VaultError {
        VaultError(
            .notFound, "There is no vault at \(path).",
            hint: "Check the path (--vault, PERILUNE_VAULT), or make one: perilune vault create --vault \(path). "
                + "If it was lost with its site: perilune vault promote where it was shipped to, or perilune vault rebuild; "
                + "perilune host failover starts a VM without any.")
    }

    private func prepareFolder() throws(VaultError) {
        var status = stat()
        if stat(folder, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw VaultError(.notFound, "\(folder) is not a folder.", hint: "Check the path of the vault.")
            }
            return
        }
        guard errno == ENOENT, create else { throw missing }
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw VaultFile.failure("make the folder \(folder)", errno)
        }
    }

    private func refuseNetwork(_ place: String) throws(VaultError) {
        guard case .network(let name) = fileSystem(place) else { return }
        throw VaultError(
            .networkFileSystem,
            "The vault \(path) lies on a network file system (\(name)), where its locks do not hold.",
            hint: "Put the vault on a local disk; its second place is kept by shipping it, not by sharing it.")
    }

    private func refuseNewer(_ version: Int) throws(VaultError) {
        guard version > schema.version else { return }
        throw VaultError(
            .newerVersion,
            "The vault \(path) has version \(version); this program knows versions up to \(schema.version).",
            hint: "Use the newer program that wrote it. The file was not touched.")
    }

    // MARK: Creation

    /// Makes the database beside its place and gives it its name when it is whole and on disk.
    private func openCreated() throws -> SQLiteVault {
        try VaultFile.requireWritable(folder, folder: folder)
        let lock = try VaultLock(vault: path, mode: .alone, patience: patience)
        if try VaultFile(inspecting: path) == nil {
            do {
                try createFile()
            } catch {
                throw SQLiteVault.translated(error, path)
            }
        }
        try lock.take(.shared, patience: patience)
        return try open(under: lock)
    }

    private func createFile() throws {
        let draft = path + ".new"
        for leftover in [draft, draft + "-wal", draft + "-shm", draft + "-journal"] { unlink(leftover) }
        let descriptor = Glibc.open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw VaultFile.failure("create \(draft)", errno) }
        defer {
            close(descriptor)
            unlink(draft)
        }
        var configuration = Configuration()
        configuration.journalMode = .wal
        let queue = try DatabaseQueue(path: draft, configuration: configuration)
        try schema.migrate(queue)
        // From the first: copies of it that were made by hand are known for copies of one vault, too.
        try queue.write { database in
            let rows: any VaultWriter = WriteTransaction(rows: SQLiteRows(database: database))
            try rows.insert(VaultIdentity(id: UUID().uuidString.lowercased()))
        }
        try queue.close()
        guard fsync(descriptor) == 0 else { throw VaultFile.failure("sync \(draft)", errno) }
        guard link(draft, path) == 0 else { throw VaultFile.failure("name the new vault \(path)", errno) }
        try VaultFile.syncFolder(folder)
    }

    // MARK: Opening

    private func open(under lock: VaultLock) throws -> SQLiteVault {
        do {
            let version = try inspect()
            let pool = try openPool()
            if version < schema.version { try migrate(pool, lock) }
            return SQLiteVault(path: path, pool: pool, lock: lock)
        } catch {
            throw SQLiteVault.translated(error, path)
        }
    }

    private func openPool() throws -> DatabasePool {
        var configuration = Configuration()
        configuration.busyMode = .timeout(busyTimeout)
        configuration.prepareDatabase { db in
            // A damaged or hostile file may not reach further than the rows that are asked for.
            try db.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB sets NORMAL when it turns WAL on, which may lose the last commits in a power failure.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        return pool
    }

    /// The version that the database itself gives, its log included; throws when it cannot be a vault of this
    /// program's.
    ///
    /// Asked through a connection that cannot write, so that what is refused stays as it is.
    private func inspect() throws -> Int {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busyTimeout)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        let (version, tables) = try queue.read { db in
            (
                try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0,
                try Set(String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'table'"))
            )
        }
        try queue.close()
        try refuseNewer(version)
        guard tables.isSuperset(of: Schema.tables) else { throw VaultFile.damaged(path, "tables are missing") }
        return version
    }

    /// Nobody else may have the vault open: a process of the older version would write rows of the older form.
    private func migrate(_ pool: DatabasePool, _ lock: VaultLock) throws {
        do {
            try lock.take(.alone, patience: patience)
        } catch {
            // Of several programs that start after an upgrade, another may have done it while this one waited.
            guard error.code == .locked, try inspect() == schema.version else { throw error }
            return try lock.take(.shared, patience: patience)
        }
        try schema.migrate(pool)
        // The version must be in the file itself, where an older program looks before it opens anything.
        try pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        try lock.take(.shared, patience: patience)
    }
}
