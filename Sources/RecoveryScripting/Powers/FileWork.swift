import Glibc

/// What is done to files beneath a granted folder; the path is relative to it.
struct FileWork: Sendable {
    let folder: GrantedFolder
    let path: Substring

    /// Bytes of a file that may be read at once.
    static let sizeLimit = 64 << 20
    /// How many entries of a folder may be listed.
    static let entryLimit = 100_000

    struct Entry {
        var name: [UInt8]
        var kind: String
        var size: Int64
    }

    func read() throws(FileFailure) -> [UInt8] {
        var walk = try FolderWalk(folder)
        let name = try walk.descend(path, followsLink: true)
        // A pipe that nobody writes to must not hold the run up.
        let file = try Self.opened(name, in: walk.directory, O_RDONLY | O_NONBLOCK)
        defer { close(file) }
        let size = try Self.regular(file).st_size
        guard size <= Self.sizeLimit else { throw .tooLarge }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(size))
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(errno) }
            if count == 0 { return bytes }
            // It may grow while it is read.
            guard bytes.count + count <= Self.sizeLimit else { throw .tooLarge }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// Puts a file in the place of what was there, all at once; its rights stay as they were, new ones are 0600.
    func write(_ bytes: [UInt8]) throws(FileFailure) {
        var walk = try FolderWalk(folder)
        let name = try walk.descend(path, followsLink: true)
        guard name != "." else { throw .notRegular }
        let directory = walk.directory
        var status = stat()
        var rights: mode_t = 0o600
        if fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
            rights = status.st_mode & 0o777
        }
        let draft = ".perilune-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        let file = try Self.opened(draft, in: directory, O_WRONLY | O_CREAT | O_EXCL)
        let isWhole =
            writeAll(bytes, to: file) && fchmod(file, rights) == 0 && fsync(file) == 0
            && renameat(directory, draft, directory, name) == 0
        let reason = errno
        close(file)
        guard isWhole else {
            unlinkat(directory, draft, 0)
            throw .system(reason)
        }
        guard fsync(directory) == 0 else { throw .system(errno) }
    }

    func append(_ bytes: [UInt8]) throws(FileFailure) {
        var walk = try FolderWalk(folder)
        let name = try walk.descend(path, followsLink: true)
        guard name != "." else { throw .notRegular }
        let file = try Self.opened(name, in: walk.directory, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK)
        defer { close(file) }
        _ = try Self.regular(file)
        guard writeAll(bytes, to: file), fsync(file) == 0 else { throw .system(errno) }
    }

    /// Removes a file, an empty folder, or a link, never what the link names.
    func remove() throws(FileFailure) {
        var walk = try FolderWalk(folder)
        let name = try walk.descend(path, followsLink: false)
        guard name != "." else { throw .system(EBUSY) }
        var status = stat()
        guard fstatat(walk.directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw .system(errno) }
        let flags = status.st_mode & S_IFMT == S_IFDIR ? AT_REMOVEDIR : 0
        guard unlinkat(walk.directory, name, flags) == 0 else { throw .system(errno) }
    }

    func exists() throws(FileFailure) -> Bool {
        do {
            var walk = try FolderWalk(folder)
            let name = try walk.descend(path, followsLink: true)
            var status = stat()
            return fstatat(walk.directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0
        } catch FileFailure.system(ENOENT), FileFailure.system(ENOTDIR) {
            return false
        }
    }

    /// What a folder holds, by name.
    func list() throws(FileFailure) -> [Entry] {
        var walk = try FolderWalk(folder)
        let name = try walk.descend(path, followsLink: true)
        let directory = try Self.opened(name, in: walk.directory, O_RDONLY | O_DIRECTORY)
        guard let stream = fdopendir(directory) else {
            let reason = errno
            close(directory)
            throw .system(reason)
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while let found = readdir(stream) {
            let name = withUnsafePointer(to: &found.pointee.d_name) { start in
                start.withMemoryRebound(to: UInt8.self, capacity: 256) { letters in
                    Array(
                        UnsafeBufferPointer(
                            start: letters,
                            count: strnlen(UnsafeRawPointer(letters).assumingMemoryBound(to: CChar.self), 256)))
                }
            }
            if name == [0x2e] || name == [0x2e, 0x2e] { continue }
            guard entries.count < Self.entryLimit else { throw .tooLarge }
            var status = stat()
            let isThere = (name + [0]).withUnsafeBytes { bytes in
                bytes.baseAddress.map {
                    fstatat(directory, $0.assumingMemoryBound(to: CChar.self), &status, AT_SYMLINK_NOFOLLOW) == 0
                } ?? false
            }
            guard isThere else { continue }
            entries.append(Entry(name: name, kind: Self.kind(status.st_mode), size: Int64(status.st_size)))
        }
        return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    private static func kind(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFREG: "file"
        case S_IFDIR: "folder"
        case S_IFLNK: "link"
        default: "other"
        }
    }

    private static func opened(_ name: String, in directory: Int32, _ flags: Int32) throws(FileFailure) -> Int32 {
        let file = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw errno == ENXIO ? .notRegular : .system(errno) }
        return file
    }

    private static func regular(_ file: Int32) throws(FileFailure) -> stat {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw .system(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
        return status
    }
}
