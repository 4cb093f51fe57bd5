import Foundation
import Glibc
import SiteModel
import Testing

@testable import BlockReplication

@Suite("A first copy that is carried")
struct AgentCarryingTests {
    private let g = (1...3).map { TwoSites.generation($0) }
    private static let mebibytes = 24

    private func size(_ mebibytes: Int) -> UInt64 { UInt64(mebibytes) << 20 }

    /// Writes a first copy of an image into `out` at site A.
    @discardableResult
    private func export(_ sites: TwoSites, _ generation: String, _ image: DiskImage) async throws -> PointSummary {
        let point = OpenPoint(
            relationship: sites.relationship, vm: sites.vm, generation: generation, previous: nil,
            disks: [DiskGeometry(target: "vda", size: size(Self.mebibytes))])
        let ticket = try await sites.clientA.openExport(
            ExportPoint(point: point, folder: sites.file("out"), name: "orders_1", images: [image]))
        let moved = try await sites.clientA.sendPoint(
            SendPoint(ticket: ticket, disks: [.stopped(image, mebibytes: Self.mebibytes, .everything)])
        ) { _ in }
        return try await sites.clientA.sealPoint(
            SealPoint(
                relationship: sites.relationship, generation: generation, number: 1, cause: .initial,
                at: Timestamp(milliseconds: 1_700_000_000_000), epoch: 1, owner: "a", domainXML: "<domain/>",
                checksums: moved.checksums))
    }

    private func importing(_ sites: TwoSites, _ generation: String, disk: Int = mebibytes) -> ImportPoint {
        ImportPoint(
            relationship: sites.relationship, vm: sites.vm, generation: generation,
            disks: [DiskGeometry(target: "vda", size: size(disk))], folder: sites.file("in"), name: "orders_1",
            epoch: 1, owner: "a")
    }

    private func with(_ body: (TwoSites, DiskImage) async throws -> Void) async throws {
        try await TwoSites.with { sites in
            for folder in ["out", "in"] { mkdir(sites.file(folder), 0o700) }
            try await body(sites, try await sites.makeImage("disk", mebibytes: Self.mebibytes, bitmap: "since"))
        }
    }

    @Test("it is the disk at the target, takes no more room than the data, and changes since then follow by bitmap")
    func whole() async throws {
        try await with { sites, image in
            let exported = try await export(sites, g[0], image)
            #expect(exported.generation == g[0])
            #expect(
                try await sites.clientA.points(relationship: sites.relationship).isEmpty, "the source keeps no point")
            try await runTool("cp", "--recursive", "--sparse=never", sites.file("out/orders_1"), sites.file("in"))
            let imported = try await sites.clientB.importPoint(importing(sites, g[0]))
            #expect(imported == exported)
            #expect(try await sites.clientB.importPoint(importing(sites, g[0])) == imported, "asked again")
            #expect(try await sites.atB(g[0], "vda", equals: image))
            let base = sites.folder + "/b/store/points/\(sites.relationship)/base-vda.raw"
            #expect(try ImageFile(reading: base).allocatedBytes() <= 9 << 20, "zeros are holes again")
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 5M 100k", image.path)
            let disk = SourceDisk.stopped(image, mebibytes: Self.mebibytes, .changed(bitmap: "since", also: []))
            let second = try await sites.cycle(g[1], after: g[0], [disk], number: 2)
            #expect(second.moved.bytes <= 128 << 10)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("one that was exported anew takes the place of the earlier one, which is then refused")
    func again() async throws {
        try await with { sites, image in
            try await export(sites, g[0], image)
            try await runTool("cp", "--recursive", sites.file("out/orders_1"), sites.file("in"))
            try await export(sites, g[1], image)
            #expect(await code { _ = try await sites.clientB.importPoint(importing(sites, g[1])) } == .damaged)
            try await runTool("rm", "--recursive", sites.file("in/orders_1"))
            try await runTool("cp", "--recursive", sites.file("out/orders_1"), sites.file("in"))
            _ = try await sites.clientB.importPoint(importing(sites, g[1]))
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test(
        "a copy in which one byte is other, or a file is missing, leaves nothing at the target",
        arguments: ["base-vda.raw", "manifest.json", "checksums.json", "domain", "missing", "other disk"])
    func spoilt(what: String) async throws {
        try await with { sites, image in
            try await export(sites, g[0], image)
            let folder = sites.file("out/orders_1/\(sites.relationship)")
            switch what {
            case "missing": unlink(folder + "/base-vda.raw")
            case "other disk": break
            default:
                let path = folder + "/" + (what == "domain" ? "\(g[0]).xml" : what)
                let file = open(path, O_RDWR)
                var byte: UInt8 = 0
                pread(file, &byte, 1, 3)
                byte ^= 0x20
                pwrite(file, &byte, 1, 3)
                close(file)
            }
            try await runTool("cp", "--recursive", sites.file("out/orders_1"), sites.file("in"))
            let request = importing(sites, g[0], disk: what == "other disk" ? 12 : Self.mebibytes)
            let failed = await code { _ = try await sites.clientB.importPoint(request) }
            #expect(failed != nil)
            if what == "base-vda.raw" || what == "domain" { #expect(failed == .checksumMismatch) }
            #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
            let left =
                (try? FileManager.default.contentsOfDirectory(
                    atPath: sites.folder + "/b/store/points/\(sites.relationship)")) ?? []
            #expect(left.allSatisfy { $0 == "manifest.json" }, "\(left)")
            // The network is still a way.
            try await sites.cycle(g[2], after: nil, [.stopped(image, mebibytes: Self.mebibytes, .everything)])
            #expect(try await sites.atB(g[2], "vda", equals: image))
        }
    }

    @Test("a folder that is missing, unnamed, or the agent's own is refused before anything is written")
    func prerequisites() async throws {
        try await with { sites, image in
            func open(_ folder: String, name: String = "orders_1", previous: String? = nil) async -> ReplicationError
                .Code?
            {
                await code {
                    _ = try await sites.clientA.openExport(
                        ExportPoint(
                            point: OpenPoint(
                                relationship: sites.relationship, vm: sites.vm, generation: g[0], previous: previous,
                                disks: [DiskGeometry(target: "vda", size: size(Self.mebibytes))]), folder: folder,
                            name: name, images: [image]))
                }
            }
            #expect(await open(sites.file("nowhere")) == .notFound)
            #expect(await open(image.path) == .notFound)
            #expect(await open("out") == .invalidArgument)
            #expect(await open(sites.file("out/../out")) == .invalidArgument)
            #expect(await open(sites.file("a/store")) == .invalidArgument)
            #expect(await open(sites.file("a/store/points")) == .invalidArgument)
            #expect(await open(sites.file("a")) == .invalidArgument, "the store lies in it")
            for name in ["", ".", "..", "a/b", "a b"] {
                #expect(await open(sites.file("out"), name: name) == .invalidArgument, "\(name)")
            }
            #expect(await open(sites.file("out"), previous: g[1]) == .invalidArgument)
            let written = try FileManager.default.contentsOfDirectory(atPath: sites.file("out"))
            #expect(written.isEmpty)
        }
    }
}
