import BenchFigures
import BlockReplication
import Foundation

/// A point that is none any more, written into the base beneath it.
///
/// On a quarter of the usual size, a fifth of it changed.
func foldContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size = bench.size / 4
    let (old, new) = (bench("old.raw"), bench("new.raw"))
    let places = TestDisk.places(percent: 20, size: size)
    let megabytes = Double(places.count) * 0.065536
    @Sendable func chain(_ body: (String, [String]) async throws -> Double) async throws -> Double {
        let (relationship, generations) = (sites.relationship(), (0..<3).map { _ in Sites.generation() })
        try await sites.point(
            relationship, as: generations[0], [.stopped(old, "raw", size: size, .everything)])
        for number in 1...2 {
            try await sites.point(
                relationship, as: generations[number], after: generations[number - 1],
                [.stopped(new, "raw", size: size, .differing)], number: number + 1)
        }
        let result = try await body(relationship, generations)
        try await sites.forget(relationship)
        return result
    }
    return [
        FigureContest(
            [
                FigureContest.Entrant("ours") {
                    let time = try await chain { relationship, generations in
                        try await seconds {
                            _ = try await sites.b.client.keepPoints(
                                relationship: relationship, keeping: [generations[2]], pinned: [])
                        }
                    }
                    return ["MB/s": megabytes / time]
                },
                FigureContest.Entrant("qemu-img commit", obstacle: Tool.obstacle(("qemu-img", "qemu-utils"))) {
                    let time = try await chain { relationship, generations in
                        let overlay = "\(generations[1])-vda.qcow2"
                        for file in ["base-vda.raw", overlay] {
                            try await bench.run(
                                "cp", "--sparse=auto", "\(sites.points(relationship))/\(file)", bench(file))
                        }
                        defer { bench.removeFiles("base-vda.raw", overlay) }
                        return try await seconds {
                            try await bench.run("qemu-img", "commit", "-q", "-d", "-f", "qcow2", bench(overlay))
                        }
                    }
                    return ["MB/s": megabytes / time]
                },
            ],
            rows: [
                FigureContest.Row(
                    "folding a point into its base", "MB/s", FigureContest.Value("ours", "MB/s"),
                    against: FigureContest.Value("qemu-img commit", "MB/s"),
                    note:
                        "More is better. Ours retires the point, folds it and puts an empty overlay in its place, with the"
                        + " manifest written and flushed at each step.")
            ],
            prepare: {
                try TestDisk.make(old, size: size)
                try await bench.run("cp", "--sparse=auto", "--reflink=never", old, new)
                try TestDisk.change(new, at: places, seed: 11)
            },
            finish: { bench.removeFiles("old.raw", "new.raw") })
    ]
}
