import Glibc

/// A way through a granted folder, one component at a time, that never leaves it.
///
/// Each step opens a name within an open directory, without following a link; links are read and walked as if their text
/// had been written, and `..` goes back to the directory that was come from. So whatever changes underneath meanwhile, no
/// step leads above the folder. An absolute link leads out of it by what it says.
struct FolderWalk: ~Copyable {
    /// Directories from the granted folder down to where the walk stands.
    private var directories: [Int32]
    private var links = 0

    private static let linkLimit = 40

    /// Opens the granted folder.
    init(_ folder: GrantedFolder) throws(FileFailure) {
        let root = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw .system(errno) }
        directories = [root]
    }

    deinit { for directory in directories { close(directory) } }

    /// The directory that the walk ended in.
    var directory: Int32 { directories.last ?? -1 }

    /// Walks to the directory of the path's last component.
    ///
    /// - Parameter followsLink: whether a link at the end is followed too.
    /// - Returns: the last component within ``directory``, which may not exist; `.` for the directory itself.
    mutating func descend(_ path: Substring, followsLink: Bool) throws(FileFailure) -> String {
        var pending = Self.components(path)
        while let name = pending.popLast() {
            if name == ".." {
                guard directories.count > 1 else { throw .leadsOut }
                close(directories.removeLast())
                continue
            }
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                if errno == ENOENT, pending.isEmpty { return name }
                throw .system(errno)
            }
            let isLast = pending.isEmpty
            if status.st_mode & S_IFMT == S_IFLNK, !isLast || followsLink {
                pending += try target(of: name)
            } else if isLast {
                return name
            } else {
                let next = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard next >= 0 else { throw .system(errno) }
                directories.append(next)
            }
        }
        return "."
    }

    private mutating func target(of link: String) throws(FileFailure) -> [String] {
        links += 1
        guard links <= Self.linkLimit else { throw .system(ELOOP) }
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let directory = directory
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { letters in
                letters.baseAddress.map { readlinkat(directory, link, $0, letters.count) } ?? 0
            }
        }
        guard length > 0, length < buffer.count else { throw .system(length < 0 ? errno : ENAMETOOLONG) }
        let text = String(decoding: buffer.prefix(length), as: UTF8.self)
        guard !text.hasPrefix("/") else { throw .leadsOut }
        return Self.components(text[...])
    }

    /// Components, the first one last.
    private static func components(_ path: Substring) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.reversed().map(String.init)
    }
}

/// Why a file could not be worked with.
enum FileFailure: Error, Hashable {
    /// A link, or `..`, leads out of the granted folder.
    case leadsOut
    case notRegular
    case tooLarge
    /// What `errno` said.
    case system(Int32)
}
