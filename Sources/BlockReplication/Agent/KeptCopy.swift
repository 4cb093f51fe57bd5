import Foundation

/// A copy of the vault in a host's store, kept from the host's agent while it is made the vault.
///
/// The agent need not run, and need not answer where it does: the store's own record of the vault is written, and whichever
/// agent serves the store next refuses what the vault before would ship over the copy.
package struct KeptCopy: ~Copyable {
    private let id: String
    private let folder: String
    private let lock: RecordsLock

    /// Takes the copy in that file; call it before the file is opened, for until then the agent may put a newer one in its place.
    ///
    /// - Returns: nil when the file is no copy that an agent keeps.
    package static func take(_ path: String) throws -> KeptCopy? {
        let file = URL(filePath: path).resolvingSymlinksInPath()
        let (id, folder) = (file.deletingPathExtension().lastPathComponent, file.deletingLastPathComponent().path())
        // An agent writes down how a vault stands before it takes a part of it.
        guard file.pathExtension == "db", (try? StoreNames.checkRelationship(id)) != nil,
            FileManager.default.fileExists(atPath: "\(folder)/\(id).json")
        else { return nil }
        return KeptCopy(id: id, folder: folder, lock: try KeptVaults.lock(folder))
    }

    /// Writes down how the copy stands now, as its agent would; throws what the agent would, too (`VaultStanding.admit`).
    ///
    /// Another vault's file under that name is none of the store's business.
    package func attend(_ vault: VaultStanding) throws {
        if vault.id == id { try KeptVaults.admit(vault, in: folder) }
    }
}
