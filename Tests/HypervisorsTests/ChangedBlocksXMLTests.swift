import Testing

@testable import Hypervisors

@Suite("XML of backups and checkpoints")
struct ChangedBlocksXMLTests {
    private func definition() throws -> DomainDefinition {
        try DomainDefinition(
            xml: """
                <domain><name>g</name><devices>
                <disk type='file'><driver type='qcow2'/><source file='/a'/><target dev='vda'/></disk>
                <disk type='file'><driver type='qcow2'/><source file='/b'/><target dev='vdb'/></disk>
                <disk type='file'><driver type='raw'/><source file='/c'/><target dev='vdc'/></disk>
                <disk type='file' device='cdrom'><target dev='hda'/></disk>
                </devices></domain>
                """)
    }

    private func request(
        since: String? = nil, socket: String = "/run/s", folder: String = "/scratch", disks: [String] = ["vda"]
    ) -> BackupRequest {
        BackupRequest(since: since, checkpoint: "c2", socket: socket, scratchFolder: folder, disks: disks)
    }

    private func backup(_ request: BackupRequest) throws -> XMLTree {
        let scratch = ChangedBlocksXML.scratchPaths(uuid: "u", request)
        return try XMLTree(parsing: ChangedBlocksXML.backup(request, scratch: scratch, of: definition()))
    }

    @Test("every disk is named, and only the wanted ones take part")
    func disks() throws {
        let full = try backup(request(disks: ["vda", "vdb"]))
        #expect(full.attributes["mode"] == "pull")
        #expect(full.child("incremental") == nil)
        #expect(full.child("server")?.attributes == ["transport": "unix", "socket": "/run/s"])
        let disks = full.child("disks")?.children ?? []
        #expect(disks.map { $0.attributes["name"] } == ["vda", "vdb", "vdc", "hda"])
        #expect(disks.map { $0.attributes["backup"] } == ["yes", "yes", "no", "no"])
        #expect(disks[1].child("scratch")?.attributes["file"] == "/scratch/u-vdb.scratch")
        #expect(disks[1].attributes["exportname"] == "vdb")
        #expect(disks[1].attributes["exportbitmap"] == nil)

        let checkpoint = try XMLTree(
            parsing: ChangedBlocksXML.checkpoint("c<2", disks: ["vdb"], of: definition()))
        #expect(checkpoint.child("name")?.text == "c<2")
        #expect(
            checkpoint.child("disks")?.children.map { $0.attributes["checkpoint"] } == ["no", "bitmap", "no", "no"])
    }

    @Test("an incremental backup exports the changes of each disk under its name")
    func incremental() throws {
        let xml = try backup(request(since: "c1"))
        #expect(xml.child("incremental")?.text == "c1")
        #expect(xml.child("disks")?.children.first?.attributes["exportbitmap"] == "backup-vda")
    }

    @Test(
        "what cannot work is refused before the host is asked",
        arguments: [
            (["vdz"], "/run/s", "/x", HypervisorError.Code.invalidDefinition), ([], "/run/s", "/x", .invalidDefinition),
            (["vdc"], "/run/s", "/x", .unsupported), (["hda"], "/run/s", "/x", .unsupported),
            (["vda"], "relative", "/x", .invalidDefinition), (["vda"], "/run/s", "x", .invalidDefinition),
            (["vda"], "/" + String(repeating: "s", count: 107), "/x", .invalidDefinition),
            (["vda"], "/run/\u{2}", "/x", .invalidDefinition), (["vda"], "/run/s", "/x\u{2}", .invalidDefinition),
        ])
    func refused(_ disks: [String], _ socket: String, _ folder: String, _ code: HypervisorError.Code) throws {
        let error = #expect(throws: HypervisorError.self) {
            try backup(request(socket: socket, folder: folder, disks: disks))
        }
        #expect(error?.code == code)
    }
}
