import Testing

@Suite("A bit that flips on the wire and that the network's checksums do not show")
struct TCPSegmentTests {
    /// The one's complement sum over the segment, which the receiver's kernel looks at.
    private func sum(_ segment: ArraySlice<UInt8>) -> UInt32 {
        let bytes = Array(segment)
        var sum: UInt32 = 0
        for at in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[at]) << 8 | (at + 1 < bytes.count ? UInt32(bytes[at + 1]) : 0)
        }
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        return sum
    }

    private func frame(payload: Int, options: Int, _ chance: inout Chance) -> [UInt8] {
        var frame = chance.bytes(14 + 20 + 20 + options + payload)
        let length = frame.count - 14
        (frame[12], frame[13]) = (0x08, 0x00)
        frame[14] = 0x45
        (frame[16], frame[17]) = (UInt8(length >> 8), UInt8(length & 0xFF))
        frame[23] = 6
        frame[14 + 20 + 12] = UInt8((20 + options) / 4) << 4
        return frame
    }

    @Test("changes one bit of the payload and keeps the sum", arguments: [1, 2, 3, 1000, 1461], [0, 12])
    func flip(payload: Int, options: Int) {
        var chance = Chance(seed: UInt64(payload + options))
        for _ in 0..<50 {
            let before = frame(payload: payload, options: options, &chance)
            var after = before
            TCPSegment.flip(in: &after, &chance)
            let header = 14 + 20 + 20 + options
            let changed = before.indices.filter { before[$0] != after[$0] }
            #expect(changed.filter { $0 >= header }.count == 1)
            #expect(changed.allSatisfy { $0 >= header || $0 == 50 || $0 == 51 }, "else only the checksum")
            #expect(sum(before[34...]) == sum(after[34...]))
        }
    }

    @Test("leaves alone what carries nothing, or is no TCP")
    func others() {
        var chance = Chance(seed: 7)
        let empty = frame(payload: 0, options: 12, &chance)
        var datagram = frame(payload: 100, options: 0, &chance)
        datagram[23] = 17
        for before in [empty, datagram, [], [UInt8](repeating: 1, count: 30)] {
            var after = before
            TCPSegment.flip(in: &after, &chance)
            #expect(after == before)
        }
    }
}
