import BenchFigures
import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization

/// One instant of all disks of a VM, and of several VMs.
func instantContests(_ bench: Workbench, _ guests: GuestSite) -> [FigureContest] {
    [oneInstant(bench, guests, vms: 1, disks: 8), oneInstant(bench, guests, vms: 4, disks: 2)]
}

private func oneInstant(_ bench: Workbench, _ guests: GuestSite, vms: Int, disks: Int) -> FigureContest {
    let all = (0..<vms).map { vm in
        RunningGuest(
            "instant-\(vm)", images: GuestSite.targets(disks).map { bench("instant-\(vm)-\($0).qcow2") }, bench, guests)
    }
    let links = Mutex<[(own: LibvirtHypervisor, rescue: LibvirtHypervisor)]>([])
    let peer = "the same backup-begin calls made bare, all at once"
    let hold = vms == 1 ? nil : GuestHold.paused
    @Sendable func socket(_ index: Int) -> String { bench("instant-\(index).sock") }
    @Sendable func scratch(_ index: Int) throws -> String {
        let folder = "\(guests.folder)/scratch/\(index)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }
    @Sendable func end() async throws {
        for guest in all {
            try await guests.host().endBackup(uuid: guest.uuid)
            try guest.bare().deleteCheckpoint("instant-\(guest.name)")
        }
    }
    let name = vms == 1 ? "one instant for \(disks) disks of a VM" : "one instant for \(vms) VMs of \(disks) disks"
    var rows = [
        FigureContest.Row(
            name, "ms", FigureContest.Value("ours", "ms"), against: FigureContest.Value(peer, "ms"),
            goal: .ratio(1.2),
            note: vms == 1
                ? "Both are one call of libvirt, and the instant within it is one transaction of QEMU; nobody is held."
                : "From the first call that begins a backup until the last has returned; in ours all VMs are paused then."
        )
    ]
    if vms > 1 {
        rows.append(
            FigureContest.Row(
                "\(name): paused for", "ms", FigureContest.Value("ours", "held"),
                against: FigureContest.Value(peer, "ms"),
                note: "From the first call that pauses one until the last goes on."))
    }
    return FigureContest(
        [
            FigureContest.Entrant("ours", obstacle: GuestSite.obstacle) {
                let instant = try all.enumerated().map { index, guest in
                    let link = links.withLock { $0[index] }
                    return InstantGuest(
                        name: guest.name, uuid: guest.uuid, own: link.own, rescue: link.rescue,
                        request: BackupRequest(
                            since: nil, checkpoint: "instant-\(guest.name)", socket: socket(index),
                            scratchFolder: try scratch(index), disks: guest.targets))
                }
                var values: [String: Double] = [:]
                if let hold {
                    let taken = await InstantTaker(clock: SystemClock(), executor: nil).take(instant, as: hold)
                    for begun in taken.begun { try begun.get() }
                    guard taken.holdFailure == nil, taken.wasHeld.allSatisfy(\.self), taken.begun.count == vms else {
                        throw BenchError(taken.holdFailure ?? "a guest was let go too early")
                    }
                    values = ["ms": taken.spread * 1000, "held": taken.seconds * 1000]
                } else {
                    let time = try await seconds {
                        try await instant[0].own.beginBackup(uuid: instant[0].uuid, instant[0].request)
                    }
                    values = ["ms": time * 1000]
                }
                try await end()
                return values
            },
            FigureContest.Entrant(peer, obstacle: GuestSite.obstacle) {
                let bares = try all.map { try $0.bare() }
                let folders = try all.indices.map(scratch)
                let time = try await seconds {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for (index, guest) in all.enumerated() {
                            group.addTask {
                                try await onQueue {
                                    try bares[index].beginBackup(
                                        since: nil, checkpoint: "instant-\(guest.name)", socket: socket(index),
                                        scratch: folders[index], targets: guest.targets)
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                try await end()
                return ["ms": time * 1000]
            },
        ],
        rows: rows,
        prepare: {
            for guest in all {
                for image in guest.images {
                    try await bench.run("qemu-img", "create", "-q", "-f", "qcow2", image, String(256 << 20))
                }
                try await guest.start()
                let link = (
                    own: try LibvirtHypervisor(uri: guests.uri, openLimit: .seconds(60)),
                    rescue: try LibvirtHypervisor(uri: guests.uri, openLimit: .seconds(60))
                )
                for each in [link.own, link.rescue] { _ = try await each.domains() }
                links.withLock { $0.append(link) }
            }
        },
        finish: {
            links.withLock { $0 = [] }
            for guest in all { await guest.end() }
        })
}

/// Runs a body that blocks on a thread that is nobody else's meanwhile.
private func onQueue(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        DispatchQueue(label: "bench").async { continuation.resume(with: Result { try body() }) }
    }
}
