import Foundation
import SiteModel
import Synchronization

/// The host's own records of who may write which VM: `STORE/ownership/<relationship>.json`.
///
/// The record lies outside the points, for it outlives them. The agent alone reads it today; it is a plain file so that a
/// libvirt `qemu` hook, which does not exist yet, can read it when no agent runs.
final class OwnershipRecords: Sendable {
    private static let sizeLimit = 64 << 10

    private let folder: String
    /// One change at a time, so that no check is overtaken by another's write.
    private let writing = Mutex(())

    init(store: String) throws {
        folder = store + "/ownership"
        try makeFolder(folder)
    }

    /// Reads a record; nil when there is none.
    func read(_ relationship: String) throws -> OwnershipRecord? {
        try StoreNames.checkRelationship(relationship)
        let path = path(relationship)
        guard let file = FileHandle(forReadingAtPath: path) else {
            if access(path, F_OK) != 0, errno == ENOENT { return nil }
            throw ReplicationError.system("reading an ownership record", path: path, errno: errno)
        }
        defer { try? file.close() }
        guard let data = try file.read(upToCount: Self.sizeLimit),
            let record = try? JSONDecoder().decode(OwnershipRecord.self, from: data),
            record.relationship == relationship
        else {
            // Guessing who the owner is could let two copies be written.
            throw ReplicationError(
                .damaged, "the ownership record of \(relationship) cannot be read",
                hint: "read the owner from the vault, remove the file, and record the owner again",
                context: ["path": path])
        }
        return record
    }

    /// Writes a record that is not older than the one that is there.
    func write(_ record: OwnershipRecord) throws {
        try writing.withLock { _ in
            if let present = try read(record.relationship) {
                let isNewer = record.epoch > present.epoch
                guard isNewer || (record.epoch == present.epoch && record.owner == present.owner) else {
                    throw ReplicationError(
                        .staleEpoch,
                        "epoch \(record.epoch) of owner \(record.owner) is not valid here: the record names"
                            + " \(present.owner) at epoch \(present.epoch)",
                        hint: "another failover has happened: read the present owner from the vault and act on that",
                        context: ["relationship": record.relationship])
                }
                guard present.vmUUID == record.vmUUID else {
                    throw ReplicationError(
                        .invalidArgument, "relationship \(record.relationship) belongs to another VM",
                        hint: "forget the relationship at this host before the name is used for another VM",
                        context: ["recorded": present.vmUUID, "given": record.vmUUID])
                }
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try replaceFile(path(record.relationship), with: try encoder.encode(record))
        }
    }

    /// Removes a record.
    func remove(_ relationship: String) throws {
        try StoreNames.checkRelationship(relationship)
        try writing.withLock { _ in
            guard unlink(path(relationship)) == 0 || errno == ENOENT else {
                throw ReplicationError.system(
                    "removing an ownership record", path: path(relationship), errno: errno)
            }
            try syncFolder(folder)
        }
    }

    private func path(_ relationship: String) -> String { "\(folder)/\(relationship).json" }
}

/// Makes a folder with those above it; without `rights` it is ours alone.
func makeFolder(_ path: String, rights: Int = 0o700) throws {
    do {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: rights])
    } catch {
        throw ReplicationError(
            .io, "the folder \(path) cannot be made", hint: "check that its file system is mounted and may be written",
            context: ["path": path], cause: error)
    }
}

/// Puts new content in the place of a file: written beside it, flushed, renamed, and the name flushed too.
func replaceFile(_ path: String, with data: Data) throws {
    let part = path + ".part"
    let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw ReplicationError.system("creating a file", path: part, errno: errno) }
    do {
        defer { close(descriptor) }
        var done = 0
        while done < data.count {
            let written = data.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw ReplicationError.system("writing a file", path: part, errno: errno) }
            done += written
        }
        guard fsync(descriptor) == 0 else {
            throw ReplicationError.system("flushing a file", path: part, errno: errno)
        }
    }
    guard rename(part, path) == 0 else { throw ReplicationError.system("renaming a file", path: path, errno: errno) }
    try syncFolder((path as NSString).deletingLastPathComponent)
}

private func syncFolder(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReplicationError.system("opening a folder", path: path, errno: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw ReplicationError.system("flushing a folder", path: path, errno: errno) }
}
