import BlockReplication
import Foundation
import Hypervisors
import Testing

@testable import RecoveryEngine

@Suite("What libvirt's hook asks before a VM starts")
struct StartGuardTests {
    private static let relationship = "11111111-2222-4333-8444-555555555555"
    private static let uuid = "aaaaaaaa-2222-4333-8444-555555555555"

    /// A host `a` with what it has on disk: its record of the VM, and what was confirmed since the boot.
    private struct Files {
        var record: OwnershipRecord? = record()
        var confirmed: String? = "1 a\n"
        /// What stands in the record's file instead.
        var text: String?

        static func record(owner: String = "a", epoch: Int = 1, host: String? = "a") -> OwnershipRecord {
            OwnershipRecord(relationship: relationship, vmUUID: uuid, owner: owner, epoch: epoch, host: host)
        }

        func write(below folder: String) throws {
            let files = FileManager.default
            for name in ["ownership", "confirmed"] {
                try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
            }
            let path = "\(folder)/ownership/\(relationship).json"
            if let text {
                try Data(text.utf8).write(to: URL(filePath: path))
            } else if let record {
                try JSONEncoder().encode(record).write(to: URL(filePath: path))
            }
            try confirmed.map { try Data($0.utf8).write(to: URL(filePath: "\(folder)/confirmed/\(relationship)")) }
        }
    }

    /// The refusal of a domain at a host with these files; nil when it starts.
    private func refusal(_ files: Files, _ xml: String) throws -> String? {
        let folder = "/tmp/perilune-guard-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try files.write(below: folder)
        return StartGuard(records: OwnershipRecords(reading: folder, runtime: folder)).refusal(domainXML: xml)
    }

    private func xml(
        _ mark: Ownership? = Ownership(relationship: relationship, owner: "a", epoch: 1), uuid: String = uuid
    )
        throws -> String
    {
        var definition = try DomainDefinition(
            xml: "<domain type='qemu'><name>orders</name><uuid>\(uuid)</uuid><devices/></domain>")
        if let mark { try definition.setOwnership(mark) }
        return definition.xml
    }

    @Test("Its owner's VM starts, marked or found by its UUID; so does one that nobody protects")
    func starts() throws {
        #expect(try refusal(Files(), xml()) == nil)
        #expect(try refusal(Files(), xml(nil)) == nil, "the definition lost its mark, the record is there")
        #expect(try refusal(Files(), xml(nil, uuid: UUID().uuidString)) == nil, "another VM")
        #expect(try refusal(Files(record: nil, confirmed: nil), xml(nil)) == nil)
        #expect(try refusal(Files(), "<domain/>") == nil, "what libvirt hands over is its own business")
    }

    @Test("A record of another host, of another epoch, unconfirmed, gone or damaged refuses, and says what to do")
    func refuses() throws {
        var later = Files(record: Files.record(owner: "b", epoch: 2), confirmed: "2 b\n")
        #expect(try refusal(later, xml())?.contains("another host has owned it since epoch 2") == true)
        #expect(try refusal(later, xml(nil))?.contains("another host has owned it") == true, "found by its UUID")
        // The host owns the VM again, on other disks than this definition names.
        later = Files(record: Files.record(epoch: 3), confirmed: "3 a\n")
        #expect(try refusal(later, xml())?.contains("of epoch 1, and the present epoch is 3") == true)
        for confirmed in [nil, "1 b\n", "0 a\n", "1 a", ""] {
            let found = try refusal(Files(confirmed: confirmed), xml())
            #expect(found?.contains("start-owned --alone") == true, "confirmed by \(confirmed ?? "nothing")")
        }
        #expect(try refusal(Files(record: nil), xml())?.contains("no record of who owns it") == true)
        let damaged = try refusal(Files(text: "{"), xml())
        #expect(damaged?.contains("cannot be read") == true && damaged?.contains("remove the file") == true)
        #expect(try refusal(Files(record: Files.record(host: nil)), xml())?.contains("older version") == true)
    }

    @Test("A copy of a protected VM under another UUID is not started on the first one's record")
    func copy() throws {
        let found = try refusal(Files(), xml(uuid: UUID().uuidString.lowercased()))
        #expect(found?.contains("the ownership record of another VM") == true)
        let upper = try xml(uuid: Self.uuid.uppercased())
        #expect(try refusal(Files(), upper) == nil, "a UUID is the same in capitals")
    }

    @Test("A mark that cannot be read refuses: nothing is concluded from it")
    func unreadableMark() throws {
        let marked = try xml()
        let epoch = marked.replacingOccurrences(of: "epoch=\"1\"", with: "epoch=\"one\"")
            .replacingOccurrences(of: "epoch='1'", with: "epoch='one'")
        try #require(epoch != marked)
        #expect(try refusal(Files(), epoch)?.contains("cannot be read") == true)
        let broken = marked.replacingOccurrences(of: "</domain>", with: "")
        #expect(try refusal(Files(), broken)?.contains("its definition cannot be read") == true)
        let elsewhere = try xml(Ownership(relationship: "../../etc", owner: "a", epoch: 1))
        #expect(try refusal(Files(), elsewhere) != nil, "a name that leads elsewhere")
    }

    @Test("The hook's script asks only at `prepare`, is put beside other hooks, and is written anew as a whole")
    func installation() throws {
        let root = "/tmp/perilune-hooks-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        let hook = HookInstallation(
            libvirtRoot: root, program: "/opt/it's/perilune", store: "/store", runtime: "/run/perilune")
        #expect(try !hook.install(), "libvirt has to be started anew once")
        #expect(try hook.install(), "now it has hooks")
        let text = try String(contentsOfFile: hook.path, encoding: .utf8)
        #expect(text.contains(#"program='/opt/it'\''s/perilune'"#), "quoted for the shell")
        let mode = try FileManager.default.attributesOfItem(atPath: hook.path)[.posixPermissions] as? Int
        #expect(mode == 0o755)
        let here = HookInstallation(libvirtRoot: root, program: "perilune", store: "/s", runtime: "/r")
        let error = #expect(throws: EngineError.self) { _ = try here.install() }
        #expect(error?.message.contains("absolute") == true)
    }
}
