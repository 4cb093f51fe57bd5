internal import Glibc

/// What can be told about a vault's file without opening it as a database, and so without changing it.
struct VaultFile {
    let path: String
    /// PRAGMA user_version, as far as the file itself has it.
    let version: Int

    /// "PRLN" in the file's header (PRAGMA application_id) says that a database is a vault.
    static let applicationID: UInt32 = 0x5052_4C4E

    /// Looks at an existing file; throws what is wrong with it.
    ///
    /// Returns nil when there is none.
    init?(inspecting path: String) throws(VaultError) {
        self.path = path
        var status = stat()
        guard stat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw VaultFile.failure("look at \(path)", errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw VaultFile.notAVault(path, "it is not a regular file") }
        let header = try VaultFile.header(path)
        guard header.count == 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw VaultFile.notAVault(path, "it is not a database")
        }
        func number(_ offset: Int) -> UInt32 { header[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        guard number(68) == VaultFile.applicationID else {
            throw VaultFile.notAVault(path, "it is another program's database")
        }
        version = Int(number(60))
        // File format, section 1.3: page size at 16 (1 means 65536), pages at 28. A checkpoint that was cut short
        // leaves a short file beside a log that still has every page, so only a file without a log is judged.
        let stored = Int(header[16]) << 8 | Int(header[17])
        let expected = (stored == 1 ? 65536 : stored) * Int(number(28))
        var log = stat()
        let hasLog = stat(path + "-wal", &log) == 0 && log.st_size > 0
        if !hasLog, Int(status.st_size) < expected {
            throw VaultFile.damaged(path, "it was cut short: \(status.st_size) of \(expected) bytes are there")
        }
    }

    /// Refuses a file or folder that cannot be written, by permission, by mount or, for a user whom permissions do not
    /// bind, by its mode alone.
    static func requireWritable(_ path: String, folder: String) throws(VaultError) {
        for place in [path, folder] {
            var status = stat()
            guard stat(place, &status) == 0 else { throw failure("look at \(place)", errno) }
            if access(place, W_OK) != 0 || status.st_mode & 0o222 == 0 {
                throw VaultError(
                    .readOnly, "The vault \(path) cannot be written: \(place) is read-only.",
                    hint: "Give this user write permission to the file and its folder, or name another vault.")
            }
        }
    }

    /// Makes the name of a file in a folder durable.
    static func syncFolder(_ folder: String) throws(VaultError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open \(folder)", errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync \(folder)", errno) }
    }

    private static func header(_ path: String) throws(VaultError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read \(path)", errno) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 100)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw failure("read \(path)", errno) }
        return Array(buffer[..<count])
    }

    static func notAVault(_ path: String, _ why: String) -> VaultError {
        VaultError(
            .corrupt, "\(path) is not a vault: \(why).",
            hint: "Check the path. The file was not touched.")
    }

    static func damaged(_ path: String, _ why: String, cause: (any Error)? = nil) -> VaultError {
        VaultError(.corrupt, "The vault \(path) is damaged: \(why).", hint: keepAndRestore, cause: cause)
    }

    /// What to do about damage, wherever it is met.
    static let keepAndRestore =
        "Keep the file as it is; restore the vault from its second place, or rebuild it from the manifests."

    static func failure(_ what: String, _ code: CInt) -> VaultError {
        let reason = String(cString: strerror(code))
        switch code {
        case EACCES, EPERM, EROFS:
            return VaultError(
                .readOnly, "Cannot \(what): \(reason).", hint: "Give this user permission, or name another vault.")
        case ENOENT:
            return VaultError(.notFound, "Cannot \(what): \(reason).", hint: "Check the path.")
        default:
            return VaultError(.inputOutput, "Cannot \(what): \(reason).", hint: "Check the disk and its free space.")
        }
    }
}
