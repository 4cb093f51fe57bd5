import BenchFigures
import BlockReplication
import Foundation

/// The same first copy between agents with certificates and between agents without.
func encryptionContests(_ bench: Workbench, plain: Sites, encrypted: Sites) -> [FigureContest] {
    let size = bench.size
    let source = bench("a.raw")
    let disk = SourceDisk.stopped(source, "raw", size: size, .everything)
    @Sendable func copy(_ sites: Sites) async throws -> [String: Double] {
        bench.warm(size)
        let relationship = sites.relationship()
        let moved = try await sites.point(relationship, [disk])
        try await sites.forget(relationship)
        return moved.values
    }
    let (with, without) = ("ours with TLS", "without TLS")
    func row(_ name: String, _ unit: String, _ key: String, _ goal: Figure.Goal = .none) -> FigureContest.Row {
        FigureContest.Row(
            name, unit, FigureContest.Value(with, key), against: FigureContest.Value(without, key), goal: goal)
    }
    return [
        FigureContest(
            [
                FigureContest.Entrant(with) { try await copy(encrypted) },
                FigureContest.Entrant(without) { try await copy(plain) },
            ],
            rows: [
                row("first copy with TLS and checksums", "s", "s", .ratio(1.6)),
                row("processor time of a sender with TLS", "s", "sender cpu"),
                row("processor time of a receiver with TLS", "s", "receiver cpu"),
            ],
            prepare: {
                if !FileManager.default.fileExists(atPath: source) { try TestDisk.make(source, size: size) }
            })
    ]
}
