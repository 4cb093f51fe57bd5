import BlockReplication
import Foundation
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

/// One writable copy: what hosts do that were away while their VMs went elsewhere.
@Suite(
    "Ownership at hosts that were away, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct OwnershipTests {
    @Test("A lost host that returns starts what it owns once the vault confirms it, and never its former copies")
    func returnOfALostHost() async throws {
        let moved = LabGuest(name: "web", address: "10.77.0.12")
        let stayed = LabGuest(name: "orders", address: "10.77.0.11")
        try await RecoveryLab.with("owned", guests: [moved, stayed]) { site in
            let a = try await site.engine.hosts.hypervisor(site.hostA.id)
            let uuid = try #require(try await a.domain(named: stayed.name)?.uuid)
            try await a.setAutostart(uuid: uuid, true)
            for guest in [moved, stayed] { _ = try await site.replicate(guest) }
            #expect(
                try await a.domain(uuid: uuid)?.autostart == false, "libvirt does not start a protected VM by itself")
            #expect(try await site.watch() == [], "nothing is amiss")

            try await site.lab.lose(.a)
            _ = try await site.perform(.unplannedFailover, on: moved, ["source": "declared lost"])
            try await site.lab.returnSite(.a)

            // The host knows nothing of the failover, and its own record still says that it owns both.
            for guest in [moved, stayed] {
                let refusal = try site.start(guest, at: .a)
                #expect(
                    refusal?.contains("nobody has confirmed since this host's last boot") == true, "\(refusal ?? "")")
            }
            let news = try await timed("look at the hosts") { try await site.watch() }
            #expect(news.contains(.started(vm: stayed.name, host: "host-a")))
            #expect(news.contains(.formerCopy(vm: moved.name, host: "host-a", .stopped)))
            #expect(try await site.power(stayed, at: .a) == .running)
            #expect(try await site.watch() == [], "a second look has nothing to do")

            let refusal = try site.start(moved, at: .a)
            #expect(refusal?.contains("another host has owned it since epoch 2") == true, "\(refusal ?? "")")
            #expect(try await site.relationship(moved).formerCopy?.state == .stopped)
            _ = try await site.answer(of: stayed, at: .a)

            // The owner's own VM starts as ever; so does one that nobody protects, and a test VM.
            let b = try await site.engine.hosts.hypervisor(site.hostB.id)
            try await b.destroy(uuid: try await site.relationship(moved).vmUUID)
            #expect(try site.start(moved, at: .b) == nil)
            _ = try await site.perform(.sync, on: stayed)
            _ = try await site.perform(.testFailover, on: stayed, ["network": "test-net"])
            _ = try await site.perform(.cleanUpTest, on: stayed)

            _ = try await site.perform(.unprotect, on: stayed)
            #expect(try await a.domain(uuid: uuid)?.autostart == true, "as before it was protected")
            #expect(try await a.ownership(uuid: uuid) == nil)
            try await a.destroy(uuid: uuid)
            #expect(try site.start(stayed, at: .a) == nil)
        }
    }

    @Test("A source that was only cut off runs on, and is suspended with its links down when contact returns")
    func partition() async throws {
        let guest = LabGuest(name: "web", address: "10.77.0.12")
        try await RecoveryLab.with("partition", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            #expect(try await site.watch() == [])
            try await timed("site cut off") { try await site.lab.cut(.a) }
            #expect(try await site.lab.status(of: .a).state == .cut)
            await #expect(throws: EngineError.self) { try await site.perform(.unplannedFailover, on: guest) }
            _ = try await site.perform(.unplannedFailover, on: guest, ["source": "declared lost"])
            _ = try await site.answer(of: guest, at: .b)
            // The site's own view: its guest never stopped.
            let inside = try site.run(at: .a, ["virsh", "--connect", "qemu:///system", "domstate", guest.name])
            #expect(inside.hasPrefix("running"))

            try await site.lab.heal(.a)
            let news = try await site.watch()
            #expect(news == [.formerCopy(vm: guest.name, host: "host-a", .suspended)])
            #expect(try await site.power(guest, at: .a) == .paused)
            #expect(try await site.power(guest, at: .b) == .running)
            let former = try #require(
                try await site.engine.hosts.hypervisor(site.hostA.id).domain(named: guest.name))
            #expect(former.nics.allSatisfy { !$0.linkIsUp })
            #expect(try await site.watch() == [], "the alert is raised once")
            let relationship = try await site.relationship(guest)
            #expect(relationship.formerCopy?.state == .suspended && relationship.formerCopy?.epoch == 1)
            let alerts = try await site.engine.vault.read { vault in
                try vault.events(about: relationship.id, limit: 50).filter { $0.severity == .critical }
            }
            #expect(alerts.count == 1)
            // It is not replicated from: the way on is commit and reverse, once the old copy has been ended.
            _ = try await site.perform(.commit, on: guest)
            await #expect(throws: EngineError.self) { try await site.perform(.reverse, on: guest) }
            try await site.engine.hosts.hypervisor(site.hostA.id).destroy(uuid: relationship.vmUUID)
            _ = try await site.perform(.reverse, on: guest)
            #expect(try await site.relationship(guest).formerCopy == nil)
            _ = try await site.perform(.plannedFailover, on: guest)
            #expect(try await site.answer(of: guest, at: .a).intact, "home again, with its links up")
        }
    }

    @Test("With the vault out of reach, an operator's word starts what a host owns, and the vault learns of it")
    func startAlone() async throws {
        let guest = LabGuest(name: "web", address: "10.77.0.12")
        try await RecoveryLab.with("alone", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            try await site.lab.lose(.a)
            try await site.lab.returnSite(.a)
            #expect(try site.start(guest, at: .a) != nil)
            let layout = site.lab.layout(of: .a)
            let words = [builtProgram, "agent", "start-owned", "--store", layout.store, "--runtime", layout.runtime]
            #expect(try complaint(of: site.lab.entry(to: .a) + words)?.contains("--alone") == true)
            let said = try site.run(at: .a, words + ["--alone"])
            #expect(said.contains("web: started (epoch 1, alone)"))
            #expect(try await site.power(guest, at: .a) == .running)
            _ = try await site.watch()
            let relationship = try await site.relationship(guest)
            let noted = try await site.engine.vault.read { vault in
                try vault.events(about: relationship.id, limit: 50).contains { $0.text.contains("word alone") }
            }
            #expect(noted)
            #expect(try await site.watch() == [])
        }
    }
}

extension RecoveryLab {
    /// Looks at both hosts once, as `perilune replicate` does every few seconds.
    func watch() async throws -> [WatchNews] {
        let news = Mutex<[WatchNews]>([])
        try await SiteWatch(engine: engine) { one in news.withLock { $0.append(one) } }.look()
        return news.withLock { $0 }
    }

    /// Starts a guest with virsh at a site; what virsh complains of when it is refused, else nil.
    func start(_ guest: LabGuest, at site: SiteName) throws -> String? {
        try complaint(of: ["virsh", "--connect", lab.layout(of: site).libvirtURI, "start", guest.name])
    }
}

/// Runs a command to its end; what it says on standard error if it fails, else nil.
func complaint(of words: [String]) throws -> String? {
    let result = try Program.run(words)
    return result.status == 0 ? nil : result.errors
}
