internal import Foundation

/// The name by which an image names the file beneath it.
package struct BackingReference: Hashable, Sendable {
    /// A file name in the same directory, or an absolute path.
    package let file: String
    package let format: ImageFormat

    package init(file: String, format: ImageFormat) {
        self.file = file
        self.format = format
    }
}

/// The format of an image file.
package enum ImageFormat: String, Codable, Sendable, Hashable {
    case raw, qcow2
}

/// The header of a qcow2 file: written for our files, read from any.
struct Qcow2Header {
    static let maximumNameLength = 1023
    private static let backingFormatExtension: UInt32 = 0xE279_2ACA
    private static let bitmapsExtension: UInt32 = 0x2385_2875
    private static let headerLength = 104

    var clusterBits: UInt64
    var size: UInt64
    var l1Entries: UInt64
    var l1Offset: UInt64
    var referenceTableOffset: UInt64
    var referenceTableClusters: UInt64
    var incompatible: UInt64
    /// Nil when there is no backing file.
    var backing: BackingReference?

    // What only a foreign file has set.
    var version: UInt32 = 3
    var encryption: UInt32 = 0
    var snapshots: UInt32 = 0
    var hasBitmaps = false
    /// The backing file's format is not said, or is neither raw nor qcow2.
    var backingFileWithoutFormat: String?

    init(
        clusterBits: UInt64, size: UInt64, l1Entries: UInt64, l1Offset: UInt64, referenceTableOffset: UInt64,
        referenceTableClusters: UInt64, incompatible: UInt64, backing: BackingReference?
    ) {
        self.clusterBits = clusterBits
        self.size = size
        self.l1Entries = l1Entries
        self.l1Offset = l1Offset
        self.referenceTableOffset = referenceTableOffset
        self.referenceTableClusters = referenceTableClusters
        self.incompatible = incompatible
        self.backing = backing
    }

    /// Writes the header to the beginning of a file: what makes it a qcow2 file.
    func write(to file: ImageFile) throws {
        try encoded().withUnsafeBytes { try file.write($0, at: 0) }
    }

    /// The header's bytes, with the backing file's format and name behind it.
    func encoded() throws -> Data {
        var data = Data()
        let name = Data((backing?.file ?? "").utf8)
        guard name.count <= Self.maximumNameLength else {
            throw ReplicationError(
                .invalidArgument, "the path of a backing file is longer than \(Self.maximumNameLength) bytes",
                hint: "choose a shorter path for the store or the disk", context: ["path": backing?.file ?? ""])
        }
        var extensions = Data()
        if let backing {
            let format = Data(backing.format.rawValue.utf8)
            extensions.append(bigEndian: Self.backingFormatExtension)
            extensions.append(bigEndian: UInt32(format.count))
            extensions.append(format)
            extensions.append(Data(count: (8 - format.count % 8) % 8))
        }
        extensions.append(Data(count: 8))

        data.append(bigEndian: OverlayLayout.magic)
        data.append(bigEndian: UInt32(3))
        data.append(bigEndian: backing == nil ? UInt64(0) : UInt64(Self.headerLength + extensions.count))
        data.append(bigEndian: UInt32(name.count))
        data.append(bigEndian: UInt32(clusterBits))
        data.append(bigEndian: size)
        data.append(bigEndian: UInt32(0))  // no encryption
        data.append(bigEndian: UInt32(l1Entries))
        data.append(bigEndian: l1Offset)
        data.append(bigEndian: referenceTableOffset)
        data.append(bigEndian: UInt32(referenceTableClusters))
        data.append(bigEndian: UInt32(0))  // no internal snapshots
        data.append(bigEndian: UInt64(0))
        data.append(bigEndian: incompatible)
        data.append(bigEndian: UInt64(0))  // compatible features
        data.append(bigEndian: UInt64(0))  // autoclear features
        data.append(bigEndian: UInt32(4))  // 16-bit reference counts
        data.append(bigEndian: UInt32(Self.headerLength))
        data.append(extensions)
        data.append(name)
        return data
    }

    /// Reads the header of a file that is said to be qcow2; every number in it is bounded before use.
    init(reading file: ImageFile) throws {
        func damaged(_ what: String) -> ReplicationError {
            ReplicationError(
                .damaged, "not a usable qcow2 file: \(what)",
                hint: "the file was not finished, or something else wrote to it; check it with qemu-img check",
                context: ["path": file.path])
        }
        var bytes = Data(count: 65536)
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        guard bytes.big32(0) == OverlayLayout.magic else { throw damaged("it does not begin with a qcow2 header") }
        version = bytes.big32(4)
        guard version == 2 || version == 3 else { throw damaged("it has version \(version)") }
        let nameOffset = bytes.big64(8)
        let nameLength = UInt64(bytes.big32(16))
        clusterBits = UInt64(bytes.big32(20))
        guard (9...21).contains(clusterBits) else { throw damaged("it has clusters of 2^\(clusterBits) bytes") }
        size = bytes.big64(24)
        encryption = bytes.big32(32)
        l1Entries = UInt64(bytes.big32(36))
        l1Offset = bytes.big64(40)
        referenceTableOffset = bytes.big64(48)
        referenceTableClusters = UInt64(bytes.big32(56))
        snapshots = bytes.big32(60)
        incompatible = version == 3 ? bytes.big64(72) : 0
        backing = nil

        var format: String?
        var at = version == 3 ? Int(bytes.big32(100)) : 72
        while at >= 72, at + 8 <= bytes.count, bytes.big32(at) != 0 {
            let length = Int(bytes.big32(at + 4))
            guard length <= bytes.count - at - 8 else { throw damaged("a header extension is too long") }
            switch bytes.big32(at) {
            case Self.backingFormatExtension:
                format = String(bytes: bytes[at + 8..<at + 8 + length], encoding: .utf8)
            case Self.bitmapsExtension: hasBitmaps = true
            default: break
            }
            at += 8 + (length + 7) / 8 * 8
        }
        guard nameOffset != 0 else { return }
        guard nameLength <= UInt64(Self.maximumNameLength), nameOffset <= UInt64(bytes.count) - nameLength,
            let name = String(bytes: bytes[Int(nameOffset)..<Int(nameOffset + nameLength)], encoding: .utf8),
            !name.isEmpty
        else { throw damaged("the backing file's name is out of bounds") }
        if let format = format.flatMap(ImageFormat.init(rawValue:)) {
            backing = BackingReference(file: name, format: format)
        } else {
            backingFileWithoutFormat = name
        }
    }
}

extension Data {
    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// The 32-bit number at a byte offset that the caller knows to be inside.
    func big32(_ offset: Int) -> UInt32 {
        withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    }

    /// The 64-bit number at a byte offset that the caller knows to be inside.
    func big64(_ offset: Int) -> UInt64 {
        withUnsafeBytes { UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }
}
