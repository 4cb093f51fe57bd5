/// A network that changes what it carries, and whose damage the kernel's checksum does not show: one bit in 65,536 times is like
/// that, on a link that flips many.
enum TCPSegment {
    private static let ethernet = 14

    /// Flips one bit of the payload of a frame with TCP over IPv4, and makes the checksum fit (RFC 1624).
    static func flip(in frame: inout [UInt8], _ chance: inout Chance) {
        guard frame.count > ethernet + 20, frame[12] == 0x08, frame[13] == 0x00, frame[ethernet + 9] == 6 else {
            return
        }
        let tcp = ethernet + Int(frame[ethernet] & 0x0F) * 4
        let end = min(frame.count, ethernet + Int(frame[ethernet + 2]) << 8 + Int(frame[ethernet + 3]))
        guard tcp + 20 <= end else { return }
        let payload = tcp + Int(frame[tcp + 12] >> 4) * 4
        guard payload < end else { return }
        let place = chance.number(in: payload...end - 1)
        // Words are counted from the header's beginning.
        let word = tcp + (place - tcp) & ~1
        func read(_ at: Int) -> UInt32 { UInt32(frame[at]) << 8 | (at + 1 < end ? UInt32(frame[at + 1]) : 0) }
        let before = read(word)
        frame[place] ^= 1 << UInt8(chance.number(in: 0...7))
        let after = read(word)
        // HC' = ~(~HC + ~m + m')
        var sum = (~read(tcp + 16) & 0xFFFF) + (~before & 0xFFFF) + after
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        let checksum = ~sum & 0xFFFF
        (frame[tcp + 16], frame[tcp + 17]) = (UInt8(checksum >> 8), UInt8(checksum & 0xFF))
    }
}
