import Foundation
import TestSupport
import Testing

@testable import Hypervisors

/// libvirt's own in-process driver: enough for inventory, definition and power, without a daemon.
@Suite("libvirt driver on test:///default", .serialized)
struct LibvirtTestDriverTests {
    /// Each connection to test:///default shares one state in the process, so VMs are named apart.
    private func definition(_ name: String, uuid: String = UUID().uuidString.lowercased()) -> String {
        """
        <domain type='test'><name>\(name)</name><uuid>\(uuid)</uuid><memory unit='MiB'>64</memory>
        <os><type arch='i686'>hvm</type></os></domain>
        """
    }

    @Test("a host says who it is and which networks it has")
    func information() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let information = try await host.information()
        #expect(!information.hostName.isEmpty)
        #expect(information.libraryVersion.split(separator: ".").count == 3)
        #expect(try await host.networks().contains("default"))
    }

    @Test("a VM is defined, found, started, suspended, resumed, shut down and undefined; each twice without harm")
    func life() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let uuid = UUID().uuidString.lowercased()
        for _ in 1...2 { try await host.define(xml: definition("life", uuid: uuid)) }
        let defined = try #require(try await host.domain(named: "life"))
        #expect(defined.uuid == uuid)
        #expect(defined.power == .off)
        #expect(defined.memoryMiB == 64)
        #expect(try await host.domains().map(\.uuid).contains(uuid))
        func power() async throws -> PowerState? { try await host.domain(uuid: uuid)?.power }

        for _ in 1...2 { try await host.start(uuid: uuid, paused: false) }
        #expect(try await power() == .running)
        for _ in 1...2 { try await host.suspend(uuid: uuid) }
        #expect(try await power() == .paused)
        for _ in 1...2 { try await host.resume(uuid: uuid) }
        #expect(try await power() == .running)
        for _ in 1...2 { #expect(try await host.shutDown(uuid: uuid, limit: .seconds(5))) }
        #expect(try await power() == .off)
        try await host.start(uuid: uuid, paused: false)
        for _ in 1...2 { try await host.destroy(uuid: uuid) }
        #expect(try await power() == .off)
        for _ in 1...2 { try await host.undefine(uuid: uuid) }
        #expect(try await power() == nil)
    }

    @Test("ownership is nil, then what was written, and survives a new definition only if it carries it")
    func ownership() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let uuid = UUID().uuidString.lowercased()
        try await host.define(xml: definition("owned", uuid: uuid))
        #expect(try await host.ownership(uuid: uuid) == nil)
        let record = Ownership(relationship: "r<1>", owner: "h&'1", epoch: 7)
        try await host.setOwnership(uuid: uuid, record)
        #expect(try await host.ownership(uuid: uuid) == record)
        let stored = try DomainDefinition(xml: try await host.inactiveXML(uuid: uuid))
        #expect(stored.ownership == record)
        try await host.define(xml: stored.xml)
        #expect(try await host.ownership(uuid: uuid) == record)
        try await host.define(xml: definition("owned", uuid: uuid))
        #expect(try await host.ownership(uuid: uuid) == nil)
        try await host.undefine(uuid: uuid)
    }

    @Test("calls on a VM that is not there say so; looking for it finds nothing")
    func unknown() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        let uuid = UUID().uuidString
        #expect(try await host.domain(uuid: uuid) == nil)
        #expect(try await host.domain(named: "nobody") == nil)
        let error = await #expect(throws: HypervisorError.self) { try await host.start(uuid: uuid, paused: false) }
        #expect(error?.code == .unknownDomain)
        let malformed = await #expect(throws: HypervisorError.self) { try await host.destroy(uuid: "not-a-uuid") }
        #expect(malformed?.code == .unknownDomain)
    }

    @Test("a definition that is none is refused before the host sees it")
    func invalid() async throws {
        let host = try LibvirtHypervisor(uri: "test:///default")
        for xml in [
            "<network/>",
            "<domain type='qemu'><name>x</name><devices><interface type='null'/></devices></domain>",
        ] {
            let error = await #expect(throws: HypervisorError.self) { try await host.define(xml: xml) }
            #expect(error?.code == .invalidDefinition)
        }
    }
}

@Suite("Reaching a host")
struct ReachingTests {
    @Test(
        "a URI that would run a program, or is none, is refused",
        arguments: [
            "", "no uri at all", "qemu+ext:///system?command=/bin/sh", "qemu+ssh://h/system?netcat=/tmp/x",
            "qemu+ssh://h/system?Command=x", "qemu+libssh2://h/system?proxy=x",
        ])
    func refused(_ uri: String) {
        let error = #expect(throws: HypervisorError.self) { try LibvirtHypervisor(uri: uri) }
        #expect(error?.code == .unsupported)
    }

    @Test("the URI is shown without password and without query but the socket")
    func display() throws {
        let host = try LibvirtHypervisor(uri: "qemu+ssh://me:secret@h:22/system?keyfile=/k&socket=/run/s")
        #expect(host.displayURI == "qemu+ssh://me@h:22/system?socket=/run/s")
    }

    @Test("a host without a daemon is unreachable at once, with the URI and no secret in the message")
    func absent() async throws {
        let host = try LibvirtHypervisor(
            uri: "qemu+unix:///system?socket=/nonexistent/sock&keyfile=hidden", openLimit: .seconds(120))
        let begun = ContinuousClock.now
        let error = await #expect(throws: HypervisorError.self) { try await host.domains() }
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("/nonexistent/sock") == true)
        #expect(error?.message.contains("hidden") == false)
        #expect(ContinuousClock.now - begun < .seconds(60), "it does not wait for the limit")
    }

    @Test("a host that takes the connection and never answers is unreachable after the limit, all callers are told")
    func silent() async throws {
        let folder = try Scratch()
        defer { folder.remove() }
        let listener = try SilentListener(path: folder.path + "/s")
        defer { listener.close() }
        let host = try LibvirtHypervisor(
            uri: "qemu+unix:///system?socket=\(listener.path)", openLimit: .milliseconds(200))
        // More calls than there may be hanging threads: the later ones are refused at once.
        for _ in 1...3 {
            await withTaskGroup(of: HypervisorError.Code?.self) { group in
                for _ in 1...3 {
                    group.addTask {
                        do {
                            _ = try await host.domains()
                            return nil
                        } catch { return (error as? HypervisorError)?.code }
                    }
                }
                for await code in group { #expect(code == .unreachable) }
            }
        }
    }
}
