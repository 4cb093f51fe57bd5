import Foundation
package import SiteModel
import Synchronization

/// The host's own records of who may write which VM: `STORE/ownership/<relationship>.json`.
///
/// A record lies outside the points, for it outlives them. It is a plain file, so that libvirt's `qemu` hook can read it when
/// no agent runs.
///
/// A record alone does not say that it still holds: the host may have been down while the VM failed over. So each is
/// *confirmed* since the last boot, or it is not: by a file of the same name in a folder that a reboot empties.
package final class OwnershipRecords: Sendable {
    /// Where a host's confirmations lie unless it is told otherwise.
    package static let defaultRuntime = "/run/perilune"
    private static let sizeLimit = 64 << 10

    private let folder: String
    private let confirmed: String
    /// One change at a time in this process; `alone` takes it, and keeps the others out too.
    private let writing = Mutex(())

    /// Takes the records of a store; `runtime` is a folder that a reboot empties.
    init(store: String, runtime: String?) throws {
        folder = store + "/ownership"
        confirmed = (runtime ?? store) + "/confirmed"
        try makeFolder(folder)
        try makeFolder(confirmed)
    }

    /// Takes the records of a store as they are, to read them only: nothing is made or changed.
    package init(reading store: String, runtime: String) {
        folder = store + "/ownership"
        confirmed = runtime + "/confirmed"
    }

    /// Reads a record; nil when there is none.
    package func read(_ relationship: String) throws -> OwnershipRecord? {
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
                hint:
                    "remove the file \(path) at this host; if the vault agrees with the VM's definition about the owner, "
                    + "perilune replicate writes it anew, and until then the VM is not started here",
                context: ["path": path])
        }
        return record
    }

    /// Every record, with whether it was confirmed since the last boot.
    ///
    /// One that cannot be read is named with its fault: it must not hide the others.
    package func standings() throws -> [OwnershipStanding] {
        try relationships().compactMap { relationship in
            do {
                return try read(relationship).map { OwnershipStanding(record: $0, isConfirmed: isConfirmed($0)) }
            } catch let error as ReplicationError {
                return OwnershipStanding(
                    fault: UnreadableRecord(relationship: relationship, message: error.message, hint: error.hint))
            }
        }
    }

    /// The record that names this VM; nil when none does.
    ///
    /// Records that cannot be read are passed over.
    package func record(ofVM uuid: String) throws -> OwnershipRecord? {
        try relationships().lazy.compactMap { try? self.read($0) }.first { $0.vmUUID == uuid }
    }

    private func relationships() throws -> [String] {
        guard access(folder, F_OK) == 0 else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(".json".count)) }
            .filter { (try? StoreNames.checkRelationship($0)) != nil }
    }

    /// Whether this very ownership was confirmed since the last boot.
    package func isConfirmed(_ record: OwnershipRecord) -> Bool {
        guard (try? StoreNames.checkRelationship(record.relationship)) != nil else { return false }
        let text = try? String(contentsOfFile: "\(confirmed)/\(record.relationship)", encoding: .utf8)
        return text == Self.confirmation(of: record)
    }

    private static func confirmation(of record: OwnershipRecord) -> String { "\(record.epoch) \(record.owner)\n" }

    /// Runs a change with nobody else at the records, so that no check is overtaken by another's write.
    private func alone<Result: Sendable>(_ body: () throws -> Result) throws -> Result {
        try writing.withLock { _ in
            let lock = try RecordsLock(folder + "/.lock")
            defer { withExtendedLifetime(lock) {} }
            return try body()
        }
    }

    /// Writes a record that is not older than the one that is there, and confirms it: whoever writes it knows.
    func write(_ record: OwnershipRecord) throws {
        try alone {
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
            try put(record)
            try confirm(record)
        }
    }

    /// Confirms every record that names its own host as owner on the operator's word, and notes when, for the vault to see.
    ///
    /// - Returns: all records that name this host as owner.
    package static func confirmAlone(store: String, runtime: String, at now: Timestamp) throws -> [OwnershipRecord] {
        let records = try OwnershipRecords(store: store, runtime: runtime)
        return try records.alone {
            try records.standings().compactMap { standing in
                guard var record = standing.record, record.owner == record.host else { return nil }
                guard !standing.isConfirmed else { return record }
                record.startedAlone = now
                try records.put(record)
                try records.confirm(record)
                return record
            }
        }
    }

    private func confirm(_ record: OwnershipRecord) throws {
        try makeFolder(confirmed)
        try replaceFile("\(confirmed)/\(record.relationship)", with: Data(Self.confirmation(of: record).utf8))
    }

    private func put(_ record: OwnershipRecord) throws {
        try replaceFile(path(record.relationship), with: try JSONEncoder().encode(record))
    }

    /// Removes a record; nothing happens when there is none.
    func remove(_ relationship: String) throws {
        try StoreNames.checkRelationship(relationship)
        try alone {
            unlink("\(confirmed)/\(relationship)")
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

func syncFolder(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReplicationError.system("opening a folder", path: path, errno: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw ReplicationError.system("flushing a folder", path: path, errno: errno) }
}
