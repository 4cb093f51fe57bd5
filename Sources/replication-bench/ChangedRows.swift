import BenchFigures
import BlockReplication
import Foundation
import Glibc

/// Changes that a dirty bitmap names, of a VM that is stopped.
func changedContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    [5, 20].map { percent in
        let size = bench.size
        let places = TestDisk.places(percent: percent, size: size)
        let (image, raw, empty) = (bench("changed.qcow2"), bench("changed.raw"), bench("empty.raw"))
        let bytes = UInt64(places.count) << 16
        let name = "known map, stopped source, \(percent) % changed"
        return FigureContest(
            [
                FigureContest.Entrant("ours") {
                    let (relationship, first) = (sites.relationship(), Sites.generation())
                    try await sites.point(
                        relationship, as: first, [.stopped(empty, "raw", size: size, .everything)])
                    bench.warm(bytes)
                    let moved = try await sites.point(
                        relationship, after: first,
                        [.stopped(image, "qcow2", size: size, .changed(bitmap: "b0", also: []))], number: 2)
                    guard moved.bytes == Double(bytes) else { throw BenchError("\(moved.bytes) bytes were sent") }
                    try await sites.forget(relationship)
                    return moved.values
                },
                FigureContest.Entrant("pread + append of the blocks") {
                    bench.removeFiles("appended")
                    bench.warm(bytes)
                    let time = try await seconds { try append(places, of: raw, to: bench("appended")) }
                    bench.removeFiles("appended")
                    return ["ms": time * 1000]
                },
                FigureContest.Entrant(
                    "QEMU push over a Unix socket",
                    obstacle: Tool.obstacle(("qemu-storage-daemon", "qemu-system-common"), ("qemu-nbd", "qemu-utils"))
                ) {
                    bench.removeFiles("target.raw")
                    try Output(bench("target.raw")).setSize(size)
                    bench.warm(bytes)
                    defer { bench.removeFiles("target.raw") }
                    return ["ms": try await QEMUPush(bench).push(image, bitmap: "b0", to: bench("target.raw")) * 1000]
                },
            ],
            rows: [
                FigureContest.Row(
                    name, "ms", FigureContest.Value("ours", "ms"),
                    against: FigureContest.Value("pread + append of the blocks", "ms"), goal: .ratioPlus(2, 10),
                    note: "A bitmap is kept in qcow2 alone, so ours starts a qemu-nbd and reads through it;"
                        + " the limit reads a raw file and knows the blocks."),
                FigureContest.Row(
                    "\(name): beside QEMU", "ms", FigureContest.Value("ours", "ms"),
                    against: FigureContest.Value("QEMU push over a Unix socket", "ms"), goal: .ratio(0.6)),
            ],
            prepare: {
                bench.removeFiles("changed.qcow2", "changed.raw", "empty.raw")
                try Output(empty).setSize(size)
                try Output(raw).setSize(size)
                try TestDisk.change(raw, at: places, seed: 9)
                try await bench.run("qemu-img", "create", "-q", "-f", "qcow2", image, String(size))
                try await bench.run("qemu-img", "bitmap", "--add", image, "b0")
                try await TestDisk.change(qcow2: image, at: places, seed: 9, bench)
            },
            finish: { bench.removeFiles("changed.qcow2", "changed.raw", "empty.raw") })
    }
}

/// The least work: each block read, and written behind the last one.
private func append(_ places: [UInt64], of source: String, to target: String) throws {
    guard let reader = Output.Reader(source) else { throw BenchError("\(source) cannot be read") }
    let output = try Output(target)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 4096)
    defer { buffer.deallocate() }
    for (index, place) in places.enumerated() {
        guard reader.read(into: buffer, at: place) == buffer.count,
            pwrite(output.descriptor, buffer.baseAddress, buffer.count, off_t(index) << 16) == buffer.count
        else { throw BenchError("a block cannot be copied") }
    }
    guard fsync(output.descriptor) == 0 else { throw BenchError("the blocks cannot be flushed") }
}
