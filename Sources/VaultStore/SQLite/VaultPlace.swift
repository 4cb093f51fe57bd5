internal import Glibc

/// What can be told about the place of a vault without opening it.
package struct VaultPlace: Hashable, Sendable {
    package var path: String
    package var exists: Bool
    /// Permission bits of the file; nil when there is none.
    package var mode: UInt32?
    /// Permission bits of its folder; nil when there is none.
    package var folderMode: UInt32?
    /// Type of the network file system that it lies on; nil for a local one.
    package var networkFileSystem: String?
    /// Bytes free beside it; nil when it could not be asked.
    package var freeBytes: UInt64?

    package init(
        path: String, exists: Bool, mode: UInt32?, folderMode: UInt32?, networkFileSystem: String?, freeBytes: UInt64?
    ) {
        self.path = path
        self.exists = exists
        self.mode = mode
        self.folderMode = folderMode
        self.networkFileSystem = networkFileSystem
        self.freeBytes = freeBytes
    }

    /// Looks at the file and its folder.
    package init(inspecting path: String) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        func mode(_ path: String) -> UInt32? {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
        }
        self.path = path
        self.mode = mode(path)
        exists = self.mode != nil
        folderMode = mode(folder)
        if case .network(let type) = FileSystemKind.probe(exists ? path : folder) { networkFileSystem = type }
        var space = statvfs()
        if statvfs(folder, &space) == 0 { freeBytes = UInt64(space.f_bavail) * UInt64(space.f_frsize) }
    }
}
