import BenchFigures
import BlockReplication
import Foundation

/// No bitmap: both sides hash, and what differs travels.
///
/// On half the usual size, for rsync's sake.
func noMapContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size = bench.size / 2
    let (old, new, target) = (bench("old.raw"), bench("new.raw"), bench("target.raw"))
    let peers = Peers(bench: bench)
    return [(1, 1.0 / 4), (5, 1.0 / 7), (20, 1.0 / 15)].map { percent, goal in
        let name = "no map, \(percent) % changed"
        return FigureContest(
            [
                FigureContest.Entrant("ours") {
                    let (relationship, first) = (sites.relationship(), Sites.generation())
                    try await sites.point(relationship, as: first, [.stopped(old, "raw", size: size, .everything)])
                    let moved = try await sites.point(
                        relationship, after: first, [.stopped(new, "raw", size: size, .differing)], number: 2)
                    try await sites.forget(relationship)
                    return moved.values
                },
                FigureContest.Entrant("rsync --inplace, daemon", obstacle: Tool.obstacle(("rsync", "rsync"))) {
                    try await bench.run("cp", "--sparse=auto", "--reflink=never", old, target)
                    defer { bench.removeFiles("target.raw") }
                    return try await peers.rsync(new, onto: target).values
                },
                FigureContest.Entrant("xxhsum -H2 of both files at once", obstacle: Tool.obstacle(("xxhsum", "xxhash")))
                {
                    let time = try await seconds {
                        async let one = bench.run("xxhsum", "-H2", old)
                        async let other = bench.run("xxhsum", "-H2", new)
                        _ = try await (one, other)
                    }
                    return ["s": time]
                },
            ],
            rows: [
                FigureContest.Row(
                    name, "s", FigureContest.Value("ours", "s"),
                    against: FigureContest.Value("rsync --inplace, daemon", "s"), goal: .ratio(goal)),
                FigureContest.Row(
                    "\(name): beside hashing", "s", FigureContest.Value("ours", "s"),
                    against: FigureContest.Value("xxhsum -H2 of both files at once", "s"), goal: .ratio(2)),
            ],
            prepare: {
                try TestDisk.make(old, size: size)
                try await bench.run("cp", "--sparse=auto", "--reflink=never", old, new)
                try TestDisk.change(new, at: TestDisk.places(percent: percent, size: size), seed: 11)
            },
            finish: { bench.removeFiles("old.raw", "new.raw") })
    }
}
