import Glibc
import Synchronization

/// Everything that was ever written to a machine's disks, in order: what any copy of them is judged by.
///
/// A copy is right when it equals the disks after some number of writes, the same for all of them. Blocks of 4 KiB are
/// found by their hashes; then the whole is compared byte by byte.
final class WriteLog: Sendable {
    struct Write: Sendable {
        var disk: Int
        var offset: Int
        var bytes: [UInt8]
        var isZeros = false
    }

    /// What a copy turned out to be.
    enum Verdict: Sendable {
        /// The disks as they were after so many writes: more than one number where a write changed nothing.
        case equal(ClosedRange<Int>)
        /// What is wrong: how many blocks are of no time at all, or of no common one, and where the first lies.
        ///
        /// With the bytes of the copy that are of no use for that.
        case different(String, bytes: Int)
    }

    static let blockBytes = 4096

    fileprivate struct State {
        var base: [[UInt8]]
        var now: [[UInt8]]
        var writes: [Write] = []
        /// For each block that was written: after how many writes it had which content; the base's not among them.
        var history: [[Int: [(count: Int, hash: Int)]]]
        /// Writes whose end the writer knows.
        var acknowledged = 0
    }

    private let state: Mutex<State>

    init(base: [[UInt8]]) {
        state = Mutex(State(base: base, now: base, history: base.map { _ in [:] }))
    }

    var sizes: [Int] { state.withLock { $0.base.map(\.count) } }
    var base: [[UInt8]] { state.withLock(\.base) }
    /// Writes that were begun, all but the last of them ended.
    var begun: Int { state.withLock(\.writes.count) }
    var acknowledged: Int { state.withLock(\.acknowledged) }

    func begin(_ write: Write) {
        state.withLock { $0.append(write) }
    }

    func acknowledge() {
        state.withLock { $0.acknowledged = $0.writes.count }
    }

    /// After the machine died: where the last write was under way, its place is what the disk now has there.
    ///
    /// - Returns: what is wrong with the disks otherwise; nil when they are as they must be.
    func adopt(_ contents: [[UInt8]]) -> String? {
        state.withLock { state in
            if state.acknowledged < state.writes.count, let last = state.writes.last {
                let range = last.offset..<last.offset + last.bytes.count
                let found = Array(contents[last.disk][range])
                if found != last.bytes {
                    // Each sector is from before or from the write.
                    let before = Self.content(state, after: state.writes.count - 1, disk: last.disk, range)
                    for sector in stride(from: 0, to: found.count, by: 512) {
                        let part = sector..<min(found.count, sector + 512)
                        guard found[part] == last.bytes[part] || found[part] == before[part] else {
                            return "a sector at \(last.offset + sector) of disk \(last.disk) is neither old nor new"
                        }
                    }
                    state.append(Write(disk: last.disk, offset: last.offset, bytes: found))
                }
            }
            state.acknowledged = state.writes.count
            for disk in contents.indices where !contents[disk].isEqual(to: state.now[disk]) {
                let size = contents[disk].count
                let wrong = stride(from: 0, to: size, by: 4096).filter { offset in
                    let end = min(size, offset + 4096)
                    return contents[disk][offset..<end] != state.now[disk][offset..<end]
                }
                return
                    "\(wrong.count) blocks of disk \(disk) lack acknowledged writes, the first at \(wrong.first ?? 0)"
            }
            return nil
        }
    }

    /// The machine goes on from the disks as they were after so many writes; what came later is in the past of another.
    func rewind(to count: Int) {
        state.withLock { state in
            let kept = Array(state.writes.prefix(count))
            state = State(base: state.base, now: state.base, history: state.base.map { _ in [:] })
            for write in kept { state.append(write) }
            state.acknowledged = count
        }
    }

    /// The disks as they were after so many writes.
    func contents(after count: Int) -> [[UInt8]] {
        state.withLock { state in state.base.indices.map { Self.whole(state, after: count, disk: $0) } }
    }

    func judge(_ contents: [[UInt8]]) -> Verdict {
        state.withLock { Self.judge(contents, by: $0) }
    }

    private static func judge(_ contents: [[UInt8]], by state: State) -> Verdict {
        let all = contents.reduce(0) { $0 + $1.count }
        guard contents.map(\.count) == state.base.map(\.count) else {
            return .different("sizes \(contents.map(\.count)) instead of \(state.base.map(\.count))", bytes: all)
        }
        var (low, high) = (0, state.writes.count)
        var several: [[ClosedRange<Int>]] = []
        var strangers: [String] = []
        for disk in contents.indices {
            let size = contents[disk].count
            for block in 0..<(size + blockBytes - 1) / blockBytes {
                let range = block * blockBytes..<min(size, (block + 1) * blockBytes)
                let found = hash(contents[disk], range)
                let entries = [(count: 0, hash: hash(state.base[disk], range))] + (state.history[disk][block] ?? [])
                var spans: [ClosedRange<Int>] = []
                for (index, entry) in entries.enumerated() where entry.hash == found {
                    let end = index + 1 < entries.count ? entries[index + 1].count - 1 : state.writes.count
                    spans.append(entry.count...end)
                }
                switch spans.count {
                case 0: strangers.append("disk \(disk) at \(range.lowerBound)")
                case 1: (low, high) = (max(low, spans[0].lowerBound), min(high, spans[0].upperBound))
                default: several.append(spans)
                }
            }
        }
        guard strangers.isEmpty else {
            return .different(
                "\(strangers.count) blocks were never so, the first: \(strangers[0])",
                bytes: strangers.count * blockBytes)
        }
        guard low <= high else {
            return .different("blocks of two times: after write \(low) and before \(high + 1)", bytes: all)
        }
        guard
            let match = (low...high).first(where: { count in several.allSatisfy { $0.contains { $0.contains(count) } } }
            )
        else { return .different("blocks of no common time between writes \(low) and \(high)", bytes: all) }
        var last = match
        while last < high, several.allSatisfy({ $0.contains { $0.contains(last + 1) } }) { last += 1 }
        for disk in contents.indices where !contents[disk].isEqual(to: whole(state, after: match, disk: disk)) {
            return .different("disk \(disk) differs after \(match) writes, byte by byte", bytes: all)
        }
        return .equal(match...last)
    }

    private static func whole(_ state: State, after count: Int, disk: Int) -> [UInt8] {
        var content = state.base[disk]
        for write in state.writes.prefix(count) where write.disk == disk { content.put(write) }
        return content
    }

    private static func content(_ state: State, after count: Int, disk: Int, _ range: Range<Int>) -> [UInt8] {
        Array(whole(state, after: count, disk: disk)[range])
    }

    fileprivate static func hash(_ bytes: [UInt8], _ range: Range<Int>) -> Int {
        var hasher = Hasher()
        bytes.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[range])) }
        return hasher.finalize()
    }
}

extension WriteLog.State {
    fileprivate mutating func append(_ write: WriteLog.Write) {
        writes.append(write)
        now[write.disk].put(write)
        let size = now[write.disk].count
        let block = WriteLog.blockBytes
        for index in write.offset / block...(write.offset + write.bytes.count - 1) / block {
            let hash = WriteLog.hash(now[write.disk], index * block..<min(size, (index + 1) * block))
            history[write.disk][index, default: []].append((writes.count, hash))
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func elementsAreEqual(to other: UnsafeRawBufferPointer) -> Bool {
        guard let own = baseAddress, let its = other.baseAddress else { return count == other.count }
        return count == other.count && memcmp(own, its, count) == 0
    }
}

extension [UInt8] {
    /// Compares as the C library does, which matters for whole disks in a build that is not optimised.
    func isEqual(to other: [UInt8]) -> Bool {
        count == other.count
            && withUnsafeBytes { own in other.withUnsafeBytes { own.elementsAreEqual(to: $0) } }
    }

    fileprivate mutating func put(_ write: WriteLog.Write) {
        withUnsafeMutableBytes { all in
            write.bytes.withUnsafeBytes { part in
                UnsafeMutableRawBufferPointer(rebasing: all[write.offset..<write.offset + write.bytes.count])
                    .copyMemory(from: part)
            }
        }
    }
}
