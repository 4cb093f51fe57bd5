import Foundation
import Testing

@testable import BlockReplication

@Suite("Extent maps behave as sets of bytes")
struct ImagesExtentMapTests {
    /// A map as one character a byte: the slow truth to hold the fast one against.
    static func picture(_ map: ExtentMap, _ size: Int) -> [Character] {
        var cells = [Character](repeating: ".", count: size)
        for extent in map {
            for at in extent.offset..<extent.end { cells[Int(at)] = extent.isZero ? "0" : "x" }
        }
        return cells
    }

    static func random(_ generator: inout SeededGenerator, _ size: UInt64) -> [Extent] {
        (0..<Int.random(in: 0...12, using: &generator)).map { _ in
            let from = UInt64.random(in: 0..<size, using: &generator)
            return Extent(
                offset: from, length: UInt64.random(in: 0...size - from, using: &generator) / 3,
                isZero: Bool.random(using: &generator))
        }
    }

    @Test("set operations agree with a picture of the bytes")
    func operations() {
        var generator = SeededGenerator(seed: 42)
        let size = 64
        for _ in 0..<2000 {
            let (first, second) = (Self.random(&generator, 64), Self.random(&generator, 64))
            let (a, b) = (ExtentMap(first), ExtentMap(second))
            var inserted = ExtentMap()
            for extent in first { inserted.insert(extent) }
            #expect(inserted == a)
            let (pa, pb) = (Self.picture(a, size), Self.picture(b, size))
            #expect(Self.picture(a.union(b), size) == zip(pa, pb).map { $1 == "." ? $0 : $1 })
            #expect(Self.picture(a.intersection(b), size) == zip(pa, pb).map { $1 == "." ? "." : $0 })
            #expect(Self.picture(a.subtracting(b), size) == zip(pa, pb).map { $1 == "." ? $0 : "." })
            #expect(Self.picture(a.clipped(to: 40), size) == pa.enumerated().map { $0 < 40 ? $1 : "." })
            #expect(a.byteCount == UInt64(pa.count { $0 != "." }))
            #expect(a.dataByteCount == UInt64(pa.count { $0 == "x" }))
            for (left, right) in zip(a, a.dropFirst()) {
                #expect(left.end < right.offset || (left.end == right.offset && left.isZero != right.isZero))
            }
            // A disk of 61 bytes with granules of 8: the last granule has 5.
            let clipped = Self.picture(a.clipped(to: 61), size)
            let expected = stride(from: 0, to: 61, by: 8).flatMap { start -> [Character] in
                let granule = clipped[start..<min(start + 8, 61)]
                let kind: Character =
                    granule.allSatisfy { $0 == "0" } ? "0" : granule.allSatisfy { $0 == "." } ? "." : "x"
                return Array(repeating: kind, count: granule.count)
            }
            #expect(Self.picture(a.aligned(to: 8, size: 61), 61) == expected)
        }
    }

    @Test("both stored forms give the map back", arguments: [1, 4096, 1 << 40] as [UInt64])
    func storedForms(unit: UInt64) throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            let map = ExtentMap(
                Self.random(&generator, 4000).map {
                    Extent(offset: $0.offset * unit, length: $0.length * unit, isZero: $0.isZero)
                })
            #expect(try JSONDecoder().decode(ExtentMap.self, from: JSONEncoder().encode(map)) == map)
            #expect(try ExtentMapFile.decode(ExtentMapFile.encode(map), path: "x") == map)
        }
    }

    @Test("every flipped byte and every cut of a map file is found")
    func damagedFile() throws {
        let data = ExtentMapFile.encode(
            ExtentMap([Extent(offset: 4096, length: 8192), Extent(offset: 1 << 30, length: 4096)]))
        for index in data.indices {
            var flipped = data
            flipped[index] ^= 0x10
            #expect(throws: ReplicationError.self) { _ = try ExtentMapFile.decode(flipped, path: "x") }
            #expect(throws: ReplicationError.self) { _ = try ExtentMapFile.decode(data.prefix(index), path: "x") }
        }
    }
}
