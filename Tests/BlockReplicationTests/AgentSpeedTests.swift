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
}
