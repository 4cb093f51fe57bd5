import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite(
    "How fast points are verified on this machine",
    .enabled(if: ProcessInfo.processInfo.environment["PERILUNE_MEASURE"] != nil, "set PERILUNE_MEASURE=1 to measure"),
    .serialized)
struct VerifySpeedTests {
    private static let mebibytes = 1024

    @Test("both sides of 1 GiB compared, the stored point read, beside xxhsum of both files in parallel: five in turn")
    func verify() async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        try await TwoSites.with(storeB: mount("store")) { sites in
            let raw = mount("disk.raw")
            try await runTool("dd", "if=/dev/urandom", "of=\(raw)", "bs=1M", "count=\(Self.mebibytes)")
            let image = DiskImage(path: raw, format: "raw")
            let first = TwoSites.generation(1)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: Self.mebibytes, .everything)])
            let base = mount("store/points/orders/base-vda.raw")
            var seconds: [String: [Double]] = [:]
            let disk = SourceDisk.stopped(image, mebibytes: Self.mebibytes, .differing)
            for round in 0..<5 {
                let second = TwoSites.generation(2 + round)
                let ticket = try await sites.open(second, after: first, [disk])
                let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
                #expect(moved.differing == 0)
                try await sites.clientB.abandonPoint(relationship: sites.relationship, generation: second)
                seconds["compare both sides", default: []].append(moved.seconds)
                let checked = try await sites.clientB.checkPoints(CheckPoints(relationship: sites.relationship)) { _ in
                }
                seconds["read the stored point", default: []].append(checked.seconds)
                let began = ContinuousClock.now
                async let one = runTool("xxhsum", "-H2", raw)
                async let other = runTool("xxhsum", "-H2", base)
                _ = try await (one, other)
                seconds["xxhsum -H2 of both files", default: []].append((ContinuousClock.now - began) / .seconds(1))
            }
            for (what, times) in seconds.sorted(by: { $0.key < $1.key }) {
                let median = times.sorted()[2]
                let rate = Double(Self.mebibytes) * 1.048576 / 1000 / median
                print("\(what): \(Int(median * 1000)) ms, \(String(format: "%.2f", rate)) GB/s of disk")
            }
        }
    }

    @Test("what checksums cost the writer: 1 GiB in requests of 256 KiB, five in turn")
    func writing() async throws {
        let mount = try Scratch()
        try await runTool("mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", mount.path)
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        let size = UInt64(Self.mebibytes) << 20
        var generator = SeededGenerator(seed: 1)
        let block = ReferenceDisk(size: ReadShape.requestSize)
        block.fill(0, block.size, &generator)
        var seconds: [Bool: [Double]] = [:]
        for round in 0..<5 {
            for keeps in [false, true] {
                let name = mount("p-\(round)-\(keeps)")
                let began = ContinuousClock.now
                let writer = try OverlayWriter(
                    creating: name, size: size, backing: BackingReference(file: "none.raw", format: .raw),
                    sums: keeps ? name + ".sums" : nil)
                for offset in stride(from: 0, to: size, by: ReadShape.requestSize) {
                    try writer.write(block.slice(0, block.size), at: offset)
                }
                _ = try writer.finish()
                seconds[keeps, default: []].append((ContinuousClock.now - began) / .seconds(1))
                for file in [name, name + ".sums"] { unlink(file) }
            }
        }
        for (keeps, times) in seconds {
            print("overlay of 1 GiB \(keeps ? "with" : "without") checksums: \(Int(times.sorted()[2] * 1000)) ms")
        }
    }
}
