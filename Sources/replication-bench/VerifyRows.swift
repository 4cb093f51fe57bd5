import BenchFigures
import BlockReplication
import Foundation

/// Looking whether a point is whole: read by itself, and compared with its source.
///
/// On half the usual size, as where no map is known.
func verifyContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size = bench.size / 2
    let (source, copy) = (bench("verified.raw"), bench("verified-copy.raw"))
    let hashing = Tool.obstacle(("xxhsum", "xxhash"))
    let (one, both) = ("xxhsum -H2 of its file", "xxhsum -H2 of both files at once")
    @Sendable func rate(_ body: () async throws -> Void) async throws -> [String: Double] {
        ["GB/s": Double(size) / 1e9 / (try await seconds(body))]
    }
    @Sendable func point(_ body: (String, String) async throws -> [String: Double]) async throws -> [String: Double] {
        let (relationship, generation) = (sites.relationship(), Sites.generation())
        try await sites.point(relationship, as: generation, [.stopped(source, "raw", size: size, .everything)])
        let rate = try await body(relationship, generation)
        try await sites.forget(relationship)
        return rate
    }
    func row(_ name: String, _ entrant: String, _ peer: String, _ note: String) -> FigureContest.Row {
        FigureContest.Row(
            name, "GB/s", FigureContest.Value(entrant, "GB/s"), against: FigureContest.Value(peer, "GB/s"),
            note: "More is better. " + note)
    }
    return [
        FigureContest(
            [
                FigureContest.Entrant("ours") {
                    try await point { relationship, _ in
                        try await rate {
                            let found = try await sites.b.client.checkPoints(
                                CheckPoints(relationship: relationship)
                            ) { _ in }
                            guard found.points.allSatisfy({ $0.damage == nil }) else {
                                throw BenchError("a point was found damaged")
                            }
                        }
                    }
                },
                FigureContest.Entrant("ours, both sides") {
                    try await point { relationship, generation in
                        try await rate {
                            let moved = try await sites.point(
                                relationship, after: generation,
                                [.stopped(source, "raw", size: size, .differing)], number: 2)
                            guard moved.bytes == 0 else { throw BenchError("\(moved.bytes) bytes differed") }
                        }
                    }
                },
                FigureContest.Entrant(one, obstacle: hashing) {
                    try await rate { try await bench.run("xxhsum", "-H2", source) }
                },
                FigureContest.Entrant(both, obstacle: hashing) {
                    try await rate {
                        async let first = bench.run("xxhsum", "-H2", source)
                        async let second = bench.run("xxhsum", "-H2", copy)
                        _ = try await (first, second)
                    }
                },
            ],
            rows: [
                row(
                    "verifying a stored point", "ours", one,
                    "Ours reads the data and no hole, and says which 4 KiB block is wrong; the disk's whole size counts."
                ),
                row(
                    "verifying a point against its source", "ours, both sides", both,
                    "Ours reads, hashes and compares what both sides hold; the disk's whole size counts."),
            ],
            prepare: {
                try TestDisk.make(source, size: size)
                try await bench.run("cp", "--sparse=auto", "--reflink=never", source, copy)
            },
            finish: { bench.removeFiles("verified.raw", "verified-copy.raw") })
    ]
}
