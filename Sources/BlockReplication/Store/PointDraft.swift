internal import Foundation
package import SiteModel

/// A disk that a point will hold.
package struct DiskPlan: Hashable, Sendable {
    package var target: String
    /// Bytes, a multiple of 512.
    package var size: UInt64

    package init(target: String, size: UInt64) {
        self.target = target
        self.size = size
    }
}

/// A recovery point that is being written; until it is sealed, nothing but temporary files exists of it.
///
/// Whoever began it seals or abandons it. One that is simply let go leaves its files to `collectGarbage()`.
package final class PointDraft: Sendable {
    struct Disk: Sendable {
        let target: String
        let size: UInt64
        /// The name that the image gets when the point is sealed.
        let file: String
        /// The same for the file with the checksums of its blocks; nil when none are kept.
        let sums: String?
        let format: ImageFormat
        let writer: any PointImageWriter
        /// The writer of a base that is made in legs; nil for an image that is made in one go.
        var base: RawBaseWriter?
        /// Bytes from the beginning that may fall through to what is beneath; nil where there is nothing beneath.
        var beneath: UInt64?
        /// The base that was made for a disk that was added; nil for others.
        var addedBase: StoredDisk?
    }

    package let generation: String
    package let parent: String?
    let disks: [Disk]
    private let store: PointStore

    init(store: PointStore, generation: String, parent: String?, disks: [Disk]) {
        self.store = store
        self.generation = generation
        self.parent = parent
        self.disks = disks
    }

    /// The writer of each disk, by target.
    package var writers: [String: any PointImageWriter] {
        Dictionary(uniqueKeysWithValues: disks.map { ($0.target, $0.writer) })
    }

    /// Makes the point: flushes the images, puts them in place, and names them in the manifest, which is the instant that counts.
    ///
    /// `number` is the least that the point may get; it gets a higher one when the store has used that already, so that no
    /// number is used twice in a relationship, whichever site its points lie at. `checksums` are the data path's xxh128 of
    /// what it transferred, by target. After an error the draft can only be abandoned.
    package func seal(
        domainXML: String, kind: PointKind, time: Timestamp, number: Int = 1, checksums: [String: String] = [:],
        firmware: FirmwareState? = nil
    ) async throws -> RecoveryPointRecord {
        try await store.seal(
            self, domainXML: domainXML, kind: kind, time: time, number: number, checksums: checksums,
            firmware: firmware)
    }

    /// Whether it is a leg of a first copy, on which a further one may go on.
    var isLeg: Bool { disks.contains { $0.base != nil } }

    /// Throws away what was written; the points before, and the legs before, are as they were.
    package func abandon() async throws {
        try await store.abandon(self)
    }
}

extension PointStore {
    static let maximumDomainXML = 4 << 20
    /// Far above any real count of points, and exact in every reader of JSON.
    static let maximumNumber = 1 << 53

    func seal(
        _ draft: PointDraft, domainXML: String, kind: PointKind, time: Timestamp, number: Int,
        checksums: [String: String], firmware: FirmwareState? = nil
    ) throws -> RecoveryPointRecord {
        // A caller that did not see the answer to its first call asks again.
        if let sealed = manifest.point(draft.generation) { return sealed }
        try checkWhole(draft)
        guard self.draft === draft else {
            throw ReplicationError(
                .invalidArgument, "the draft of \(draft.generation) was abandoned", hint: "begin the cycle again")
        }
        guard domainXML.utf8.count <= Self.maximumDomainXML else {
            throw ReplicationError(
                .invalidArgument, "the domain XML is longer than 4 MiB", hint: "give the inactive XML of the domain")
        }
        guard (0..<Self.maximumNumber).contains(number) else {
            throw ReplicationError(
                .invalidArgument, "a point cannot have the number \(number)",
                hint: "give the number after the newest point's", context: ["relationship": manifest.relationship])
        }
        let summaries = try draft.disks.map { try $0.writer.finish() }
        for (disk, summary) in zip(draft.disks, summaries) { try checkCovered(disk, summary.extents) }
        try hook(.imagesFinished)
        var disks: [PointDisk] = []
        for (disk, summary) in zip(draft.disks, summaries) {
            let map = StoreNames.map(draft.generation, disk.target, serial: manifest.serial)
            try directory.write(map, ExtentMapFile.encode(summary.extents))
            try hook(.mapWritten)
            disks.append(
                PointDisk(
                    target: disk.target, file: disk.file, format: disk.format, bytes: summary.allocatedBytes, map: map,
                    checksum: checksums[disk.target], size: disk.size, isWhole: disk.beneath == 0 ? true : nil,
                    sums: disk.sums))
        }
        let domain = StoreNames.domain(draft.generation)
        try directory.write(domain, Data(domainXML.utf8))
        try hook(.domainWritten)
        let firmware = try write(firmware, of: draft.generation)
        for disk in draft.disks {
            try directory.rename(disk.file + StoreNames.part, to: disk.file)
            if let sums = disk.sums { try directory.rename(sums + StoreNames.part, to: sums) }
            try hook(.imageRenamed)
        }
        // The names must be durable before the manifest speaks of them.
        try directory.sync()
        let record = RecoveryPointRecord(
            generation: draft.generation, parent: draft.parent, number: max(manifest.nextNumber, number), time: time,
            kind: kind,
            disks: disks, over: manifest.newest?.generation, domainXML: domain, firmware: firmware,
            domainSum: Self.domainSum(Data(domainXML.utf8)))
        let superseded = manifest.superseded
        try commit { next in
            if next.disks.isEmpty {
                next.disks = draft.disks.map {
                    StoredDisk(
                        target: $0.target, size: $0.size,
                        base: BaseImage(path: $0.file, format: $0.format, external: false))
                }
            }
            let added = draft.disks.compactMap(\.addedBase)
            next.disks.removeAll { disk in added.contains { $0.target == disk.target } }
            next.disks += added
            next.points.append(record)
            next.growing = nil
            next.releasedAt = nil
            next.superseded = []
            next.nextNumber = record.number + 1
            next.serial += 1
        }
        self.draft = nil
        try removeUnreferenced(superseded)
        return record
    }

    static func domainSum(_ data: Data) -> String {
        let sum = RunningChecksum()
        data.withUnsafeBytes { sum.update($0) }
        return sum.value.hexadecimal
    }

    func abandon(_ draft: PointDraft) throws {
        guard self.draft === draft else { return }
        self.draft = nil
        // A sealed point's files are no longer the draft's.
        guard manifest.point(draft.generation) == nil else { return }
        if draft.isLeg {
            // A leg that counts, although its end was reported as failed: what the manifest speaks of stays.
            for disk in draft.disks { disk.base?.keep(below: manifest.growing?[disk.target]?.frontier ?? 0) }
        }
        for disk in draft.disks { disk.writer.abandon() }
        if draft.isLeg { return }
        let files = draft.disks.flatMap { disk in
            [disk.file, disk.sums].compactMap { $0 }.flatMap { [$0 + StoreNames.part, $0] }
                + [disk.addedBase?.base.path].compactMap { $0 }
        }
        try removeUnreferenced(
            files + [StoreNames.domain(draft.generation), StoreNames.firmware(draft.generation)])
    }
}
