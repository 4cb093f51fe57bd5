import Foundation
import SiteModel
import Synchronization

/// What a host keeps of vaults: the highest promotion that it has seen of each, and a copy of each that is shipped here.
///
///     STORE/vault/<id>.json     the standing
///     STORE/vault/<id>.db       the newest copy that came whole; `perilune vault promote` opens it
///     STORE/vault/.lock         taken for each change, by the agent and by a promotion of the copy (`KeptCopy`)
final class KeptVaults: Sendable {
    private static let maximumCopy: UInt64 = 4 << 30

    private let folder: String
    /// One change at a time in this process; `alone` takes it, and keeps the others out too.
    private let changing = Mutex(())

    init(store: String) throws {
        folder = store + "/vault"
        try makeFolder(folder)
    }

    /// How each vault stands that the agent of this store has heard of; records that cannot be read are passed over.
    static func standings(reading store: String) -> [VaultStanding] {
        let folder = store + "/vault"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().filter { $0.hasSuffix(".json") }.compactMap { name in
            FileManager.default.contents(atPath: "\(folder)/\(name)").flatMap {
                try? JSONDecoder().decode(VaultStanding.self, from: $0)
            }
        }
    }

    func attend(_ vault: VaultStanding) throws {
        try alone { try Self.admit(vault, in: folder) }
    }

    /// Takes a part: they come in order, each at the end of the one before.
    func keep(_ part: VaultPart) throws {
        try alone {
            try Self.admit(part.vault, in: folder)
            let draft = "\(folder)/\(part.vault.id).db.part"
            guard part.data.count <= VaultPart.maximumBytes, part.offset <= Self.maximumCopy else {
                throw ReplicationError(
                    .invalidArgument, "a part of the vault's copy is too long, or the copy is over 4 GiB",
                    hint: "run the same version of perilune at both ends")
            }
            let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (part.offset == 0 ? O_TRUNC : 0)
            let file = open(draft, flags, 0o600)
            guard file >= 0 else { throw ReplicationError.system("writing a vault's copy", path: draft, errno: errno) }
            defer { close(file) }
            var details = stat()
            guard fstat(file, &details) == 0, UInt64(details.st_size) == part.offset else {
                throw ReplicationError(
                    .protocolViolation, "a part of the vault's copy does not follow the one before",
                    hint: "two engines ship the vault at once, or one broke off: it is shipped again from its start")
            }
            var done = 0
            while done < part.data.count {
                let written = part.data.withUnsafeBytes {
                    pwrite(
                        file, $0.baseAddress.map { $0 + done }, part.data.count - done,
                        off_t(part.offset) + off_t(done))
                }
                if written < 0 && errno == EINTR { continue }
                guard written > 0 else {
                    throw ReplicationError.system("writing a vault's copy", path: draft, errno: errno)
                }
                done += written
            }
            guard part.isLast else { return }
            guard fsync(file) == 0 else {
                throw ReplicationError.system("flushing a vault's copy", path: draft, errno: errno)
            }
            let place = "\(folder)/\(part.vault.id).db"
            guard rename(draft, place) == 0 else {
                throw ReplicationError.system("renaming a vault's copy", path: place, errno: errno)
            }
            try syncFolder(folder)
        }
    }

    private func alone(_ body: () throws -> Void) throws {
        try changing.withLock { _ in
            let lock = try Self.lock(folder)
            defer { withExtendedLifetime(lock) {} }
            try body()
        }
    }

    static func lock(_ folder: String) throws -> RecordsLock {
        try RecordsLock(folder + "/.lock", of: "copies of vaults")
    }

    /// Takes in how the vault that asks stands, or refuses it; whoever calls holds the folder's lock.
    static func admit(_ vault: VaultStanding, in folder: String) throws {
        try StoreNames.checkRelationship(vault.id)
        let path = "\(folder)/\(vault.id).json"
        var known: VaultStanding?
        if let data = FileManager.default.contents(atPath: path) {
            known = try? JSONDecoder().decode(VaultStanding.self, from: data)
            guard known != nil else {
                throw ReplicationError(
                    .damaged, "the record of vault \(vault.id) cannot be read",
                    hint: "remove the file once it is clear which copy of the vault counts", context: ["path": path])
            }
        }
        try known?.admit(vault)
        if vault != known { try replaceFile(path, with: try JSONEncoder().encode(vault)) }
    }
}
