import Foundation
import Testing

@testable import Hypervisors

@Suite("Networks made for tests")
struct NetworkDefinitionTests {
    private let mark = NetworkDefinition.Mark(relationship: "r<1>", test: "t&2")

    @Test("What is written is read back, and has no way out")
    func roundTrip() throws {
        for host in [
            nil, NetworkDefinition.HostAddress(address: "10.9.8.1", prefix: 24, dhcp: ["10.9.8.5", "10.9.8.9"]),
        ] {
            let made = NetworkDefinition(name: "orders-test-1", bridge: "pt0123456789", host: host, mark: mark)
            let xml = try made.xml()
            #expect(!xml.contains("<forward"))
            #expect(try NetworkDefinition(xml: xml) == made)
        }
    }

    @Test(
        "A network of others carries no mark of ours",
        arguments: [
            "<network><name>x</name><forward mode='nat'/><bridge name='virbr0'/></network>",
            "<network><name>x</name><metadata><a:test xmlns:a='http://o' relationship='r' test='t'/></metadata></network>",
        ])
    func foreign(xml: String) throws { #expect(try NetworkDefinition(xml: xml).mark == nil) }

    @Test("Names that a device cannot have are refused", arguments: ["", "a-name-of-16-char", "Big", "a/b", "a b"])
    func bridges(name: String) {
        #expect(throws: HypervisorError.self) {
            try NetworkDefinition(name: "n", bridge: name, mark: mark).xml()
        }
    }

    @Test("libvirt makes it once, removes it once, and leaves what is not marked so", .serialized, arguments: [0])
    func libvirt(_: Int) async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let name = "net-\(UUID().uuidString.prefix(8))"
        let bridge = "pt" + UUID().uuidString.lowercased().filter(\.isHexDigit).prefix(8)
        let made = NetworkDefinition(name: name, bridge: bridge, mark: mark)
        for _ in 1...2 { try await host.defineNetwork(made) }
        #expect(try await host.networks().contains(name))
        #expect(try await host.networkDefinition(named: name)?.mark == mark)
        let other = NetworkDefinition.Mark(relationship: "r<1>", test: "another")
        await #expect(throws: HypervisorError.self) { try await host.removeNetwork(named: name, mark: other) }
        await #expect(throws: HypervisorError.self) {
            try await host.defineNetwork(NetworkDefinition(name: name, bridge: bridge, mark: other))
        }
        await #expect(throws: HypervisorError.self) { try await host.removeNetwork(named: "default", mark: mark) }
        for _ in 1...2 { try await host.removeNetwork(named: name, mark: mark) }
        #expect(try await host.networkDefinition(named: name) == nil)
    }
}

@Suite("Test VMs and the drive of addresses")
struct TestDefinitionTests {
    private func definition(machine: String = "pc") throws -> DomainDefinition {
        try DomainDefinition(
            xml: """
                <domain type='qemu'><name>orders</name><uuid>u</uuid>
                <os><type arch='x86_64' machine='\(machine)'>hvm</type></os><devices>
                <disk type='file' device='disk'><source file='/i/a'/><target dev='vda' bus='virtio'/></disk>
                <disk type='file' device='cdrom'><target dev='hdd' bus='ide'/><readonly/></disk>
                <interface type='network'><mac address='52:54:00:00:00:01'/><source network='gold'/></interface>
                <interface type='network'><mac address='52:54:00:00:00:02'/><source network='gold'/></interface>
                </devices></domain>
                """)
    }

    @Test("Each NIC of a test VM has its own address and its own network, or none")
    func nics() throws {
        var test = try definition()
        try test.becomeTest(
            name: "orders-test", uuid: "t",
            nics: [(mac: "52:54:00:00:09:01", network: "bubble"), (mac: "52:54:00:00:09:02", network: nil)])
        #expect(test.nics.map(\.mac) == ["52:54:00:00:09:01", "52:54:00:00:09:02"])
        #expect(test.nics.map(\.network) == ["bubble", nil])
        #expect(test.nics.map(\.linkIsUp) == [true, false])
        #expect(test.name == "orders-test" && test.uuid == "t")
        #expect(!test.xml.contains("gold"))
    }

    @Test(
        "The drive is put in once, on the machine's own bus, and taken out without a trace",
        arguments: [
            ("pc", "hdc"), ("pc-i440fx-7.2", "hdc"), ("pc-q35-7.2", "sdz"),
        ])
    func seed(machine: String, target: String) throws {
        let plain = try definition(machine: machine)
        var seeded = plain
        for path in ["/s/1.iso", "/s/2.iso"] { try seeded.setSeed(path: path) }
        #expect(seeded.seed == "/s/2.iso")
        let drive = try #require(seeded.disks.last)
        #expect(drive.target == target && drive.device == "cdrom" && drive.isReadOnly && !drive.isWritableFile)
        #expect(seeded.disks.count == plain.disks.count + 1)
        seeded.removeHostState()
        #expect(seeded.seed != nil, "the mark outlives what is a run's alone")
        seeded.removeSeed()
        #expect(seeded.disks == plain.disks && seeded.seed == nil)
        #expect(throws: HypervisorError.self) { try seeded.setSeed(path: "relative.iso") }
    }
}
