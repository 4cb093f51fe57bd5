import SiteModel
import Testing

@testable import BlockReplication

@Suite("The disks of a stopped VM are one instant")
struct AgentHeldDisksTests {
    /// Whether a program such as QEMU can open the image for writing.
    private func canStart(_ image: DiskImage) async -> Bool {
        (try? await runTool("qemu-io", "-f", image.format, "-c", "write 0 4k", image.path)) != nil
    }

    @Test("all disks are locked before the first byte is read, and until the last has been sent")
    func locked() async throws {
        try await TwoSites.with { sites in
            var images: [DiskImage] = []
            var disks: [SourceDisk] = []
            for index in 0..<6 {
                // The first is sent whole before the proxy stalls; the last waits for its turn.
                let size = index == 0 ? 3 : 12
                let target = "vd" + String(UnicodeScalar(UInt8(97 + index)))
                var image = try await sites.makeImage(target, mebibytes: size, seed: UInt64(index))
                if index == 5 {
                    let raw = sites.file("raw.img")
                    try await runTool("qemu-img", "convert", "-O", "raw", image.path, raw)
                    image = DiskImage(path: raw, format: "raw")
                }
                images.append(image)
                disks.append(.stopped(image, mebibytes: size, .everything, target: target))
            }
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, disks)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 3 << 19))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let task = Task { await code { _ = try await sites.clientA.sendPoint(request) { _ in } } }
            let firstIsThere = await eventually {
                do {
                    _ = try sites.b.service.incoming[sites.relationship]?.checksums()
                    return false
                } catch let error as ReplicationError { return error.context["disk"] == "vdb" } catch { return false }
            }
            #expect(firstIsThere)
            #expect(await eventually { proxy.hasStalled })
            for (image, disk) in zip(images, disks) {
                #expect(await !canStart(image), "\(disk.target) can be written while the point is being read")
            }
            task.cancel()
            #expect(await task.value == .cancelled)
            for (image, disk) in zip(images, disks) {
                #expect(await canStart(image), "\(disk.target) is still locked")
            }
        }
    }

    @Test("one disk in use refuses the point before anything is sent, and the others are let go")
    func oneInUse() async throws {
        try await TwoSites.with { sites in
            var images: [DiskImage] = []
            for target in ["vda", "vdb"] { images.append(try await sites.makeImage(target, mebibytes: 4)) }
            let disks = zip(images, ["vda", "vdb"]).map {
                SourceDisk.stopped($0, mebibytes: 4, .everything, target: $1)
            }
            let socket = sites.file("writer")
            let writer = try HelperProcess(
                ["qemu-nbd", "--format=qcow2", "--persistent", "--socket=\(socket)", images[1].path],
                outputPath: sites.file("writer.log"))
            defer { writer.end() }
            #expect(
                await eventually { (try? await runTool("nbdinfo", "--size", "nbd+unix://?socket=\(socket)")) != nil })
            let ticket = try await sites.open(TwoSites.generation(1), after: nil, disks)
            let request = SendPoint(ticket: ticket, disks: disks)
            #expect(await code { _ = try await sites.clientA.sendPoint(request) { _ in } } == .busy)
            #expect(await canStart(images[0]))
            writer.end()
            let moved = try await sites.clientA.sendPoint(request) { _ in }
            #expect(moved.checksums.count == 2, "the ticket was not spent on the refused attempt")
        }
    }
}
