internal import Foundation
internal import SiteModel

/// A first point as it lies in a folder that was carried here: read, and believed only after it was checked.
package struct CarriedPoint: Sendable {
    let directory: StoreDirectory
    let manifest: Manifest
    let point: RecoveryPointRecord
    /// Checksum of each file of the point, by name.
    let checksums: [String: String]

    /// Opens the point of a relationship, and refuses one of another VM, generation or shape.
    init(folder: String, _ request: ImportPoint) throws {
        directory = try StoreDirectory(root: folder, relationship: request.relationship, create: false, lock: true)
        manifest = try ManifestFile.read(directory)
        guard manifest.relationship == request.relationship, manifest.vmUUID == request.vm.uuid else {
            throw Self.wrong("it is of VM \(manifest.vmName), not of \(request.vm.name)", folder)
        }
        guard manifest.points.count == 1, let point = manifest.point(request.generation), point.over == nil,
            manifest.layers.isEmpty, manifest.disks.allSatisfy({ !$0.base.external })
        else { throw Self.wrong("it does not hold the first copy that was exported last", folder) }
        let geometry = Set(manifest.disks.map { DiskGeometry(target: $0.target, size: $0.size) })
        guard geometry == Set(request.disks) else { throw Self.wrong("its disks are not the VM's", folder) }
        self.point = point
        do {
            checksums = try JSONDecoder().decode(
                [String: String].self, from: directory.read(StoreNames.checksums, limit: 1 << 20))
        } catch let error as DecodingError {
            throw Self.wrong("its checksums cannot be read (\(error))", folder)
        }
        for name in Self.files(of: manifest, point) where checksums[name] == nil {
            throw Self.wrong("it has no checksum of \(name)", folder)
        }
    }

    /// The files that make the point.
    static func files(of manifest: Manifest, _ point: RecoveryPointRecord) -> [String] {
        Array(
            Set(
                manifest.disks.map(\.base.path) + point.disks.flatMap(\.files) + [point.domainXML]
                    + [point.firmware?.file].compactMap { $0 })
        )
        .sorted()
    }

    var files: [String] { Self.files(of: manifest, point) }

    func allocatedBytes() throws -> UInt64 {
        try files.reduce(0) { try $0 + ImageFile(reading: directory.path($1)).allocatedBytes() }
    }

    private static func wrong(_ what: String, _ folder: String) -> ReplicationError {
        ReplicationError(
            .damaged, "the carried first copy in \(folder) is of no use: \(what)",
            hint: "carry the folder that the export wrote last, whole; or make the first copy over the network")
    }
}

extension PointStore {
    /// Writes the checksum of each file of the only point, for a copy that is carried.
    func writeChecksums() throws {
        guard let point = manifest.points.first else { return }
        var checksums: [String: String] = [:]
        for name in CarriedPoint.files(of: manifest, point) {
            checksums[name] = try SparseContent.checksum(of: directory.path(name))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        try directory.write(StoreNames.checksums, try encoder.encode(checksums))
        try directory.sync()
    }

    /// Copies a carried first point into this empty store, checking every file on the way; the manifest's rename makes it one.
    ///
    /// `.checksumMismatch` when a file is not what was exported: nothing of it stays.
    package func takeIn(_ carried: CarriedPoint) throws -> RecoveryPointRecord {
        try checkOpen()
        try checkNoDraft()
        guard manifest.points.isEmpty, manifest.disks.isEmpty, manifest.layers.isEmpty else {
            throw ReplicationError(
                .staleParent, "there are points of this VM here already, so this is no first copy",
                hint: "resync instead, or unprotect the VM and protect it again",
                context: ["relationship": manifest.relationship])
        }
        try dropGrowing()
        do {
            for name in carried.files {
                try directory.remove(name + StoreNames.part)
                let copied = try SparseContent.copy(
                    carried.directory.path(name), to: directory.path(name + StoreNames.part))
                guard copied == carried.checksums[name] else {
                    throw ReplicationError(
                        .checksumMismatch, "the carried file \(name) is not what was exported",
                        hint: "carry it again; or make the first copy over the network",
                        context: ["path": carried.directory.path(name)])
                }
            }
        } catch {
            for name in carried.files { try? directory.remove(name + StoreNames.part) }
            throw error
        }
        for name in carried.files { try directory.rename(name + StoreNames.part, to: name) }
        try directory.sync()
        try commit { next in
            next.disks = carried.manifest.disks
            next.points = [carried.point]
            next.nextNumber = max(next.nextNumber, carried.point.number + 1)
            next.serial = max(next.serial, carried.manifest.serial)
        }
        return carried.point
    }
}
