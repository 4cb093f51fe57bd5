internal import Foundation
internal import Glibc

/// The directory of one relationship: an open handle on it, under an exclusive lock when it may be changed.
final class StoreDirectory: Sendable {
    let path: String
    private let descriptor: Int32

    /// Opens the directory, making it first if `create`; `lock` refuses with `.busy` while another process has it.
    init(root: String, relationship: String, create: Bool, lock: Bool) throws {
        try StoreNames.checkRelationship(relationship)
        try StoreNames.checkAbsolutePath(root)
        let path = root + "/" + relationship
        // Others may pass through to a file that they were given, as QEMU under its own user is; they cannot list.
        if create {
            for part in [root, path] where mkdir(part, 0o711) != 0 && errno != EEXIST {
                throw ReplicationError.system("making the store's directory", path: part, errno: errno)
            }
        }
        descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ReplicationError.system("opening the store of a relationship", path: path, errno: errno)
        }
        // One name for the directory, so that a path can be told to lie in it however it was written.
        self.path = Self.canonical(path)
        guard lock, flock(descriptor, LOCK_EX | LOCK_NB) != 0 else { return }
        let number = errno
        close(descriptor)
        if number == EWOULDBLOCK {
            throw ReplicationError(
                .busy, "another process has the store of relationship \(relationship) open",
                hint: "only one agent serves a site: stop the other one", context: ["path": path])
        }
        throw ReplicationError.system("locking the store", path: path, errno: number)
    }

    deinit {
        // Closing alone leaves it locked while a program that is just being started holds a copy of the descriptor.
        unlock()
        close(descriptor)
    }

    /// Gives the lock back before the handle goes.
    func unlock() { _ = flock(descriptor, LOCK_UN) }

    /// The path without symbolic links; the path itself when nothing is there.
    static func canonical(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    func path(_ name: String) -> String { path + "/" + name }

    /// Makes renames and removals in the directory durable.
    func sync() throws {
        guard fsync(descriptor) == 0 else { throw failure("flushing the store's directory", path) }
    }

    /// Renames without making it durable; `sync()` does that.
    func rename(_ from: String, to name: String) throws {
        guard renameat(descriptor, from, descriptor, name) == 0 else {
            throw failure("renaming a file in the store", path(from))
        }
    }

    /// Removes a file; one that is not there is no error.
    func remove(_ name: String) throws {
        guard unlinkat(descriptor, name, 0) == 0 || errno == ENOENT else {
            throw failure("removing a file from the store", path(name))
        }
    }

    func exists(_ name: String) -> Bool { faccessat(descriptor, name, F_OK, 0) == 0 }

    /// Names of the plain files.
    func files() throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).filter { name in
                var status = stat()
                return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0
                    && status.st_mode & S_IFMT == S_IFREG
            }.sorted()
        } catch {
            throw ReplicationError(
                .io, "the store's directory cannot be listed", hint: "check the file system and its permissions",
                context: ["path": path], cause: error)
        }
    }

    /// Reads a whole file; one longer than `limit` is `.damaged`.
    func read(_ name: String, limit: Int) throws -> Data {
        let file = try ImageFile(reading: path(name))
        let length = try file.length()
        guard length <= UInt64(limit) else {
            throw ReplicationError(
                .damaged, "a file in the store is far too long",
                hint: "something else wrote it: restore it from a copy",
                context: ["path": path(name), "bytes": String(length)])
        }
        var data = Data(count: Int(length))
        try data.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return data
    }

    /// Writes a small file beside its final name and flushes it; `rename` puts it in place.
    func writePart(_ name: String, _ data: Data) throws {
        let part = name + StoreNames.part
        try remove(part)
        do {
            let file = try ImageFile(creating: path(part))
            try data.withUnsafeBytes { try file.write($0, at: 0) }
            try file.sync()
        } catch {
            try? remove(part)
            throw error
        }
    }

    /// Writes a small file under its final name, whole or not at all; `sync()` makes the name durable.
    func write(_ name: String, _ data: Data) throws {
        try writePart(name, data)
        try rename(name + StoreNames.part, to: name)
    }

    /// Bytes that can still be written to the file system.
    func freeBytes() throws -> UInt64 {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { throw failure("reading the free space", path) }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    private func failure(_ doing: String, _ path: String) -> ReplicationError {
        let number = errno
        return .system(doing, path: path, errno: number)
    }
}
