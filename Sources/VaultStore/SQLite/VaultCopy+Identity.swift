internal import Foundation
internal import GRDB
internal import SiteModel

extension SQLiteVault {
    /// The identity that a copy of a vault carries, without opening it as one; nil when there is no file, or no identity in it.
    ///
    /// Throws `corrupt` when the file is no vault: it is not ours to write over.
    package static func identity(ofCopyAt path: String) throws -> VaultIdentity? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let file = try VaultFile(inspecting: path), file.version > 0 else {
            throw VaultFile.notAVault(path, "it is another file")
        }
        var configuration = Configuration()
        configuration.readonly = true
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { database in
                let reader: any VaultReader = ReadTransaction(rows: SQLiteRows(database: database))
                return try reader.object(VaultIdentity.self, named: VaultIdentity.onlyName, parent: nil)?.value
            }
        } catch {
            throw translated(error, path)
        }
    }
}
