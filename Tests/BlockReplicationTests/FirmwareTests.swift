import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("UEFI variables and a TPM's state go with a point")
struct FirmwareTests {
    private let uuid = "5f7e2f7e-6b50-4e33-9d5c-1f2b9a3d6c11"

    private func write(_ path: String, _ bytes: Data) throws {
        let url = URL(filePath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try bytes.write(to: url)
    }

    private func mode(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]) as? Int
    }

    /// A host's folder with a VM's state: 528 KiB of variables, and a TPM with what belongs to one run beside it.
    private func host(_ scratch: Scratch) throws -> (files: FirmwareFiles, place: FirmwarePlace) {
        let libvirt = scratch("a")
        var variables = Data(count: 540_672)
        variables[0] = 0x5A
        variables[500_000] = 7
        try write("\(libvirt)/qemu/nvram/orders_VARS.fd", variables)
        try write("\(libvirt)/swtpm/\(uuid)/tpm2/tpm2-00.permall", Data((0..<6000).map { UInt8($0 & 0xFF) }))
        try write("\(libvirt)/swtpm/\(uuid)/tpm2/tpm2-00.volatilestate", Data([1]))
        try write("\(libvirt)/swtpm/\(uuid)/tpm2/.lock", Data())
        return (
            FirmwareFiles(libvirt: libvirt),
            FirmwarePlace(
                vmUUID: uuid, nvram: "\(libvirt)/qemu/nvram/orders_VARS.fd", hasTPM: true, isRunning: true)
        )
    }

    @Test("read, sealed with a point, and laid down elsewhere as it was, for nobody else to read")
    func roundTrip() async throws {
        let scratch = try Scratch()
        let (files, place) = try host(scratch)
        let state = try files.read(place)
        #expect(state.files.map(\.name) == ["nvram", "tpm/tpm2/tpm2-00.permall"])
        #expect(!"\(state)".contains("packed"), "nothing prints a TPM's keys")

        let site = try StoreSite(seed: 3, sizes: ["vda": 1 << 20])
        let store = try site.open()
        let draft = try await store.beginPoint(generation: StoreSite.generation(1), parent: nil, disks: site.plans)
        try site.change(1, draft)
        _ = try await draft.seal(
            domainXML: "<domain/>", kind: .initial, time: Timestamp(milliseconds: 1), firmware: state)
        try await site.cycle(store, 2)
        #expect(try await store.firmware(StoreSite.generation(2)) == nil)
        #expect(try await store.collectGarbage() == [])
        let kept = try #require(try await store.firmware(StoreSite.generation(1)))
        #expect(kept == state)
        let name = try #require(await store.manifest.points.first?.firmware?.file)
        #expect(mode("\(store.path)/\(name)") == 0o600)

        let target = FirmwareFiles(libvirt: scratch("b"))
        // What an earlier VM of that UUID left is no part of it.
        try write("\(scratch("b"))/swtpm/\(uuid)/tpm2/tpm2-00.volatilestate", Data([9]))
        let placed = try target.place(kept, vmUUID: uuid)
        let path = try #require(placed.nvram)
        #expect(placed.hasTPM && path.hasPrefix(scratch("b")))
        #expect(
            FileManager.default.contents(atPath: path)
                == FileManager.default.contents(atPath: try #require(place.nvram)))
        let tpm = "\(scratch("b"))/swtpm/\(uuid)/tpm2"
        #expect(try FileManager.default.contentsOfDirectory(atPath: tpm) == ["tpm2-00.permall"])
        #expect(mode(path) == 0o600 && mode("\(tpm)/tpm2-00.permall") == 0o600 && mode(tpm) == 0o700)
        // A test VM has its own.
        let other = try target.place(kept, vmUUID: "5f7e2f7e-6b50-4e33-9d5c-000000000000")
        #expect(other.nvram != placed.nvram)

        // A bit that flips in the kept file is noticed; with the point its file goes.
        let file = "\(store.path)/\(name)"
        var bytes = try #require(FileManager.default.contents(atPath: file))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(filePath: file))
        let error = await #expect(throws: ReplicationError.self) {
            _ = try await store.firmware(StoreSite.generation(1))
        }
        #expect(error?.code == .damaged)
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [1])
        #expect(try await store.damage(of: StoreSite.generation(1))?.text.contains("firmware") == true)
        try await store.retire([StoreSite.generation(1)])
        #expect(!FileManager.default.fileExists(atPath: file))
    }

    @Test("what is not there, too large, or no plain file is refused; a VM that never ran has nothing yet")
    func refusals() throws {
        let scratch = try Scratch()
        var (files, place) = try host(scratch)
        let path = try #require(place.nvram)
        unlink(path)
        #expect(throws: ReplicationError.self) { try files.read(place) }
        place.isRunning = false
        #expect(try files.read(place).files.map(\.name) == ["tpm/tpm2/tpm2-00.permall"])
        symlink("/etc/passwd", path)
        #expect(throws: ReplicationError.self) { try files.read(place) }
        unlink(path)
        truncate("\(scratch("a"))/swtpm/\(uuid)/tpm2/tpm2-00.permall", off_t(FirmwareState.largestFile + 1))
        #expect(throws: ReplicationError.self) { try files.read(place) }
        files.libvirt = scratch("none")
        #expect(try files.read(place).files.isEmpty)
        for name in ["tpm/tpm2/../../x", "tpm/tpm3/x", "../nvram", "tpm/tpm2/a/b", "", "nvram2"] {
            let bad = FirmwareState(files: [FirmwareFile(name: name, size: 0, checksum: "", packed: [])])
            #expect(throws: ReplicationError.self) { try files.place(bad, vmUUID: uuid) }
        }
        // A few bytes that unpack to more than a host has memory for.
        let large = ["tpm/tpm2/a", "tpm/tpm2/b"].map {
            FirmwareFile(name: $0, size: FirmwareState.largestFile, checksum: "", packed: [])
        }
        #expect(throws: ReplicationError.self) { try files.place(FirmwareState(files: large), vmUUID: uuid) }
        #expect(throws: ReplicationError.self) { try files.place(FirmwareState(files: []), vmUUID: "../../etc") }
        #expect(!FileManager.default.fileExists(atPath: scratch("none")))
    }
}
