import BenchFigures
import BlockReplication
import Foundation
import Hypervisors
import Synchronization

/// Figures of running guests, read through libvirt's pull backup.
func guestContests(_ bench: Workbench, _ sites: Sites, _ guests: GuestSite) -> [FigureContest] {
    [runningFirstCopy(bench, sites, guests)] + [5, 20].map { runningChanges(bench, sites, guests, percent: $0) }
        + [1, 8].map { emptyCycle(bench, sites, guests, disks: $0) }
        + [8, 32].map { failover(bench, sites, guests, disks: $0) }
}

/// A running guest of one or more disks, and the export of its backup.
final class RunningGuest: Sendable {
    let name: String
    let uuid = UUID().uuidString.lowercased()
    let images: [String]
    private let bench: Workbench
    private let guests: GuestSite
    private let count = Atomic(0)

    init(_ name: String, images: [String], _ bench: Workbench, _ guests: GuestSite) {
        self.name = name
        self.images = images
        self.bench = bench
        self.guests = guests
    }

    var targets: [String] { GuestSite.targets(images.count) }
    var socket: String { bench("export.sock") }

    func uri(_ target: String = "sda") -> String { "nbd+unix:///\(target)?socket=\(socket)" }

    func start() async throws { try await guests.start(name, uuid: uuid, images: images) }

    func bare() throws -> BareLibvirt { try BareLibvirt(uri: guests.uri, uuid: uuid) }

    /// Ends the guest and removes its images.
    func end() async {
        let host = try? await guests.host()
        try? await host?.destroy(uuid: uuid)
        try? await host?.undefine(uuid: uuid)
        for image in images { try? FileManager.default.removeItem(atPath: image) }
    }

    /// Runs `body` while a backup is open; the checkpoint that was begun with it goes at the end.
    func exporting<Value>(since: String?, _ body: () async throws -> Value) async throws -> Value {
        let bare = try bare()
        let checkpoint = "bench-\(count.add(1, ordering: .relaxed).newValue)"
        try bare.beginBackup(
            since: since, checkpoint: checkpoint, socket: socket, scratch: guests.folder + "/scratch",
            targets: targets)
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try await guests.host().endBackup(uuid: uuid)
        try bare.deleteCheckpoint(checkpoint)
        return try result.get()
    }

    /// The guest's disks as a transfer reads them.
    func disks(size: UInt64, _ extents: SourceDisk.Selection) -> [SourceDisk] {
        targets.map {
            SourceDisk(target: $0, size: size, from: .export(socket: socket, name: $0), extents: extents)
        }
    }
}

private func runningFirstCopy(_ bench: Workbench, _ sites: Sites, _ guests: GuestSite) -> FigureContest {
    let size = bench.size
    let guest = RunningGuest("first", images: [bench("first.qcow2")], bench, guests)
    let (read, chain) = ("that export read into nothing", "nbdcopy -> qemu-nbd")
    let name = "first copy of a running guest"
    return FigureContest(
        [
            FigureContest.Entrant("ours", obstacle: GuestSite.obstacle) {
                bench.warm(size)
                return try await guest.exporting(since: nil) {
                    let relationship = sites.relationship()
                    let moved = try await sites.point(relationship, guest.disks(size: size, .everything))
                    try await sites.forget(relationship)
                    return moved.values
                }
            },
            FigureContest.Entrant(read, obstacle: Peers.nbdcopyAndQEMU) {
                try await guest.exporting(since: nil) {
                    ["s": try await Peers(bench: bench).nbdcopyToNothing(guest.uri())]
                }
            },
            FigureContest.Entrant(chain, obstacle: Peers.nbdcopyAndQEMU) {
                bench.removeFiles("target.raw")
                bench.warm(size)
                try Output(bench("target.raw")).setSize(size)
                defer { bench.removeFiles("target.raw") }
                return try await guest.exporting(since: nil) {
                    try await Peers(bench: bench).nbdcopyToQEMU(guest.uri(), target: bench("target.raw")).values
                }
            },
        ],
        rows: [
            FigureContest.Row(
                name, "s", FigureContest.Value("ours", "s"), against: FigureContest.Value(read, "s"),
                goal: .ratio(1.25),
                note: "The backup is open before the clock starts, for all three."),
            FigureContest.Row(
                "\(name): beside an NBD chain", "s", FigureContest.Value("ours", "s"),
                against: FigureContest.Value(chain, "s"), goal: .ratio(0.65)),
        ],
        prepare: {
            try TestDisk.make(bench("first.raw"), size: size)
            try await bench.run(
                "qemu-img", "convert", "-f", "raw", "-O", "qcow2", bench("first.raw"), bench("first.qcow2"))
            bench.removeFiles("first.raw")
            try await guest.start()
        },
        finish: { await guest.end() })
}

private func runningChanges(
    _ bench: Workbench, _ sites: Sites, _ guests: GuestSite, percent: Int
) -> FigureContest {
    let size = bench.size
    let places = TestDisk.places(percent: percent, size: size)
    let (image, empty, kept) = (bench("running.qcow2"), bench("empty.raw"), bench("virtnbdbackup"))
    let guest = RunningGuest("changed", images: [image], bench, guests)
    // One of its own: virtnbdbackup refuses a VM that has checkpoints of anybody else's.
    let saved = RunningGuest("saved", images: [bench("saved.qcow2")], bench, guests)
    let (read, backup) = ("those extents read into nothing", "virtnbdbackup -l inc")
    let name = "known map, running guest, \(percent) % changed"
    @Sendable func saveAll(_ level: String) async throws {
        // Of the daemon's own namespace: to a socket elsewhere it asks for a password.
        try await bench.run(
            "nsenter", "-m", "-t", String(try guests.daemon()), "virtnbdbackup", "-U", "qemu:///system", "-d",
            saved.name, "-l", level, "-o", kept, "-q", "--noprogress", "-f", bench("virtnbd.sock"))
    }
    return FigureContest(
        [
            FigureContest.Entrant("ours", obstacle: GuestSite.obstacle) {
                let (relationship, first) = (sites.relationship(), Sites.generation())
                let whole = SourceDisk.stopped(empty, "raw", size: size, .everything, target: "sda")
                try await sites.point(relationship, as: first, [whole])
                bench.warm(UInt64(places.count) << 16)
                let moved = try await guest.exporting(since: "start") {
                    try await sites.point(
                        relationship, after: first, guest.disks(size: size, .changed(bitmap: nil, also: [])),
                        number: 2)
                }
                guard moved.bytes == Double(places.count << 16) else {
                    throw BenchError("\(moved.bytes) bytes were sent")
                }
                try await sites.forget(relationship)
                return moved.values
            },
            FigureContest.Entrant(read) {
                try await guest.exporting(since: "start") {
                    let time = try await seconds {
                        try await ExportReader.read(guest.uri(), places.map { $0..<$0 + 65536 })
                    }
                    return ["ms": time * 1000]
                }
            },
            FigureContest.Entrant(
                backup, obstacle: Tool.obstacle(("virtnbdbackup", "virtnbdbackup"), ("nsenter", "util-linux"))
            ) {
                if !FileManager.default.fileExists(atPath: kept) { try await saveAll("full") }
                // What was written before its last checkpoint is saved: the same places are written again.
                try saved.bare().write(at: places, length: 65536, pattern: 9)
                bench.warm(UInt64(places.count) << 16)
                return ["ms": try await seconds { try await saveAll("inc") } * 1000]
            },
        ],
        rows: [
            FigureContest.Row(
                name, "ms", FigureContest.Value("ours", "ms"), against: FigureContest.Value(read, "ms"),
                goal: .ratio(1.3),
                note:
                    "The backup is open before the clock starts; what is read into nothing is known beforehand, where ours"
                    + " asks for the map first."),
            FigureContest.Row(
                "\(name): beside virtnbdbackup", "ms", FigureContest.Value("ours", "ms"),
                against: FigureContest.Value(backup, "ms"), goal: .ratio(0.15),
                note: "virtnbdbackup's time has its own start, and the backup's begin and end, in it; ours has not."),
        ],
        prepare: {
            bench.removeFiles("running.qcow2", "empty.raw")
            try Output(empty).setSize(size)
            for guest in [guest, saved] {
                try await bench.run("qemu-img", "create", "-q", "-f", "qcow2", guest.images[0], String(size))
                try await guest.start()
            }
            try await guests.host().createCheckpoint(uuid: guest.uuid, name: "start", disks: guest.targets)
            try guest.bare().write(at: places, length: 65536, pattern: 8)
        },
        finish: {
            for guest in [guest, saved] { await guest.end() }
            bench.removeFiles("empty.raw", "virtnbdbackup")
        })
}

private func emptyCycle(_ bench: Workbench, _ sites: Sites, _ guests: GuestSite, disks: Int) -> FigureContest {
    let size: UInt64 = 256 << 20
    let guest = RunningGuest(
        "idle", images: GuestSite.targets(disks).map { bench("idle-\($0).qcow2") }, bench, guests)
    let relationship = sites.relationship()
    let newest = Mutex("")
    let marks = Mutex("")
    let name = "empty cycle, \(disks) disk\(disks == 1 ? "" : "s")"
    let bareName = "the same libvirt calls made bare"
    return FigureContest(
        [
            FigureContest.Entrant("ours", obstacle: GuestSite.obstacle) {
                let host = try await guests.host()
                let (previous, next) = (newest.withLock { $0 }, Sites.generation())
                let time = try await seconds {
                    try await sites.point(
                        relationship, as: next, after: previous,
                        guest.disks(size: size, .changed(bitmap: nil, also: []))
                    ) { _ in
                        try await host.beginBackup(
                            uuid: guest.uuid,
                            BackupRequest(
                                since: previous, checkpoint: next, socket: guest.socket,
                                scratchFolder: guests.folder + "/scratch", disks: guest.targets))
                    }
                    try await host.endBackup(uuid: guest.uuid)
                    try await host.deleteCheckpoint(uuid: guest.uuid, name: previous, metadataOnly: false)
                }
                newest.withLock { $0 = next }
                return ["ms": time * 1000]
            },
            FigureContest.Entrant(bareName, obstacle: GuestSite.obstacle) {
                let bare = try guest.bare()
                let (previous, next) = (marks.withLock { $0 }, Sites.generation())
                let time = try await seconds {
                    try bare.beginBackup(
                        since: previous, checkpoint: next, socket: guest.socket, scratch: guests.folder + "/scratch",
                        targets: guest.targets)
                    try bare.abortJob()
                    try bare.deleteCheckpoint(previous)
                }
                marks.withLock { $0 = next }
                // QEMU may let go of the scratch files a little later.
                try await guests.host().endBackup(uuid: guest.uuid)
                return ["ms": time * 1000]
            },
        ],
        rows: [
            FigureContest.Row(
                name, "ms", FigureContest.Value("ours", "ms"), against: FigureContest.Value(bareName, "ms"),
                goal: .ratioPlus(1.3, 20),
                note:
                    "Ours: point opened, backup begun, maps read, point sealed, backup ended, old checkpoint dropped; without"
                    + " the engine's stages.")
        ],
        prepare: {
            for image in guest.images {
                try await bench.run("qemu-img", "create", "-q", "-f", "qcow2", image, String(size))
            }
            try await guest.start()
            let (first, mark) = (Sites.generation(), Sites.generation())
            for name in [first, mark] {
                try await guests.host().createCheckpoint(uuid: guest.uuid, name: name, disks: guest.targets)
            }
            newest.withLock { $0 = first }
            marks.withLock { $0 = mark }
            let empty = bench("empty.raw")
            try Output(empty).setSize(size)
            try await sites.point(
                relationship, as: first,
                guest.targets.map { SourceDisk.stopped(empty, "raw", size: size, .everything, target: $0) })
        },
        finish: {
            await guest.end()
            try? await sites.forget(relationship)
            bench.removeFiles("empty.raw")
        })
}
