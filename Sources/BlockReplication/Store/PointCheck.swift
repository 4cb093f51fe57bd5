internal import Foundation
import SiteModel
internal import Synchronization

/// What of a store's files is to be read and compared with its checksums: files that are open already, so that merging changes
/// nothing for the reader.
struct PointCheck: Sendable {
    /// One disk of one layer, and what of it is seen from the points that are checked.
    struct Part: Sendable {
        enum Image: Sendable {
            case overlay(OverlayReader)
            case raw(ImageFile)
        }

        var generation: String
        var target: String
        var image: Image
        var sums: BlockSums
        var visible: ExtentMap
    }

    /// Pieces of disk that are handed to threads.
    private static let slice: UInt64 = 128 << 20
    private static let pieceBytes: UInt64 = 1 << 20
    private static let mostThreads = 8

    let number: Int
    /// The points that are checked.
    let generations: [String]
    var parts: [Part] = []
    /// Found wrong before any content was read.
    var wrong: [Wrong] = []
    /// Points whose domain XML, or firmware state, is not what was sealed.
    var damagedDefinitions: Set<String> = []
    /// By generation of the point: bytes of which no checksum is kept.
    var unrecorded: [String: UInt64] = [:]
    /// Layers that points of other directions, or the files' reader, must not change meanwhile.
    var held: Set<String> = []
    var isWhole: Bool

    struct Wrong: Sendable {
        var generation: String
        var target: String
        var extents: [Extent]
        var cause: PointDamage.Cause
    }

    /// Reads all of it on several threads; returns what is wrong.
    func run(
        interrupt: Interrupt, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> (wrong: [Wrong], bytes: UInt64) {
        let work = Work(parts, wrong)
        let meter = TransferMeter(report: progress)
        meter.expect(parts.reduce(0) { $0 + $1.visible.dataByteCount })
        let threads = min(Self.mostThreads, max(1, ProcessInfo.processInfo.activeProcessorCount))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in 0..<min(threads, max(1, work.slices.count)) {
                group.addTask {
                    try await onThread("agent-check-\(thread)", interrupt: interrupt) {
                        let reader = Reader(interrupt: interrupt, meter: meter)
                        while let slice = work.next() {
                            work.add(try reader.check(work.parts[slice.part], slice.range))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        return (work.wrong, meter.totals.scanned)
    }

    /// What is left to do, and what was found, for all threads.
    private final class Work: Sendable {
        struct Slice: Sendable {
            var part: Int
            var range: Extent
        }

        let parts: [Part]
        let slices: [Slice]
        private let state: Mutex<(next: Int, wrong: [Wrong])>

        init(_ parts: [Part], _ wrong: [Wrong]) {
            self.parts = parts
            slices = parts.indices.flatMap { part -> [Slice] in
                guard let end = parts[part].visible.last?.end else { return [] }
                return stride(from: 0, to: end, by: Int(PointCheck.slice)).map {
                    Slice(part: part, range: Extent(offset: $0, length: min(PointCheck.slice, end - $0)))
                }
            }
            state = Mutex((0, wrong))
        }

        func next() -> Slice? {
            state.withLock { state in
                defer { state.next += 1 }
                return state.next < slices.count ? slices[state.next] : nil
            }
        }

        func add(_ wrong: [Wrong]) {
            if !wrong.isEmpty { state.withLock { $0.wrong += wrong } }
        }

        var wrong: [Wrong] { state.withLock { $0.wrong } }
    }

    /// Reads pieces of parts; confined to one thread.
    private final class Reader {
        private let interrupt: Interrupt
        private let meter: TransferMeter
        private let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(PointCheck.pieceBytes), alignment: 4096)
        private let table = L2Buffer()

        init(interrupt: Interrupt, meter: TransferMeter) {
            self.interrupt = interrupt
            self.meter = meter
        }

        deinit { room.deallocate() }

        func check(_ part: Part, _ range: Extent) throws -> [Wrong] {
            let visible = part.visible.intersection(ExtentMap(CollectionOfOne(range)))
            switch part.image {
            case .overlay(let overlay): return try check(part, overlay, visible)
            case .raw(let file): return try check(part, file, visible)
            }
        }

        private func check(_ part: Part, _ overlay: OverlayReader, _ visible: ExtentMap) throws -> [Wrong] {
            var wrong: [Wrong] = []
            var loaded = -1
            for extent in visible where !extent.isZero {
                var at = extent.offset
                while at < extent.end {
                    let index = Int(at / OverlayLayout.bytesPerL2)
                    let within = at & (OverlayLayout.clusterSize - 1)
                    let count = min(OverlayLayout.clusterSize - within, extent.end - at)
                    do {
                        if index != loaded {
                            loaded = -1
                            try overlay.load(index, into: table)
                            loaded = index
                        }
                        let slot = Int(at / OverlayLayout.clusterSize % OverlayLayout.entriesPerL2) * 2
                        wrong += try compare(
                            part, overlay.file, place: table.words[slot] + within, at: at, count: count,
                            holesAreZero: false)
                    } catch let error as ReplicationError where [.damaged, .io].contains(error.code) {
                        wrong.append(unreadable(part, at, count, error))
                    }
                    at += count
                }
            }
            return wrong
        }

        private func check(_ part: Part, _ file: ImageFile, _ visible: ExtentMap) throws -> [Wrong] {
            var wrong: [Wrong] = []
            for extent in visible {
                var at = extent.offset
                while at < extent.end {
                    // Where neither the file nor its checksums hold anything, there is nothing to read.
                    let data = try [file.nextData(from: at), part.sums.nextUsed(from: at)].compactMap { $0 }.min()
                    let from = max(at, (data ?? extent.end) & ~(BlockGrid.block - 1))
                    if from > at { meter.scanned(min(from, extent.end) - at) }
                    guard from < extent.end else { break }
                    let count = min(PointCheck.pieceBytes - from % PointCheck.pieceBytes, extent.end - from)
                    do {
                        wrong += try compare(part, file, place: from, at: from, count: count, holesAreZero: true)
                    } catch let error as ReplicationError where error.code == .io {
                        wrong.append(unreadable(part, from, count, error))
                    }
                    at = from + count
                }
            }
            return wrong
        }

        private func compare(
            _ part: Part, _ file: ImageFile, place: UInt64, at offset: UInt64, count: UInt64, holesAreZero: Bool
        ) throws -> [Wrong] {
            try interrupt.check()
            let bytes = UnsafeMutableRawBufferPointer(rebasing: room[..<Int(count)])
            try file.read(into: bytes, at: place)
            let extents = try part.sums.check(UnsafeRawBufferPointer(bytes), at: offset, holesAreZero: holesAreZero)
            meter.scanned(count)
            guard !extents.isEmpty else { return [] }
            return [Wrong(generation: part.generation, target: part.target, extents: extents, cause: .altered)]
        }

        private func unreadable(_ part: Part, _ offset: UInt64, _ count: UInt64, _ error: ReplicationError) -> Wrong {
            Wrong(
                generation: part.generation, target: part.target,
                extents: [Extent(offset: offset, length: count)], cause: error.code == .io ? .unreadable : .altered)
        }
    }
}
