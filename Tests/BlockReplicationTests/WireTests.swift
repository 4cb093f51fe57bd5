import Foundation
import Glibc
import Testing

@testable import BlockReplication

@Suite("Frames between agents")
struct WireTests {
    private func header(_ kind: FrameKind, offset: UInt64 = 0, length: UInt64 = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        bytes.withUnsafeMutableBytes { buffer in
            var header = FrameHeader(kind: kind, offset: offset, length: length)
            header.seal(payload: .empty, into: buffer)
        }
        return bytes
    }

    private func parse(_ bytes: [UInt8]) throws -> FrameHeader {
        try bytes.withUnsafeBytes { try FrameHeader($0) }
    }

    @Test(
        "a header reads as it was written",
        arguments: [
            (FrameKind.data, 1 << 40, 1 << 20), (.zero, 0, 1 << 50), (.heartbeat, 0, 0),
            (.hashRequest, 65536, 64 << 20),
        ])
    func roundTrip(kind: FrameKind, offset: Int, length: Int) throws {
        let read = try parse(header(kind, offset: UInt64(offset), length: UInt64(length)))
        #expect(read.kind == kind)
        #expect(read.offset == UInt64(offset))
        #expect(read.length == UInt64(length))
    }

    @Test(
        "a header that is not exactly as it must be is refused",
        arguments: [
            ("another mark", 0, [0x51]), ("an unknown kind", 5, [0x77]), ("bits that must be zero", 7, [1]),
            ("more payload than a frame may have", 20, [0, 0x10, 0, 1]),
            ("a length near 2^64", 16, [0xFF, 0xFF]),
        ] as [(String, Int, [UInt8])])
    func malformed(what: String, at: Int, bytes: [UInt8]) throws {
        var frame = header(.data, offset: 4096, length: 4096)
        frame.replaceSubrange(at..<at + bytes.count, with: bytes)
        let thrown = #expect(throws: ReplicationError.self) { try parse(frame) }
        #expect(thrown?.code == .protocolViolation)
    }

    @Test("a range that ends beyond 2^64 is refused, though its length is allowed")
    func overflow() throws {
        let frame = header(.zero, offset: .max, length: 1)
        #expect(throws: ReplicationError.self) { try parse(frame) }
    }

    @Test("a hello reads as it was written, and every shorter one is refused")
    func hello() throws {
        let hello = WireHello(
            token: randomBytes(32), relationship: "orders", generation: TwoSites.generation(1), disk: "vda")
        let bytes = hello.encoded()
        #expect(try bytes.withUnsafeBytes { try WireHello($0) } == hello)
        for count in 0..<bytes.count {
            #expect(throws: ReplicationError.self) {
                try Array(bytes.prefix(count)).withUnsafeBytes { _ = try WireHello($0) }
            }
        }
        var other = bytes
        other[1] = 9
        let thrown = #expect(throws: ReplicationError.self) { try other.withUnsafeBytes { _ = try WireHello($0) } }
        #expect(thrown?.hint.contains("same version") == true)
    }

    @Test("a channel carries frames and failures; one turned bit anywhere in a frame is refused")
    func channel() throws {
        var pair: [Int32] = [0, 0]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
        let interrupt = try Interrupt()
        let left = WireChannel(StreamSocket(descriptor: pair[0], interrupt: interrupt))
        let rightSocket = StreamSocket(descriptor: pair[1], interrupt: interrupt)
        let right = WireChannel(rightSocket)
        let payload = [UInt8](repeating: 3, count: 5000)
        try payload.withUnsafeBytes { try left.send(.data, offset: 8192, $0) }
        try right.receiveMessage { header, bytes in
            #expect(header.offset == 8192)
            #expect(Array(bytes) == payload)
        }
        let sent = WorkerThread("fail") {
            left.fail(with: ReplicationError(.noSpace, "full", hint: "free some", context: ["path": "/x"]))
        }
        let thrown = #expect(throws: ReplicationError.self) { try right.receive { _, _ in } }
        #expect(thrown?.code == .noSpace && thrown?.hint == "free some" && thrown?.context["path"] == "/x")
        right.end()
        try sent.join()
    }

    @Test("every single bit of a small frame is covered by its checksum")
    func everyBit() throws {
        let payload: [UInt8] = [1, 2, 3, 4]
        var frame = [UInt8](repeating: 0, count: FrameHeader.size)
        frame.withUnsafeMutableBytes { buffer in
            var header = FrameHeader(kind: .data, offset: 4096, length: 4)
            payload.withUnsafeBytes { header.seal(payload: $0, into: buffer) }
        }
        frame += payload
        for bit in 0..<frame.count * 8 {
            var turned = frame
            turned[bit / 8] ^= 1 << (bit % 8)
            let isGood = try? turned.withUnsafeBytes { bytes -> Bool in
                let header = try FrameHeader(bytes)
                let end = FrameHeader.size + header.payloadLength
                guard end == bytes.count else { return false }
                return frameChecksum(
                    header: UnsafeRawBufferPointer(rebasing: bytes[..<FrameHeader.checkedSize]),
                    payload: UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.size..<end])) == header.checksum
            }
            #expect(isGood != true, "bit \(bit)")
        }
    }

    @Test("addresses as people write them", arguments: ["10.99.0.1:7731", "[::1]:1", "host.example:65535", "/run/a/b"])
    func addresses(text: String) throws {
        #expect(try SocketAddress(text).description == text)
    }

    @Test(
        "what is no address is refused",
        arguments: ["", "host", "host:", "host:70000", ":1", "/" + String(repeating: "x", count: 200)])
    func badAddresses(text: String) {
        #expect(throws: ReplicationError.self) { try SocketAddress(text) }
    }
}
