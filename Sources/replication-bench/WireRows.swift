import BenchFigures
import BlockReplication
import Foundation

/// What goes over the link: bytes of small changes, and a first copy over slow links with and without compression.
func wireContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    [smallChanges(bench, sites)] + [(100, 32 as UInt64), (1000, 256)].map { slowLink(bench, sites, $0, mebibytes: $1) }
}

/// A database's writes: one 4 KiB page in each of 5 % of the granules.
private func smallChanges(_ bench: Workbench, _ sites: Sites) -> FigureContest {
    let size = bench.size / 8
    let (raw, image) = (bench("pages.raw"), bench("pages.qcow2"))
    let granules = TestDisk.places(percent: 5, size: size)
    let pages = granules.enumerated().map { $1 + UInt64($0 * 7 % 16) << 12 }
    return FigureContest(
        [
            FigureContest.Entrant("ours") {
                let (relationship, first) = (sites.relationship(), Sites.generation())
                try await sites.point(relationship, as: first, [.stopped(raw, "raw", size: size, .everything)])
                var relay: Relay?
                defer { relay?.end() }
                let moved = try await sites.point(
                    relationship, after: first,
                    [.stopped(image, "qcow2", size: size, .changed(bitmap: "b0", also: []))], number: 2,
                    compresses: false
                ) { ticket in
                    let made = try Relay(to: ticket.address)
                    ticket.address = made.address
                    relay = made
                }
                try await sites.forget(relationship)
                return ["KiB": Double(relay?.bytes ?? 0) / 1024, "ms": moved.seconds * 1000]
            },
            FigureContest.Entrant("changed") { ["KiB": Double(pages.count * 4)] },
        ],
        rows: [
            FigureContest.Row(
                "bytes sent, 4 KiB random changes", "KiB", FigureContest.Value("ours", "KiB"),
                against: FigureContest.Value("changed", "KiB"), goal: .ratio(1.2),
                note:
                    "All that the sender writes to the link, framing and questions included; one page of 4 KiB in each of"
                    + " 5 % of the granules of 64 KiB, not compressed.")
        ],
        prepare: {
            try TestDisk.make(raw, size: size)
            try await bench.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
            try await bench.run("qemu-img", "bitmap", "--add", image, "b0")
            try await TestDisk.change(qcow2: image, at: pages, length: 4096, seed: 3, bench)
        },
        finish: { bench.removeFiles("pages.raw", "pages.qcow2") })
}

/// A first copy over a link of so many Mbit/s, of content that can be compressed to about a third.
private func slowLink(
    _ bench: Workbench, _ sites: Sites, _ megabits: Int, mebibytes: UInt64
) -> FigureContest {
    let size = mebibytes << 20
    let source = bench("text.raw")
    @Sendable func copy(compresses: Bool?) async throws -> [String: Double] {
        let relationship = sites.relationship()
        var relay: Relay?
        defer { relay?.end() }
        let moved = try await sites.point(
            relationship, [.stopped(source, "raw", size: size, .everything)], compresses: compresses
        ) { ticket in
            let made = try Relay(to: ticket.address, bytesPerSecond: Double(megabits) * 125_000)
            ticket.address = made.address
            relay = made
        }
        try await sites.forget(relationship)
        return moved.values
    }
    return FigureContest(
        [
            FigureContest.Entrant("ours") { try await copy(compresses: nil) },
            FigureContest.Entrant("ours, as it is") { try await copy(compresses: false) },
        ],
        rows: [
            FigureContest.Row(
                "first copy over \(megabits) Mbit/s, compressed when quicker", "s", FigureContest.Value("ours", "s"),
                against: FigureContest.Value("ours, as it is", "s"), goal: .ratio(1),
                note: "\(mebibytes) MiB of which a quarter is random, over a relay that keeps to the rate.")
        ],
        prepare: { try TestDisk.makeCompressible(source, size: size, random: 16) },
        finish: { bench.removeFiles("text.raw") })
}
