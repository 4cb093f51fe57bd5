import Foundation
import SiteModel
import Synchronization

extension SourceDisk {
    /// Says of a file at rest whether anything wrote it between two looks; nil for an export.
    ///
    /// A write changes the times; a file that was put in its place is another inode.
    func fileMark() throws -> String? {
        guard case .image(let image) = from else { return nil }
        var status = stat()
        guard stat(image.path, &status) == 0 else {
            throw ReplicationError.system("looking at an image", path: image.path, errno: errno)
        }
        func text(_ time: timespec) -> String { "\(time.tv_sec).\(time.tv_nsec)" }
        return "\(status.st_ino):\(status.st_size):\(text(status.st_mtim)):\(text(status.st_ctim))"
    }
}

/// Sending a part of a first copy: first what changed below the frontier, then what lies beyond, as far as the leg goes.
extension DiskSender {
    func sendLeg(
        _ leg: LegStart, _ watch: LegWatch, of source: any ExtentSource, _ channel: WireChannel, _ peer: PeerState,
        _ content: ContentStream
    ) throws -> Sent {
        guard leg.frontier <= disk.size, leg.frontier % BlockGrid.block == 0 || leg.frontier == disk.size else {
            throw ReplicationError(
                .invalidArgument, "a leg cannot begin at byte \(leg.frontier) of disk \(disk.target)",
                hint: "begin it where the target's base ends")
        }
        let (changed, reached) = try changes(below: leg, watch, of: source, channel, peer)
        if !changed.isEmpty { watch.noteRenewed(try send(changed, of: source, content)) }
        // What lies beyond is of an earlier instant and no bitmap says how it differs: the next leg brings it over anew.
        if reached < leg.frontier { return Sent(checksum: try content.finish(), frontier: reached) }
        let frontier = try sendOnward(leg.frontier, watch, of: source, content)
        return Sent(checksum: try content.finish(), frontier: frontier)
    }

    /// What must travel again of what earlier legs brought over, and up to where that is known.
    ///
    /// Below the frontier only when the backup's scratch space is used up before both sides have been compared.
    private func changes(
        below leg: LegStart, _ watch: LegWatch, of source: any ExtentSource, _ channel: WireChannel, _ peer: PeerState
    ) throws -> (ExtentMap, reached: UInt64) {
        if leg.frontier == 0 { return (ExtentMap(), 0) }
        if let mark = leg.mark, mark == held.mark { return (ExtentMap(), leg.frontier) }
        guard leg.isTracked else {
            let block = BlockHashes.block
            let limit = min((leg.frontier + block - 1) / block * block, disk.size)
            let key = randomBytes(KeyedHasher.keySize)
            try key.withUnsafeBytes { try channel.send(.hashKey, $0) }
            let (differing, reached) = try compare(
                source, upTo: limit, channel, peer, KeyedHasher(key: key), unless: { watch.isScratchUsed })
            return (differing.clipped(to: leg.frontier), min(reached, leg.frontier))
        }
        let marked = try source.changes(bitmap: leg.bitmap ?? "backup-" + disk.target)
        let below = marked.aligned(to: BlockGrid.block, size: disk.size).clipped(to: leg.frontier)
        let content = try source.allocation(of: below).aligned(to: BlockGrid.block, size: disk.size)
        return (content.clipped(to: leg.frontier), leg.frontier)
    }

    /// Sends what is allocated from the frontier on, in the disk's order; returns where it stopped.
    ///
    /// The target reads zeros there, so zeros need not travel. At least one piece goes: a copy that never gets further would
    /// never end.
    private func sendOnward(
        _ from: UInt64, _ watch: LegWatch, of source: any ExtentSource, _ content: ContentStream
    ) throws -> UInt64 {
        guard from < disk.size else { return disk.size }
        let onward = ContinuousClock.now
        let rest = ExtentMap(CollectionOfOne(Extent(offset: from, length: disk.size - from)))
        let extents = try source.allocation(of: rest).aligned(to: BlockGrid.block, size: disk.size)
        meter.expect(extents.dataByteCount)
        let ahead = ReadAhead(extents, of: source, interrupt, name: disk.target)
        var frontier = from
        let sending = Result {
            while let next = ahead.nextOffset {
                if frontier > from, watch.isOver(onward: onward) { return next }
                let item = try ahead.next()
                defer { ahead.giveBack(item) }
                try content.hear()
                meter.moved(UInt64(item.count), sent: try content.send(item))
                frontier = item.offset + UInt64(item.count)
            }
            return disk.size
        }
        if case .failure(let error) = sending { interrupt.trigger(error) }
        ahead.end()
        return try sending.get()
    }
}

/// Reads extents on a second thread and gives them out in the disk's order, until it is told to end.
///
/// Used by one thread.
private final class ReadAhead {
    /// Thrown within the reading thread alone: what comes is wanted no more.
    private struct Ended: Error {}

    private let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
    private let filled: HandOff<FilledBuffer>
    private let interrupt: Interrupt
    private let hasEnded = Flag()
    private let reader: WorkerThread<Void>
    private var order: RequestIterator
    private var upcoming: ByteRange?
    /// Came before their turn; requests are made in order, so the one that is due is always under way.
    private var early: [UInt64: FilledBuffer] = [:]

    init(_ extents: ExtentMap, of source: any ExtentSource, _ interrupt: Interrupt, name: String) {
        self.interrupt = interrupt
        filled = HandOff(interrupt)
        order = RequestIterator(extents)
        upcoming = order.next()
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        reader = WorkerThread("agent-read-\(name)") { [pool, filled, hasEnded] in
            do {
                try source.read(extents, pool: pool) { buffer in
                    guard !hasEnded.isSet else {
                        pool.giveBack(buffer.buffer)
                        throw Ended()
                    }
                    filled.put(buffer)
                }
                filled.finish()
            } catch is Ended {
                filled.finish()
            } catch {
                interrupt.trigger(error)
            }
        }
    }

    /// Where the next buffer begins; nil after the last.
    var nextOffset: UInt64? { upcoming?.offset }

    func next() throws -> FilledBuffer {
        guard let due = upcoming else { throw ReplicationError.malformed("more of a disk was asked for than it has") }
        upcoming = order.next()
        while true {
            if let item = early.removeValue(forKey: due.offset) { return item }
            guard let item = try filled.next(interrupt) else {
                throw ReplicationError(
                    .nbd, "the reading of a disk ended before its end", hint: "start the leg again")
            }
            early[item.offset] = item
        }
    }

    func giveBack(_ item: FilledBuffer) { pool.giveBack(item.buffer) }

    /// Lets the reading end, and waits for that.
    func end() {
        hasEnded.set()
        for item in early.values { pool.giveBack(item.buffer) }
        early = [:]
        // Its reader may wait for a buffer before it looks.
        while let item = try? filled.next(interrupt) { pool.giveBack(item.buffer) }
        try? reader.join()
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)
        var isSet: Bool { state.withLock { $0 } }
        func set() { state.withLock { $0 = true } }
    }
}
