import SiteModel
import Testing

@testable import Simulation

/// Content without bytes, compared with a disk of 64 bytes that has a version at each place.
@Suite("Content of simulated disks")
struct ContentTests {
    private static let size: UInt64 = 64

    private func random(_ chance: inout SplitMix, stamps: inout UInt64) -> (VersionedExtents, [UInt64]) {
        var (extents, plain) = (VersionedExtents(), [UInt64](repeating: 0, count: Int(Self.size)))
        for _ in 0..<chance.next(below: 12) {
            let offset = chance.next(below: Self.size)
            let end = min(Self.size, offset + 1 + chance.next(below: 20))
            stamps += 1
            extents.write(
                offset: offset, end: end, stamp: WriteStamp(version: stamps, at: Timestamp(milliseconds: 0)))
            for place in offset..<end { plain[Int(place)] = stamps }
        }
        return (extents, plain)
    }

    private func plain(_ extents: VersionedExtents) -> [UInt64] {
        var plain = [UInt64](repeating: 0, count: Int(Self.size))
        var last: UInt64 = 0
        for run in extents.runs {
            #expect(run.offset >= last && run.end > run.offset, "runs are in order, without overlaps")
            for place in run.offset..<run.end { plain[Int(place)] = run.stamp.version }
            last = run.end
        }
        #expect(extents.byteCount == extents.runs.reduce(0) { $0 + $1.length })
        return plain
    }

    @Test("Writes, layers, slices and differences read as the bytes do")
    func readsAsBytes() {
        var (chance, stamps) = (SplitMix(seed: 7), UInt64(0))
        for _ in 0..<2000 {
            let (lower, lowerBytes) = random(&chance, stamps: &stamps)
            let (upper, upperBytes) = random(&chance, stamps: &stamps)
            #expect(plain(lower) == lowerBytes)
            let both = LayeredContent(layers: [upper, lower])
            let bytes = zip(upperBytes, lowerBytes).map { $0 == 0 ? $1 : $0 }
            #expect(plain(both.flattened) == bytes)
            let (start, end) = (chance.next(below: 32), 32 + chance.next(below: 32))
            let inside = (0..<Self.size).map { (start..<end).contains($0) ? bytes[Int($0)] : 0 }
            #expect(plain(both.slice(start, end)) == inside)
            var mended = lower
            mended.overlay(upper.difference(from: lower, 0, Self.size))
            #expect(mended.readsLike(upper, size: Self.size))
            #expect(lower.readsLike(upper, size: Self.size) == (lowerBytes == upperBytes))
        }
    }
}
