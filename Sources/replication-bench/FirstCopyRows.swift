import BenchFigures
import BlockReplication
import Foundation

/// A disk copied whole, into a file whose room is reserved and into a thin one.
func firstCopyContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size = bench.size
    let (source, target) = (bench("a.raw"), bench("target.raw"))
    let peers = Peers(bench: bench)
    let disk = SourceDisk.stopped(source, "raw", size: size, .everything)
    let prepare: @Sendable () async throws -> Void = {
        if !FileManager.default.fileExists(atPath: source) { try TestDisk.make(source, size: size) }
    }

    /// Runs a peer onto a file that is as long as the disk, with its room reserved or not.
    @Sendable func onto(
        allocated: Bool, _ body: @Sendable () async throws -> [String: Double]
    ) async throws -> [String: Double] {
        bench.removeFiles("target.raw")
        bench.warm(size)
        if allocated { try bench.allocate(target, size) } else { try Output(target).setSize(size) }
        defer { bench.removeFiles("target.raw") }
        return try await body()
    }

    @Sendable func ours(allocated: Bool) async throws -> [String: Double] {
        bench.warm(size)
        let relationship = sites.relationship()
        let moved = try await sites.point(relationship, [disk]) { _ in
            if allocated { try bench.allocate(sites.points(relationship) + "/base-vda.raw.part", size) }
        }
        try await sites.forget(relationship)
        return moved.values
    }

    let nbdkit = "nbdcopy -> nbdkit"
    let qemu = "nbdcopy -> qemu-nbd"
    let (reserved, thin) = ("first copy over loopback, allocated target", "first copy over loopback, thin target")
    func value(_ entrant: String, _ key: String = "s") -> FigureContest.Value { FigureContest.Value(entrant, key) }
    return [
        FigureContest(
            [
                FigureContest.Entrant("ours") { try await ours(allocated: true) },
                FigureContest.Entrant("dd") {
                    try await onto(allocated: true) {
                        let time = try await seconds {
                            try await bench.run("dd", "if=\(source)", "of=\(target)", "bs=1M", "conv=notrunc")
                        }
                        return ["s": time]
                    }
                },
                FigureContest.Entrant(nbdkit, obstacle: Peers.nbdcopyAndNbdkit) {
                    try await onto(allocated: true) {
                        try await peers.nbdcopyToNbdkit(source, target: target).values
                    }
                },
                FigureContest.Entrant(qemu, obstacle: Peers.nbdcopyAndQEMU) {
                    try await onto(allocated: true) { try await peers.nbdcopyToQEMU(source, target: target).values }
                },
            ],
            rows: [
                FigureContest.Row(
                    reserved, "s", value("ours"), against: value("dd"), goal: .ratio(1.3),
                    note:
                        "The room of the new base is reserved before the clock starts; dd writes over a file that is there."
                ),
                FigureContest.Row(
                    "\(reserved): beside nbdkit", "s", value("ours"), against: value(nbdkit), goal: .ratio(1.25)),
                FigureContest.Row(
                    "\(reserved): beside qemu-nbd", "s", value("ours"), against: value(qemu), goal: .ratio(0.5)),
                FigureContest.Row(
                    "processor time of the sender", "s", value("ours", "sender cpu"),
                    against: value(qemu, "sender cpu"),
                    note: "That of the peer is nbdcopy's; of the receiver's, qemu-nbd's."),
                FigureContest.Row(
                    "processor time of the receiver", "s", value("ours", "receiver cpu"),
                    against: value(qemu, "receiver cpu")),
                FigureContest.Row(
                    "peak memory of the sender", "MiB", value("ours", "sender peak"),
                    against: value(qemu, "sender peak"), goal: .limit(200)),
                FigureContest.Row(
                    "peak memory of the receiver", "MiB", value("ours", "receiver peak"),
                    against: value(qemu, "receiver peak"), goal: .limit(200)),
            ], prepare: prepare),
        FigureContest(
            [
                FigureContest.Entrant("ours") { try await ours(allocated: false) },
                FigureContest.Entrant("cp --sparse=auto") {
                    bench.removeFiles("target.raw")
                    bench.warm(size)
                    defer { bench.removeFiles("target.raw") }
                    let time = try await seconds {
                        try await bench.run("cp", "--sparse=auto", "--reflink=never", source, target)
                    }
                    return ["s": time]
                },
                FigureContest.Entrant(qemu, obstacle: Peers.nbdcopyAndQEMU) {
                    try await onto(allocated: false) { try await peers.nbdcopyToQEMU(source, target: target).values }
                },
            ],
            rows: [
                FigureContest.Row(
                    thin, "s", value("ours"), against: value("cp --sparse=auto"), goal: .ratio(1.6)),
                FigureContest.Row(
                    "\(thin): beside qemu-nbd", "s", value("ours"), against: value(qemu), goal: .ratio(0.6)),
            ], prepare: prepare),
    ]
}

/// The same on the machine's disk, the source not in memory.
func realDiskContests(_ bench: Workbench, _ sites: Sites) -> [FigureContest] {
    let size = bench.size
    let source = bench.disk + "/a.raw"
    let disk = SourceDisk.stopped(source, "raw", size: size, .everything)
    return [
        FigureContest(
            [
                FigureContest.Entrant("ours") {
                    try dropCache(source)
                    let relationship = sites.relationship()
                    let moved = try await sites.point(relationship, [disk])
                    try await sites.forget(relationship)
                    return moved.values
                },
                FigureContest.Entrant("dd iflag=direct of the source's data") {
                    try dropCache(source)
                    let time = try await seconds {
                        try await bench.run("dd", "if=\(source)", "of=/dev/null", "bs=4M", "iflag=direct")
                    }
                    return ["s": time]
                },
            ],
            rows: [
                FigureContest.Row(
                    "first copy on a real disk", "s", FigureContest.Value("ours", "s"),
                    against: FigureContest.Value("dd iflag=direct of the source's data", "s"), goal: .ratio(1.25),
                    note:
                        "Source and target are on one disk, and ours ends with its flush: it reads and writes where the"
                        + " limit only reads.")
            ],
            prepare: { try TestDisk.make(source, size: size) },
            finish: { try? FileManager.default.removeItem(atPath: source) })
    ]
}

/// Writes a file's pages out and lets go of them, so that the next reader goes to the disk.
private func dropCache(_ path: String) throws {
    let file = Output.Reader(path)
    guard let file else { throw BenchError("\(path) cannot be read") }
    file.dropCache()
}
