/// Knows which 4 KiB blocks of the ranges that travel the target has already, by asking it for their hashes ahead of reading.
///
/// It begins with little, asks for four times as much ahead each time that answers save enough, and stops for a while when they
/// do not. So a round trip is paid a few times in a transfer, and next to nothing where all has changed. Where an answer
/// is missing or wrong, blocks travel that need not have: a block is left out for one reason alone, a keyed hash of the
/// target's that equals the one of what was read. Confined to the sender's thread.
final class ChangedBlocks {
    /// How much is asked ahead, in bytes of disk.
    enum Ahead {
        static let least: UInt64 = 1 << 20
        /// The answers to it take 2 MiB, the ranges at most as much.
        static let most: UInt64 = 512 << 20
        static let growth: UInt64 = 4
        /// How much is sent unasked after answers that saved too little, at first and in the end.
        static let firstPause: UInt64 = 16 << 20
        static let longestPause: UInt64 = 1 << 30
        /// Ranges that are sent unasked are planned so far ahead that the question after them is answered in time.
        static let planned: UInt64 = 32 << 20
    }

    /// The least part of blocks that the target must have, for asking to be worth it: one in so many.
    private static let worthwhile = 8

    /// Ranges that follow each other, asked for with one question or not at all.
    final class Segment {
        /// Offset behind the last range.
        fileprivate(set) var end: UInt64 = 0
        /// Bytes that have not been dealt with.
        fileprivate var left: UInt64 = 0
        fileprivate var ranges: [ByteRange] = []
        /// The first block of each range among those of the segment.
        fileprivate var firstBlocks: [Int] = []
        fileprivate var blocks = 0
        fileprivate var equal = 0
        let isAsked: Bool
        fileprivate(set) var isAnswered = false
        /// The hashes as they came; empty when the target cannot tell.
        fileprivate var hashes: [UInt8] = []

        fileprivate init(isAsked: Bool) { self.isAsked = isAsked }

        fileprivate func add(_ range: ByteRange) {
            end = range.offset + range.length
            left += range.length
            guard isAsked else { return }
            ranges.append(range)
            firstBlocks.append(blocks)
            blocks += BlockQuestion.blocks(range.length)
        }

        /// Calls `body` with the target's hashes from the block at `offset` on; false when there are none.
        func withHashes(from offset: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows -> Bool {
            guard !hashes.isEmpty, let index = index(of: offset) else { return false }
            let first = firstBlocks[index] + Int((offset - ranges[index].offset) / BlockGrid.block)
            try hashes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[(first * 16)...])) }
            return true
        }

        private func index(of offset: UInt64) -> Int? {
            var (low, high) = (0, ranges.count)
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].offset <= offset { low = middle + 1 } else { high = middle }
            }
            guard low > 0, offset < ranges[low - 1].offset + ranges[low - 1].length else { return nil }
            return low - 1
        }
    }

    private var ranges: RequestIterator
    private var next: ByteRange?
    /// Planned and not yet done with, in ascending order.
    private var segments: [Segment] = []
    private var unanswered: [Segment] = []
    private var (asked, planned): (UInt64, UInt64) = (0, 0)
    private var ahead = Ahead.least
    private var pause: UInt64 = 0
    private var nextPause = Ahead.firstPause
    /// Sends a question, and may take in answers meanwhile.
    typealias Ask = (UnsafeRawBufferPointer) throws -> Void

    init(_ extents: ExtentMap) {
        ranges = RequestIterator(extents)
        next = ranges.next()
    }

    /// Asks for as much as may be asked ahead now.
    func askAhead(_ ask: Ask) throws {
        while next != nil {
            if pause > 0 {
                guard planned < Ahead.planned else { return }
            } else {
                guard asked < ahead, planned < max(ahead, Ahead.planned + Ahead.least) else { return }
            }
            try plan(ask)
        }
    }

    /// Takes in an answer; one that does not fit its question breaks the protocol.
    func take(_ payload: UnsafeRawBufferPointer) throws {
        guard let segment = unanswered.first, payload.isEmpty || payload.count == segment.blocks * 16 else {
            throw ReplicationError.malformed("hashes came that were not asked for, or not as many")
        }
        unanswered.removeFirst()
        segment.hashes = Array(payload)
        segment.isAnswered = true
    }

    /// The segment in which a buffer lies that was read; sources read a little ahead and not quite in order.
    func segment(of filled: FilledBuffer, _ ask: Ask) throws -> Segment {
        while true {
            if let found = segments.first(where: { filled.offset < $0.end }) { return found }
            guard next != nil else { preconditionFailure("a source read what was not asked of it") }
            try plan(ask)
        }
    }

    /// Notes that a buffer was dealt with, `equal` blocks of which the target had.
    func done(_ filled: FilledBuffer, in segment: Segment, equal: Int) {
        segment.left -= UInt64(filled.count)
        segment.equal += equal
        planned -= UInt64(filled.count)
        if segment.isAsked { asked -= UInt64(filled.count) }
        guard segment.left == 0 else { return }
        segments.removeAll { $0 === segment }
        guard segment.isAsked else { return }
        if segment.equal * Self.worthwhile >= segment.blocks {
            ahead = min(ahead * Ahead.growth, Ahead.most)
            nextPause = Ahead.firstPause
        } else {
            ahead = Ahead.least
            pause = nextPause
            nextPause = min(nextPause * Ahead.growth, Ahead.longestPause)
        }
    }

    /// Puts the next ranges into a segment, and asks for them unless asking pauses.
    private func plan(_ ask: Ask) throws {
        let isAsked = pause == 0
        let segment = Segment(isAsked: isAsked)
        let limit =
            isAsked ? max(Ahead.least, min(ahead / Ahead.growth, UInt64(BlockQuestion.mostBlocks) << 12)) : pause
        while let range = next {
            guard segment.left == 0 || segment.left + range.length <= min(limit, Ahead.planned) else { break }
            if isAsked, segment.ranges.count == BlockQuestion.mostRanges { break }
            segment.add(range)
            next = ranges.next()
        }
        planned += segment.left
        segments.append(segment)
        if isAsked {
            asked += segment.left
            unanswered.append(segment)
            try BlockQuestion.encode(segment.ranges).withUnsafeBytes { try ask($0) }
        } else {
            pause -= min(pause, segment.left)
        }
    }
}
