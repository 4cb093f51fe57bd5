import BlockReplication
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

/// A first copy that takes many legs, of a guest that writes as fast as it can, with all that may interrupt one.
@Suite("First copies in legs, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct FirstCopyLegTests {
    @Test("The receiver killed, then the source's QEMU: the copy goes on, the guest sees no error and loses no record")
    func interrupted() async throws {
        let guest = LabGuest(name: "orders", address: "10.77.0.11", disks: 2, recordsPerSecond: 0, payloadKiB: 64)
        try await RecoveryLab.with("legs", guests: [guest]) { site in
            _ = try await report(from: guest.address, in: site.lab) { $0.records >= 150 }
            var dependencies = site.engine.dependencies
            // As slow as a copy can be: a leg brings one piece of each disk.
            dependencies.legSeconds = 0
            let slow = RecoveryEngine(dependencies)

            let first = Task {
                _ = try await slow.replicate(
                    vm: guest.name, from: site.hostA, to: site.hostB, policy: site.policy,
                    networks: ["gold-net": "silver-net"])
            }
            try await legs(3, site, guest)
            kill(try await site.engine.hosts.agent(site.hostB.id).status().processID, SIGKILL)
            await #expect(throws: EngineError.self) { try await first.value }
            let waiting = try await site.relationship(guest)
            let before = try #require(waiting.growing?.legs)
            #expect(waiting.state == .firstCopyPending && before >= 3)
            try await site.lab.up()

            let second = Task { try await slow.perform(.startFirstCopy, on: waiting.id) }
            try await legs(before + 2, site, guest)
            kill(try site.qemuProcess(of: guest), SIGKILL)
            // Killed between two legs, the VM is at rest, and the rest is read from its file.
            let outcome = await second.result
            let killed = try await site.relationship(guest)
            let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
            try await until("libvirt sees that QEMU is gone") {
                try await hypervisor.domain(uuid: killed.vmUUID)?.power.isActive == false
            }
            try await site.lab.start([guest.name], at: .a)
            let booted = try await site.answer(of: guest, at: .a)
            #expect(booted.intact)
            switch outcome {
            case .success: #expect(killed.state == .protected)
            case .failure:
                #expect(killed.state == .firstCopyPending && (killed.growing?.legs ?? 0) >= before + 2)
                let job = try await site.perform(.startFirstCopy, on: guest)
                print("legs: \(job.facts["legs"] ?? ""), bytes: \(job.facts["bytes"] ?? "")")
            }
            #expect(try await site.relationship(guest).state == .protected)
            let running = try await site.answer(of: guest, at: .a)
            #expect(running.intact && running.error.isEmpty, "\(running.error)")
            try await site.expectReplicaWhole(guest)
        }
    }

    private func legs(_ count: Int, _ site: RecoveryLab, _ guest: LabGuest) async throws {
        try await until("\(count) legs are in", within: .seconds(60)) {
            let found = try await site.engine.vault.read {
                try $0.object(Relationship.self, named: guest.name, parent: nil)?.value
            }
            return (found?.growing?.legs ?? 0) >= count
        }
    }
}
