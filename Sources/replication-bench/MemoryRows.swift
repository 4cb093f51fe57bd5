import BenchFigures
import BlockReplication
import Foundation

/// How much memory the agents take for a disk of 1 TiB with a change in each of its 32 MiB.
func memoryContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size: UInt64 = 1 << 40
    let (image, empty) = (bench("huge.qcow2"), bench("huge.raw"))
    let places = (0..<size >> 25).map { $0 << 25 + ($0 * 5 % 512) << 16 }
    let goal = Figure.Goal.limit(200)
    func row(_ what: String, _ key: String) -> FigureContest.Row {
        FigureContest.Row(
            "1 TiB disk, \(places.count) changes scattered over all of it: \(what)", "MiB",
            FigureContest.Value("ours", key), goal: goal)
    }
    return [
        FigureContest(
            [
                FigureContest.Entrant("ours") {
                    let (relationship, first) = (sites.relationship(), Sites.generation())
                    try await sites.point(relationship, as: first, [.stopped(empty, "raw", size: size, .everything)])
                    let moved = try await sites.point(
                        relationship, after: first,
                        [.stopped(image, "qcow2", size: size, .changed(bitmap: "b0", also: []))], number: 2)
                    guard moved.bytes >= Double(places.count) * 4096 else {
                        throw BenchError("only \(moved.bytes) bytes were sent")
                    }
                    try await sites.forget(relationship)
                    return moved.values
                }
            ],
            rows: [
                row("peak memory of the sender", "sender peak"),
                row("peak memory of the receiver", "receiver peak"),
            ],
            prepare: {
                try Output(empty).setSize(size)
                // So that 4 KiB of the file are taken for 4 KiB written.
                try await bench.run(
                    "qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", image,
                    String(size))
                try await bench.run("qemu-img", "bitmap", "--add", "-g", "64k", image, "b0")
                try await TestDisk.change(qcow2: image, at: places, length: 4096, seed: 5, bench)
            },
            finish: { bench.removeFiles("huge.qcow2", "huge.raw") })
    ]
}
