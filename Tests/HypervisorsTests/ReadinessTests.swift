import Testing

@testable import Hypervisors

@Suite("How ready a definition is to be replicated")
struct ReadinessTests {
    private func definition(_ devices: String, os: String = "") throws -> DomainDefinition {
        try DomainDefinition(xml: "<domain><name>x</name>\(os)<devices>\(devices)</devices></domain>")
    }

    @Test("A NIC whose network led to a bridge is still on its network")
    func bridge() throws {
        let live = try definition(
            "<interface type='bridge'><source network='gold' bridge='br0'/></interface>"
                + "<interface type='bridge'><source bridge='br1'/></interface>")
        #expect(live.nics.map(\.network) == ["gold", nil])
    }

    @Test("Encryption is seen in the disk and in its source")
    func encryption() throws {
        let disks = try definition(
            "<disk><source file='/a'/><target dev='vda'/><encryption format='luks'/></disk>"
                + "<disk><source file='/b'><encryption format='luks'/></source><target dev='vdb'/></disk>"
                + "<disk><source file='/c'/><target dev='vdc'/></disk>")
        #expect(disks.encryptedDisks == ["vda", "vdb"])
    }

    @Test("What of the host is in the guest's hands is named")
    func passedThrough() throws {
        let mixed = try definition(
            "<hostdev type='usb'/><filesystem><target dir='share'/></filesystem><memory model='nvdimm'/>"
                + "<disk type='block' device='lun'><source dev='/dev/sdb'/><target dev='sda'/></disk>")
        #expect(mixed.passedThrough.count == 4)
        #expect(try definition("<disk><source file='/a'/><target dev='vda'/></disk>").passedThrough == [])
    }

    @Test("A guest agent's channel is found, and whether somebody has it open")
    func channel() throws {
        let name = "name='org.qemu.guest_agent.0'"
        let open = try definition("<channel type='unix'><target type='virtio' \(name) state='connected'/></channel>")
        #expect(open.hasGuestAgentChannel && open.guestAgentIsConnected)
        let closed = try definition(
            "<channel type='unix'><target type='virtio' \(name) state='disconnected'/></channel>")
        #expect(closed.hasGuestAgentChannel && !closed.guestAgentIsConnected)
        #expect(
            try !definition("<channel type='spicevmc'><target type='virtio' name='x'/></channel>").hasGuestAgentChannel)
    }

    @Test("A host without QEMU says what it can; the rest is not known")
    func testDriver() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let capabilities = try await host.capabilities()
        #expect(capabilities.activeNetworks.contains("default"))
        let domain = try #require(try await host.domain(named: "test"))
        #expect(try await host.readiness(uuid: domain.uuid) == GuestReadiness(agent: .absent, snapshots: 0))
        await #expect(throws: HypervisorError.self) {
            _ = try await host.readiness(uuid: "00000000-0000-4000-8000-000000000000")
        }
    }
}
