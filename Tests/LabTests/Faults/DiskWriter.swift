import Foundation
import Synchronization

/// Writes to a machine's disks without rest, one write after the other, and keeps account of them in a log.
///
/// It has a thread of its own, which ends with the machine or with `stop`.
final class DiskWriter: Sendable {
    private struct State {
        var stops = false
        var ended = false
        /// An error that a guest would have seen; nil when there was none, also after the end of the machine.
        var error: String?
        var isPaused = false
        var isIdle = false
        /// Microseconds between two writes.
        var pace: UInt32
    }

    private let state: Mutex<State>

    /// Begins to write.
    ///
    /// - Parameters:
    ///   - pause: microseconds between two writes.
    ///   - expectsErrors: the machine's own disks fail: an error is its end, as it is a guest's.
    init(socket: String, log: WriteLog, seed: UInt64, pause: UInt32, expectsErrors: Bool = false) throws {
        state = Mutex(State(pace: pause))
        let sizes = log.sizes
        Thread.detachNewThread { [self] in
            do {
                let disks = try VirtioBlocks(path: socket, sizes: sizes)
                var chance = Chance(seed: seed)
                while !state.withLock(\.stops) {
                    let rests = state.withLock { state in
                        state.isIdle = state.isPaused
                        return state.isPaused
                    }
                    if rests {
                        usleep(1000)
                        continue
                    }
                    let write = Self.next(&chance, sizes)
                    log.begin(write)
                    if write.isZeros {
                        try disks.writeZeros(write.bytes.count, disk: write.disk, at: write.offset)
                    } else {
                        try disks.write(write.bytes, disk: write.disk, at: write.offset)
                    }
                    log.acknowledge()
                    usleep(state.withLock(\.pace))
                }
            } catch is VirtioBlocks.Gone {
            } catch {
                if !expectsErrors { state.withLock { $0.error = "\(error)" } }
            }
            state.withLock { $0.ended = true }
        }
    }

    /// What a guest would have seen as an error of its disks; nil when all went well.
    var error: String? { state.withLock(\.error) }
    var hasEnded: Bool { state.withLock(\.ended) }

    /// Writes no faster than this from now on: microseconds between two writes.
    func rest(_ pace: UInt32) { state.withLock { $0.pace = max($0.pace, pace) } }

    func pause(_ isPaused: Bool = true) async throws {
        state.withLock { $0.isPaused = isPaused }
        guard isPaused else { return }
        try await untilSo("the writer rests") { state.withLock { $0.isIdle || $0.ended } }
    }

    func stop() async throws {
        state.withLock { $0.stops = true }
        try await untilSo("the writer has ended") { hasEnded }
    }

    /// From one sector to 128 KiB, most of them small and some near each other, a few of them zeros.
    private static func next(_ chance: inout Chance, _ sizes: [Int]) -> WriteLog.Write {
        let disk = chance.once(in: 3) ? sizes.count - 1 : 0
        let zeros = chance.once(in: 10)
        let unit = chance.one(of: [512, 512, 4096, 4096, 4096, 65536])
        let count = min(unit * chance.number(in: 1...4), 128 << 10)
        let last = (sizes[disk] - count) / unit
        // A third goes to the same few places, as a file system's journal does.
        let place = chance.once(in: 3) ? chance.number(in: 0...min(last, 24)) : chance.number(in: 0...last)
        // And now and then the very end of the disk, which need be no multiple of anything but sectors.
        let offset = chance.once(in: 50) ? sizes[disk] - count : place * unit
        return WriteLog.Write(
            disk: disk, offset: offset,
            bytes: zeros ? [UInt8](repeating: 0, count: count) : chance.bytes(count), isZeros: zeros)
    }
}
