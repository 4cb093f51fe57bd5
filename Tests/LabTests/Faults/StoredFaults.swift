import Foundation
import Lab
import SiteModel

@testable import BlockReplication

/// A bit that storage has changed in a file of a site's store.
struct FlippedBit: Sendable {
    /// Number of the point that wrote what was changed: older points have nothing to do with it.
    var number: Int
    /// In words, for the round's line.
    var text: String
    /// Only the point of that number is concerned: its definition.
    var isDefinition = false
}

/// Changes files of a site's store behind the back of the agent there.
struct StoredFaults {
    let folder: String
    let manifest: Manifest

    /// `folder` is the relationship's, as this process reaches it: through a process of the site.
    init(folder: String) throws {
        self.folder = folder
        manifest = try JSONDecoder().decode(
            Manifest.self, from: try Data(contentsOf: URL(filePath: "\(folder)/manifest.json")))
    }

    private typealias Candidate = (number: Int, disk: PointDisk)

    /// All images of the store, oldest first, that hold anything.
    private var images: [Candidate] {
        let layers = manifest.layers.map { ($0.number, $0.disks) } + manifest.points.map { ($0.number, $0.disks) }
        return layers.sorted { $0.0 < $1.0 }.flatMap { number, disks in
            disks.map { (number: number, disk: $0) }
        }.filter { $0.disk.sums != nil }
    }

    /// Flips one bit; nil where there is no file of that kind.
    func flip(_ kind: FaultKind, _ chance: inout Chance) throws -> FlippedBit? {
        let newest = manifest.points.last?.number ?? 0
        let overlays = images.filter { $0.disk.format == .qcow2 }
        switch kind {
        case .flippedBase:
            guard let found = images.filter({ $0.disk.format == .raw }).randomElement(using: &chance) else {
                return nil
            }
            let length = try ImageFile(reading: path(found.disk)).length()
            return try flip(found, at: UInt64(chance.number(in: 0...Int(length) - 1)), &chance)
        case .flippedMiddle:
            return try flipData(overlays.filter { $0.number < newest }, &chance)
        case .flippedNewest:
            return try flipData(overlays.filter { $0.number == newest }, &chance)
        case .flippedTable:
            guard let found = overlays.randomElement(using: &chance) else { return nil }
            return try flipTable(found, &chance)
        case .flippedDefinition:
            let point = chance.one(of: manifest.points)
            let file = "\(folder)/\(point.domainXML)"
            let length = try ImageFile(reading: file).length()
            try Self.flip(file, at: UInt64(chance.number(in: 0...Int(length) - 1)), &chance)
            return FlippedBit(number: point.number, text: "definition of point \(point.number)", isDefinition: true)
        default: return nil
        }
    }

    private func path(_ disk: PointDisk) -> String { "\(folder)/\(disk.file)" }

    private func flip(_ image: Candidate, at place: UInt64, _ chance: inout Chance) throws -> FlippedBit {
        try Self.flip(path(image.disk), at: place, &chance)
        return FlippedBit(
            number: image.number,
            text: "\(image.disk.target) of \(image.number) at \(place)\(image.disk.format == .raw ? ", base" : "")")
    }

    /// A block of data of an overlay.
    private func flipData(_ images: [Candidate], _ chance: inout Chance) throws -> FlippedBit? {
        for image in images.shuffled(using: &chance) {
            let overlay = try OverlayReader(opening: path(image.disk))
            guard let extent = try overlay.extents().filter({ !$0.isZero }).randomElement(using: &chance) else {
                continue
            }
            let offset = extent.offset + UInt64(chance.number(in: 0...Int(extent.length) - 1))
            let table = L2Buffer()
            try overlay.load(Int(offset / OverlayLayout.bytesPerL2), into: table)
            let slot = Int(offset / OverlayLayout.clusterSize % OverlayLayout.entriesPerL2) * 2
            return try flip(image, at: table.words[slot] + offset % OverlayLayout.clusterSize, &chance)
        }
        return nil
    }

    /// An entry of an overlay's tables that is used, seldom one of the first level.
    private func flipTable(_ image: Candidate, _ chance: inout Chance) throws -> FlippedBit? {
        let overlay = try OverlayReader(opening: path(image.disk))
        guard let index = overlay.l1.indices.filter({ overlay.l1[$0] != 0 }).randomElement(using: &chance) else {
            return nil
        }
        if chance.once(in: 6) {
            let header = try Qcow2Header(reading: overlay.file)
            let byte = header.l1Offset + UInt64(index) * 8 + UInt64(chance.number(in: 0...7))
            return try flip(image, at: byte, &chance)
        }
        let table = L2Buffer()
        try overlay.load(index, into: table)
        let used = stride(from: 0, to: table.words.count, by: 2).filter { table.words[$0 + 1] != 0 }
        guard let slot = used.randomElement(using: &chance) else { return nil }
        return try flip(image, at: overlay.l1[index] + UInt64(slot * 8 + chance.number(in: 0...15)), &chance)
    }

    private static func flip(_ path: String, at place: UInt64, _ chance: inout Chance) throws {
        let file = try ImageFile(updating: path)
        var byte: UInt8 = 0
        try withUnsafeMutableBytes(of: &byte) { try file.read(into: $0, at: place) }
        byte ^= 1 << UInt8(chance.number(in: 0...7))
        try withUnsafeBytes(of: byte) { try file.write($0, at: place) }
        try file.sync()
    }
}
