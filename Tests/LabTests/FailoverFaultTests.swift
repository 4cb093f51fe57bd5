import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Testing

/// Failovers that go wrong half-way, and reversals that must miss nothing.
@Suite("Failover and reversal, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct FailoverFaultTests {
    @Test(
        "A guest that ignores its power button keeps running, and a killed engine's failover is completed by the next")
    func deafGuestAndKilledEngine() async throws {
        let deaf = LabGuest(name: "deaf", address: "10.77.0.21", ignoresPowerButton: true)
        let web = LabGuest(name: "web", address: "10.77.0.12")
        try await RecoveryLab.with("failover", guests: [deaf, web]) { site in
            for guest in [deaf, web] { _ = try await site.replicate(guest) }

            let refusal = await #expect(throws: EngineError.self) {
                try await site.perform(.plannedFailover, on: deaf, ["shutdown_limit": "6"])
            }
            #expect(refusal?.kind == .shutdownTimedOut)
            #expect(try await site.power(deaf, at: .a) == .running)
            #expect(try await site.power(deaf, at: .b)?.isActive != true)
            #expect(try await site.relationship(deaf).state == .protected)
            #expect(try await site.relationship(deaf).owner == site.hostA.id)

            let before = try await report(from: web.address, in: site.lab) { $0.records >= 20 }
            _ = try await site.perform(.sync, on: web)
            let child = try EngineProcess.run(
                "recovery.vault():replicated('web'):failover { kind = 'unplanned', source = 'fence' }", site)
            // The fence ends site a; the kill comes once the target owns the VM and before it is known to run.
            try await until("the other engine has claimed ownership") {
                guard let stage = try await openStage(site, web) else { return false }
                return [.define, .connect, .start].contains(stage)
            }
            child.kill()
            let recovered = try await site.engine.recoverOpenJobs()
            #expect(recovered.map(\.job.state) == [.succeeded])
            #expect(try await site.relationship(web).state == .failedOver)
            #expect(try await site.relationship(web).epoch == 2)
            #expect(try await site.power(web, at: .b) == .running)
            let arrived = try await site.answer(of: web, at: .b)
            #expect(arrived.intact && arrived.bootRecords >= before.records)

            try await site.lab.returnSite(.a)
            #expect(try await site.power(web, at: .a)?.isActive == false, "one copy only")
        }
    }

    @Test("Over and back, a guest's disk is folded into its own file and never into the template beneath it")
    func templateStays() async throws {
        let guest = LabGuest(name: "web", address: "10.77.0.12", paused: true)
        try await RecoveryLab.with("template", guests: [guest]) { site in
            let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
            let domain = try #require(try await hypervisor.domain(named: guest.name))
            let disk = try #require(domain.disks.first?.path)
            // The guest's disk becomes an overlay on what it was, as one of many VMs on a template.
            let template = disk + ".template"
            try await hypervisor.destroy(uuid: domain.uuid)
            try site.run(at: .a, ["mv", disk, template])
            try site.run(at: .a, ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", template, disk])
            let before = try site.run(at: .a, ["sha256sum", template])
            try await site.lab.start([guest.name], at: .a)

            _ = try await site.replicate(guest)
            for _ in 1...2 {
                _ = try await site.perform(.plannedFailover, on: guest)
                _ = try await site.perform(.commit, on: guest)
                _ = try await site.perform(.reverse, on: guest)
            }
            #expect(try site.run(at: .a, ["sha256sum", template]) == before)
            let folded = try DomainDefinition(xml: await hypervisor.inactiveXML(uuid: domain.uuid)).disks.first?.path
            #expect(folded == disk)
            #expect(try await site.power(guest, at: .a) == .running)
        }
    }

    @Test("After a failover to an older point, the reversed point equals the new owner's disks byte by byte")
    func reverseByUnion() async throws {
        let guest = LabGuest(name: "orders", address: "10.77.0.11", disks: 2, recordsPerSecond: 50, payloadKiB: 64)
        try await RecoveryLab.with("reverse", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            for _ in 0..<3 {
                let seen = try await site.lab.report(from: guest.address, at: .a).records
                _ = try await report(from: guest.address, in: site.lab) { $0.records >= seen + 25 }
                _ = try await site.perform(.sync, on: guest)
            }
            // The source writes on after its last point, then stops cleanly: its bitmap is on its disk.
            let seen = try await site.lab.report(from: guest.address, at: .a).records
            _ = try await report(from: guest.address, in: site.lab) { $0.records >= seen + 50 }
            let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
            let uuid = try await site.relationship(guest).vmUUID
            #expect(try await hypervisor.shutDown(uuid: uuid, limit: .seconds(60)))

            _ = try await site.perform(.unplannedFailover, on: guest, ["point": "2"])
            let arrived = try await site.answer(of: guest, at: .b) { $0.records > $0.bootRecords + 25 }
            #expect(arrived.intact && arrived.bootRecords < seen)
            _ = try await site.perform(.commit, on: guest)
            let reversed = try await site.perform(.reverse, on: guest)
            let total = try await site.relationship(guest).disks.reduce(0) { $0 + $1.size }
            let sent = try #require(reversed.facts["bytes"].flatMap(UInt64.init))
            print("lab: reverse sent \(sent) bytes of \(total)")
            #expect(sent < total / 2, "changed blocks travel, not the disks")

            // The chain that the failover grew is folded under the running guest, and its change map went along.
            let xml = try await site.engine.hosts.hypervisor(site.hostB.id).inactiveXML(uuid: uuid)
            for disk in try DomainDefinition(xml: xml).disks {
                #expect(disk.chain.map(\.format) == ["qcow2", "raw"], "\(disk.target)")
            }

            // At rest, the newest point at a and the disks at b can be compared as they are.
            let there = try await site.engine.hosts.hypervisor(site.hostB.id)
            #expect(try await there.shutDown(uuid: uuid, limit: .seconds(60)))
            let last = try await site.perform(.sync, on: guest)
            let relationship = try await site.relationship(guest)
            let agent = try await site.engine.hosts.agent(site.hostA.id)
            let images = try await agent.createBootImages(
                relationship: relationship.id, generation: try #require(last.facts["generation"]), epoch: 0)
            for disk in relationship.disks {
                let owner = try #require(disk.images[site.hostB.id])
                let replica = try #require(images.first { $0.target == disk.target }?.chain.first)
                #expect(try site.digest(of: owner, at: .b) == site.digest(of: replica, at: .a), "\(disk.target)")
            }
            try await agent.discardBootImages(relationship: relationship.id, epoch: 0)
        }
    }
}
