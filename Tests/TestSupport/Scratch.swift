import Foundation

/// A folder for one test, for its owner only, removed with all that it holds when it is let go of.
///
/// Its path is short: the address of a Unix socket has room for 107 bytes, and libvirt's are long.
package final class Scratch: Sendable {
    package let path: String

    package init() throws {
        path = "/tmp/perilune-" + UUID().uuidString.suffix(12).lowercased()
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { remove() }

    /// Removes it before the last reference goes: `defer` this where only its path is handed on, which keeps nothing alive.
    package func remove() {
        try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of a name in it.
    package func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes a folder in it, with those above.
    package func folder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: self(name), withIntermediateDirectories: true)
    }

    /// Writes a file in it, and returns its path.
    @discardableResult
    package func put(_ text: String, at name: String, permissions: Int = 0o644) throws -> String {
        let path = self(name)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path)
        return path
    }

    /// A file's text; nil when there is none.
    package func text(_ name: String) -> String? { try? String(contentsOfFile: self(name), encoding: .utf8) }

    package func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: self(name), withDestinationPath: target)
    }
}
