internal import Foundation

/// Reads and writes manifests; nothing of a file is believed before it is checked.
enum ManifestFile {
    private static let maximumBytes = 64 << 20

    static func encode(_ manifest: Manifest) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return try encoder.encode(manifest)
    }

    static func read(_ directory: StoreDirectory) throws -> Manifest {
        let path = directory.path(StoreNames.manifest)
        let data = try directory.read(StoreNames.manifest, limit: maximumBytes)
        struct Version: Decodable { var formatVersion: Int }
        let manifest: Manifest
        do {
            let version = try JSONDecoder().decode(Version.self, from: data).formatVersion
            guard version == Manifest.currentVersion else {
                throw ReplicationError(
                    .unsupported,
                    "the manifest has format \(version), and this version knows \(Manifest.currentVersion)",
                    hint: "use the version of Perilune that wrote it; nothing was changed", context: ["path": path])
            }
            manifest = try JSONDecoder().decode(Manifest.self, from: data)
        } catch let error as DecodingError {
            throw damaged("it is not a manifest", path, error)
        }
        do { try check(manifest) } catch let error as ReplicationError {
            throw damaged("a name in it is not allowed", path, error)
        }
        return manifest
    }

    private static func check(_ manifest: Manifest) throws {
        try StoreNames.checkRelationship(manifest.relationship)
        for disk in manifest.disks {
            try StoreNames.checkTarget(disk.target)
            try BlockGrid.checkDisk(size: disk.size)
            if disk.base.external {
                try StoreNames.checkAbsolutePath(disk.base.path)
            } else {
                try checkFile(disk.base.path)
            }
        }
        for disk in manifest.growing?.disks ?? [] {
            try StoreNames.checkTarget(disk.target)
            try BlockGrid.checkDisk(size: disk.size)
            guard disk.frontier <= disk.size else { throw wrong("a first copy has come further than its disk goes") }
        }
        let layers = manifest.layers + manifest.points.map(\.layer)
        let generations = Set(layers.map(\.generation))
        guard generations.count == layers.count else { throw wrong("a generation stands in it twice") }
        for layer in layers {
            try StoreNames.checkGeneration(layer.generation)
            let targets = layer.disks.map(\.target)
            guard !targets.isEmpty, Set(targets).count == targets.count,
                Set(targets).isSubset(of: manifest.disks.map(\.target))
            else { throw wrong("a generation has a disk that stands on nothing") }
            try layer.disks.compactMap(\.size).forEach { try BlockGrid.checkDisk(size: $0) }
            guard layer.over.map(generations.contains) ?? true else { throw wrong("a generation stands on none") }
            for disk in layer.disks {
                try checkFile(disk.file)
                try checkFile(disk.map)
                try disk.sums.map(checkFile)
            }
        }
        for damage in manifest.damage ?? [] {
            try damage.target.map(StoreNames.checkTarget)
            _ = try ExtentMap(checked: damage.ranges)
        }
        try manifest.divergence?.check()
        try manifest.points.forEach { try checkFile($0.domainXML) }
        try manifest.points.compactMap(\.firmware?.file).forEach(checkFile)
        try manifest.retainedMaps.flatMap { $0.maps.values }.forEach(checkFile)
        try manifest.boots.flatMap(\.disks).forEach { try checkFile($0.file) }
        try manifest.superseded.forEach(checkFile)
    }

    private static func checkFile(_ name: String) throws {
        guard StoreNames.isSafeFileName(name) else {
            throw wrong("a file name is not allowed: \(name.debugDescription)")
        }
    }

    private static func wrong(_ what: String) -> ReplicationError {
        ReplicationError(.damaged, what, hint: "restore the manifest from the vault or another copy")
    }

    private static func damaged(_ what: String, _ path: String, _ cause: any Error) -> ReplicationError {
        ReplicationError(
            .damaged, "the manifest cannot be used: \(what)",
            hint: "it was changed by something else: restore it from a copy; the image files beside it are untouched",
            context: ["path": path], cause: cause)
    }
}
