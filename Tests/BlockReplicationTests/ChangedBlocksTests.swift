import Foundation
import Glibc
import Testing

@testable import BlockReplication

@Suite("What is asked of the target ahead of reading")
struct ChangedBlocksTests {
    /// What one transfer asked.
    struct Outcome {
        var questions = 0
        var asked: UInt64 = 0
        /// Times that the sender had to wait for an answer with none under way but the one it waited for.
        var waits = 0
        var mostAhead: UInt64 = 0
    }

    /// Goes through the extents as a sender does; the target answers when it is waited for, and has `equal` blocks of 16.
    private func run(_ extents: ExtentMap, equal: Int, block: (UInt64) -> Bool = { _ in true }) throws -> Outcome {
        var outcome = Outcome()
        var waiting: [Int] = []
        var ahead: UInt64 = 0
        let blocks = ChangedBlocks(extents)
        let ask = { (question: UnsafeRawBufferPointer) in
            let ranges = try BlockQuestion.decode(question, size: 1 << 50)
            let length = ranges.reduce(0) { $0 + $1.length }
            outcome.questions += 1
            outcome.asked += length
            ahead += length
            outcome.mostAhead = max(outcome.mostAhead, ahead)
            waiting.append(ranges.reduce(0) { $0 + BlockQuestion.blocks($1.length) })
        }
        let buffer = PoolBuffer(base: UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16), capacity: 16)
        defer { buffer.base.deallocate() }
        try blocks.askAhead(ask)
        var ranges = RequestIterator(extents)
        while let range = ranges.next() {
            let item = FilledBuffer(buffer: buffer, offset: range.offset, count: Int(range.length))
            let segment = try blocks.segment(of: item, ask)
            if segment.isAsked, !segment.isAnswered {
                outcome.waits += 1
                // All that is under way arrives a round trip later.
                for count in waiting {
                    try [UInt8](repeating: 1, count: count * 16).withUnsafeBytes { try blocks.take($0) }
                }
                waiting = []
            }
            var seen = false
            let answered = segment.withHashes(from: range.offset) { seen = $0.count >= 16 }
            #expect(answered == segment.isAsked && seen == segment.isAsked)
            if segment.isAsked { ahead -= range.length }
            blocks.done(item, in: segment, equal: Int(range.length >> 12) * equal / 16)
            try blocks.askAhead(ask)
        }
        #expect(waiting.isEmpty)
        return outcome
    }

    private static func granules(_ count: Int, every step: UInt64) -> ExtentMap {
        ExtentMap((0..<UInt64(count)).map { Extent(offset: $0 * step, length: 64 << 10) })
    }

    @Test("where all has changed, less than one byte in a hundred is asked about")
    func allChanged() throws {
        let outcome = try run(.whole(8 << 30), equal: 0)
        #expect(outcome.asked <= (8 << 30) / 100)
        #expect(outcome.questions > 1, "it is tried again now and then")
        let scattered = try run(Self.granules(40_000, every: 1 << 20), equal: 0)
        #expect(scattered.asked <= (40_000 << 16) / 100)
    }

    @Test("where little has changed, all is asked about, with few waits however much there is", arguments: [15, 8, 2])
    func littleChanged(equal: Int) throws {
        let extents = Self.granules(60_000, every: 1 << 20)
        let outcome = try run(extents, equal: equal)
        #expect(outcome.asked == extents.byteCount)
        // 1, 4, 16, 64, 256 MiB, and then half a GiB each time.
        #expect(outcome.waits <= 5 + Int(extents.byteCount >> 29) + 20)
        #expect(outcome.mostAhead <= ChangedBlocks.Ahead.most + (16 << 20))
    }

    @Test("one granule is one question")
    func single() throws {
        let outcome = try run(Self.granules(1, every: 1 << 20), equal: 15)
        #expect(outcome.questions == 1 && outcome.waits == 1)
        #expect(try run(ExtentMap(), equal: 0).questions == 0)
    }

    @Test("buffers that come out of order find their answers")
    func outOfOrder() throws {
        let extents = Self.granules(300, every: 100 << 10)
        let blocks = ChangedBlocks(extents)
        var ranges: [ByteRange] = []
        var iterator = RequestIterator(extents)
        while let range = iterator.next() { ranges.append(range) }
        let buffer = PoolBuffer(base: UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16), capacity: 16)
        defer { buffer.base.deallocate() }
        // An answer whose every hash tells the place of its block.
        func answer(_ question: UnsafeRawBufferPointer) throws -> [UInt8] {
            try BlockQuestion.decode(question, size: 1 << 40).flatMap { range in
                stride(from: range.offset, to: range.offset + range.length, by: 4096).flatMap {
                    $0.bigEndianBytes + $0.bigEndianBytes
                }
            }
        }
        for chunk in stride(from: 0, to: ranges.count, by: 24) {
            for range in ranges[chunk..<min(chunk + 24, ranges.count)].reversed() {
                let item = FilledBuffer(buffer: buffer, offset: range.offset, count: Int(range.length))
                var answers: [[UInt8]] = []
                let segment = try blocks.segment(of: item) { answers.append(try answer($0)) }
                for payload in answers { try payload.withUnsafeBytes { try blocks.take($0) } }
                let found = segment.withHashes(from: range.offset) {
                    #expect(Hash128($0, at: 0) == Hash128(high: range.offset, low: range.offset))
                }
                #expect(found == segment.isAsked)
                blocks.done(item, in: segment, equal: Int(range.length >> 12))
            }
        }
    }

    @Test(
        "a question off the grid, beyond the disk, out of order or too large is refused",
        arguments: [
            [], [(0, 0)], [(512, 4096)], [(0, 5000)], [(0, 1 << 30)], [(1 << 40, 4096)], [(8192, 4096), (0, 4096)],
            [(0, 16 << 20), (16 << 20, 4096)], [(UInt64.max - 4095, 4096)], [(0, 8192), (4096, 4096)],
        ] as [[(UInt64, UInt64)]])
    func refused(ranges: [(UInt64, UInt64)]) {
        let bytes = BlockQuestion.encode(ranges.map { ByteRange(offset: $0.0, length: $0.1) })
        let error = #expect(throws: ReplicationError.self) {
            _ = try bytes.withUnsafeBytes { try BlockQuestion.decode($0, size: (64 << 20) + 512) }
        }
        #expect(error?.code == .protocolViolation)
        #expect(throws: ReplicationError.self) {
            _ = try [UInt8](repeating: 0, count: 15).withUnsafeBytes { try BlockQuestion.decode($0, size: 1 << 20) }
        }
    }

    @Test("the end of a disk that is no whole block can be asked for")
    func lastBlock() throws {
        let ranges = [ByteRange(offset: 0, length: 4096), ByteRange(offset: 64 << 20, length: 512)]
        let read = try BlockQuestion.encode(ranges).withUnsafeBytes {
            try BlockQuestion.decode($0, size: (64 << 20) + 512)
        }
        #expect(read == ranges)
    }

    @Test("two peers that both send much never wait for each other", .timeLimit(.minutes(1)))
    func bothSend() throws {
        var pair: [Int32] = [0, 0]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
        let interrupt = try Interrupt()
        let left = WireChannel(StreamSocket(descriptor: pair[0], interrupt: interrupt))
        let right = WireChannel(StreamSocket(descriptor: pair[1], interrupt: interrupt))
        let count = 200
        let peer = WorkerThread("peer") {
            let hashes = [UInt8](repeating: 1, count: 64 << 10)
            for _ in 0..<count { try hashes.withUnsafeBytes { try right.send(.blockReply, $0) } }
            var frames = 0
            while frames < count { try right.receiveMessage { _, _ in frames += 1 } }
        }
        var heard = 0
        let payload = [UInt8](repeating: 2, count: 256 << 10)
        for _ in 0..<count {
            try payload.withUnsafeBytes { bytes in
                let header = FrameHeader(kind: .data, offset: 0, length: UInt64(bytes.count))
                try left.send(header, bytes, listening: true, hear: { try left.hear { _, _ in heard += 1 } }) { _ in }
            }
        }
        while heard < count { try left.receiveMessage { _, _ in heard += 1 } }
        try peer.join()
        left.end()
        right.end()
        #expect(heard == count)
    }
}
