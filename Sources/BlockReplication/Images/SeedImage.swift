package import Foundation

/// A CD image with a few small files, as ISO 9660 has it (ECMA-119): how a guest is handed its addresses.
///
/// Volume `CIDATA` with the files of cloud-init's NoCloud data. Names are in capitals, as the standard has them; Linux
/// shows them in small letters. One directory, one extent a file, each on a sector of its own.
package enum SeedImage {
    static let sector = 2048
    /// All that a directory of one sector has room for, and more than anybody needs.
    static let mostFiles = 16
    static let longestFile = 64 << 10

    /// The image's bytes; refused (`invalidArgument`) for names or sizes that have no place in it.
    package static func bytes(_ files: [String: String]) throws -> Data {
        let sorted = files.sorted { $0.key < $1.key }
        guard sorted.count <= mostFiles else { throw refused("\(sorted.count) files are too many") }
        for (name, text) in sorted {
            let isPlain =
                (1...28).contains(name.utf8.count)
                && name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
            guard isPlain else { throw refused("the file name '\(name.prefix(40))' is not allowed") }
            guard text.utf8.count <= longestFile else { throw refused("the file '\(name)' is too long") }
        }
        let first = 21
        var placed: [(name: String, data: Data, at: Int)] = []
        var next = first
        for (name, text) in sorted {
            placed.append((name.uppercased() + ";1", Data(text.utf8), next))
            next += max(1, (text.utf8.count + sector - 1) / sector)
        }
        var image = Data(count: next * sector)
        func put(_ data: Data, at sectorNumber: Int) {
            image.replaceSubrange(sectorNumber * sector..<sectorNumber * sector + data.count, with: data)
        }
        let root = record(Data([0]), at: 20, length: sector, isFolder: true)
        put(primary(root: root, sectors: next), at: 16)
        put(Data([255]) + Data("CD001".utf8) + Data([1]), at: 17)
        put(pathTable(bigEndian: false), at: 18)
        put(pathTable(bigEndian: true), at: 19)
        var folder = root + record(Data([1]), at: 20, length: sector, isFolder: true)
        for file in placed {
            folder += record(Data(file.name.utf8), at: file.at, length: file.data.count, isFolder: false)
            put(file.data, at: file.at)
        }
        guard folder.count <= sector else { throw refused("the names are too long together") }
        put(folder, at: 20)
        return image
    }

    /// ECMA-119, 8.4.
    private static func primary(root: Data, sectors: Int) -> Data {
        var data = Data([1]) + Data("CD001".utf8) + Data([1, 0])
        data += text("LINUX", 32) + text("CIDATA", 32) + Data(count: 8)
        data += both32(sectors) + Data(count: 32) + both16(1) + both16(1) + both16(sector)
        data += both32(10) + little32(18) + little32(0) + big32(19) + big32(0) + root
        data += text("CIDATA", 128) + text("", 128) + text("", 128) + text("PERILUNE", 128)
        data += text("", 37) + text("", 37) + text("", 37)
        // No dates: an image of the same files is the same image.
        for _ in 0..<4 { data += Data(repeating: 0x30, count: 16) + Data([0]) }
        data += Data([1, 0])
        return data
    }

    /// ECMA-119, 9.1.
    private static func record(_ name: Data, at start: Int, length: Int, isFolder: Bool) -> Data {
        let size = 33 + name.count + (name.count % 2 == 0 ? 1 : 0)
        var data = Data([UInt8(size), 0]) + both32(start) + both32(length) + Data([126, 1, 1, 0, 0, 0, 0])
        data += Data([isFolder ? 2 : 0, 0, 0]) + both16(1) + Data([UInt8(name.count)]) + name
        return data + Data(count: size - data.count)
    }

    /// ECMA-119, 9.4: the root alone.
    private static func pathTable(bigEndian: Bool) -> Data {
        Data([1, 0]) + (bigEndian ? big32(20) + Data([0, 1]) : little32(20) + Data([1, 0])) + Data([0, 0])
    }

    private static func text(_ value: String, _ width: Int) -> Data {
        Data(value.utf8) + Data(repeating: 0x20, count: width - value.utf8.count)
    }

    private static func little32(_ value: Int) -> Data { Data((0..<4).map { UInt8(value >> ($0 * 8) & 0xff) }) }
    private static func big32(_ value: Int) -> Data { Data(little32(value).reversed()) }
    private static func both32(_ value: Int) -> Data { little32(value) + big32(value) }
    private static func both16(_ value: Int) -> Data {
        Data([UInt8(value & 0xff), UInt8(value >> 8 & 0xff), UInt8(value >> 8 & 0xff), UInt8(value & 0xff)])
    }

    private static func refused(_ why: String) -> ReplicationError {
        ReplicationError(
            .invalidArgument, "address data for a guest: \(why)",
            hint: "at most \(mostFiles) files of \(longestFile >> 10) KiB, named in small letters, digits and '-'")
    }
}
