import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite(
    "How fast two agents are on this machine",
    .enabled(if: ProcessInfo.processInfo.environment["PERILUNE_MEASURE"] != nil, "set PERILUNE_MEASURE=1 to measure"),
    .serialized)
struct AgentSpeedTests {
    @Test("first copy of 1 GiB, then a comparison by hash", arguments: ["raw", "qcow2"])
    func speed(format: String) async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        try await TwoSites.with(storeB: mount("store")) { sites in
            let raw = mount("disk.raw")
            try await runTool("dd", "if=/dev/urandom", "of=\(raw)", "bs=1M", "count=1024")
            var image = DiskImage(path: raw, format: "raw")
            if format == "qcow2" {
                let path = mount("disk.qcow2")
                try await runTool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path)
                image = DiskImage(path: path, format: "qcow2")
            }
            let first = try await sites.cycle(
                TwoSites.generation(1), after: nil, [.stopped(image, mebibytes: 1024, .everything)])
            try await runTool("qemu-io", "-f", format, "-c", "write -P 7 100M 10M", image.path)
            let second = try await sites.cycle(
                TwoSites.generation(2), after: TwoSites.generation(1),
                [.stopped(image, mebibytes: 1024, .differing)])
            #expect(second.moved.bytes == 10 << 20)
            let rate = { (seconds: Double) in Int(1024 * 1.048576 / seconds) }
            print(
                "\(format): first copy \(rate(first.moved.seconds)) MB/s, comparison \(rate(second.moved.seconds)) MB/s"
            )
        }
    }

    /// Disks of one transfer, which take 1 GiB together.
    @Test("a first copy of 1 GiB with TLS and without: medians of five in turn", arguments: [1, 4])
    func encryption(disks: Int) async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        let size = 1024 / disks
        var sources: [SourceDisk] = []
        for index in 0..<disks {
            let raw = mount("disk-\(index).raw")
            try await runTool("dd", "if=/dev/urandom", "of=\(raw)", "bs=1M", "count=\(size)")
            sources.append(
                .stopped(DiskImage(path: raw, format: "raw"), mebibytes: size, .everything, target: "vd\(index)"))
        }
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let tls = try authorities.issue(.good, to: "a")
        var seconds: [Bool: [Double]] = [:]
        for round in 0..<5 {
            for encrypted in [false, true] {
                let security: DataSecurity = encrypted ? tls : .local
                let store = mount("store-\(round)-\(encrypted)")
                try await TwoSites.with(storeB: store, security: (a: security, b: security)) { sites in
                    let moved = try await sites.cycle(TwoSites.generation(1), after: nil, sources).moved
                    seconds[encrypted, default: []].append(moved.seconds)
                }
                try FileManager.default.removeItem(atPath: store)
            }
        }
        let medians = [false, true].map { (seconds[$0] ?? []).sorted()[2] }
        print(
            "\(disks) disks: \(Int(medians[0] * 1000)) ms plain, \(Int(medians[1] * 1000)) ms with TLS:",
            "\((medians[1] / medians[0] * 100).rounded() / 100) times", seconds)
    }

    /// What of each dirty granule is rewritten: all, or one block.
    @Test("5 % of 1 GiB changed, asked about block by block and not: medians of five in turn", arguments: [64, 4])
    func changedCycle(kibibytes: Int) async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        let raw = mount("disk.raw")
        try await runTool("dd", "if=/dev/urandom", "of=\(raw)", "bs=1M", "count=1024")
        let image = DiskImage(path: mount("disk.qcow2"), format: "qcow2")
        try await runTool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image.path)
        var seconds: [Bool: [Double]] = [:]
        var bytes: [Bool: UInt64] = [:]
        for round in 0..<5 {
            for compares in [true, false] {
                var limits = AgentLimits()
                limits.comparesBlocks = compares
                try await TwoSites.with(storeB: mount("store-\(round)-\(compares)"), limits: limits) { sites in
                    let generation = TwoSites.generation
                    try await sites.cycle(generation(1), after: nil, [.stopped(image, mebibytes: 1024, .everything)])
                    let bitmap = "b\(round)\(compares)"
                    try await runTool("qemu-img", "bitmap", "--add", image.path, bitmap)
                    let writes = stride(from: round, to: 1 << 14, by: 20).flatMap {
                        ["-c", "write -P \(round * 2 + (compares ? 1 : 2)) \($0 * 64)k \(kibibytes)k"]
                    }
                    let written = try await Program.result(of: ["qemu-io", "-f", "qcow2"] + writes + [image.path])
                    #expect(written.status == 0)
                    let moved = try await sites.cycle(
                        generation(2), after: generation(1),
                        [.stopped(image, mebibytes: 1024, .changed(bitmap: bitmap, also: []))]
                    ).moved
                    #expect(try await sites.atB(generation(2), "vda", equals: image))
                    seconds[compares, default: []].append(moved.seconds)
                    bytes[compares] = moved.bytes
                }
                try FileManager.default.removeItem(atPath: mount("store-\(round)-\(compares)"))
            }
        }
        for compares in [true, false] {
            let sorted = (seconds[compares] ?? []).map { Int($0 * 1000) }.sorted()
            print(
                "\(kibibytes) KiB of each granule, \(compares ? "asked" : "unasked"): \(sorted[2]) ms of \(sorted),",
                "\((bytes[compares] ?? 0) >> 10) KiB sent")
        }
    }

    /// A link in Mbit/s, 0 for none between; and how much of each 64 bytes is random.
    @Test(
        "a first copy with and without compression: medians of three in turn, of five without a link",
        arguments: [(100, 16), (100, 64), (1000, 16), (1000, 64), (0, 16), (0, 64)])
    func packing(megabits: Int, random: Int) async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        let mebibytes = megabits == 100 ? 32 : 512
        let image = DiskImage(path: mount("disk.raw"), format: "raw")
        var words = [UInt64](repeating: 0x2064_6F67_206C_6F6C, count: mebibytes << 17)
        var generator = SeededGenerator(seed: 1)
        for index in words.indices where index % 8 < random / 8 { words[index] = generator.next() }
        try words.withUnsafeBytes { try ImageFile(creating: image.path).write($0, at: 0) }
        let modes: [AgentLimits.Packing] = [.never, .whenQuicker, .always]
        var seconds = [[Double]](repeating: [], count: 3)
        var sent = [0, 0, 0]
        for round in 0..<(megabits == 0 ? 5 : 3) {
            for (index, mode) in modes.enumerated() {
                var limits = AgentLimits()
                limits.packing = mode
                let store = mount("store-\(round)-\(index)")
                try await TwoSites.with(storeB: store, limits: limits) { sites in
                    let disk = SourceDisk.stopped(image, mebibytes: mebibytes, .everything)
                    var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
                    let proxy = try FrameProxy(
                        to: ticket.address, bytesPerSecond: megabits == 0 ? .infinity : Double(megabits) * 125_000)
                    defer { proxy.end() }
                    // Without a link to stand for, nothing stands between.
                    if megabits > 0 { ticket.address = proxy.address }
                    let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
                    seconds[index].append(moved.seconds)
                    sent[index] = proxy.counts.forth
                }
                try FileManager.default.removeItem(atPath: store)
            }
        }
        for (index, mode) in modes.enumerated() {
            let sorted = seconds[index].map { Int($0 * 1000) }.sorted()
            print(
                "\(megabits) Mbit/s, \(random) of 64 bytes random, \(mebibytes) MiB, \(mode): \(sorted[sorted.count / 2]) ms of \(sorted),",
                "\(sent[index] >> 20) MiB on the link")
        }
    }
}
