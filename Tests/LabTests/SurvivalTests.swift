import BlockReplication
import Foundation
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import Testing
import VaultStore

/// The vault is lost: what the hosts and the copies of it can do without.
@Suite(
    "Survival of the loss of the vault, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct SurvivalTests {
    @Test("A host alone brings a VM up, and a later vault takes it over and brings it home")
    func hostFailover() async throws {
        let guest = LabGuest(name: "vmm01", address: "10.77.0.10")
        try await RecoveryLab.with("host", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            let before = try await report(from: guest.address, in: site.lab) { $0.records >= 20 }
            _ = try await site.perform(.sync, on: guest)
            let words = [builtProgram, "host", "failover", guest.name] + site.atHost(.b)
            #expect(try complaint(of: site.lab.entry(to: .b) + words)?.contains("--declared-lost") == true)
            // Its source can be looked at from here, and the VM runs there.
            let refusal = try complaint(of: site.lab.entry(to: .b) + words + ["--declared-lost"])
            #expect(refusal?.contains("it is not lost") == true, "\(refusal ?? "")")

            try await site.lab.lose(.a)
            let said = try await timed("host failover, with no vault") {
                try site.run(at: .b, words + ["--declared-lost"])
            }
            print("lab: \(said)")
            #expect(said.contains("epoch 2") && said.contains("gold-net -> silver-net"))
            let arrived = try await site.answer(of: guest, at: .b)
            #expect(arrived.intact && arrived.bootRecords >= before.records)
            // Given again, it finds its own work done.
            _ = try site.run(at: .b, words + ["--declared-lost"])

            // The vault was away: it still has the VM at site a.
            #expect(try await site.relationship(guest).epoch == 1)
            // Whoever begins a failover in ignorance of the host's learns of it first, and finds that there is nothing to do.
            let ignorant = await #expect(throws: EngineError.self) {
                try await site.perform(.unplannedFailover, on: guest, ["source": "declared lost"])
            }
            #expect(ignorant?.kind == .refused)
            #expect(try await site.watch() == [])
            let taken = try await site.relationship(guest)
            #expect(taken.state == .failedOver && taken.owner == site.hostB.id && taken.epoch == 2)
            #expect(taken.failover?.sourceVerdict == .declared)
            try await site.lab.returnSite(.a)
            _ = try await site.watch()
            #expect(try await site.power(guest, at: .a)?.isActive == false)
            _ = try await site.perform(.commit, on: guest)
            _ = try await site.perform(.reverse, on: guest)
            _ = try await site.perform(.plannedFailover, on: guest)
            let home = try await site.answer(of: guest, at: .a)
            #expect(home.intact && home.bootRecords >= arrived.records)
        }
    }

    @Test("A failover at the host is given again after the VM was ended there, and again with its definition gone")
    func hostFailoverAgain() async throws {
        let guest = LabGuest(name: "vmm01", address: "10.77.0.10")
        try await RecoveryLab.with("again", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            try await site.lab.lose(.a)
            let words = [builtProgram, "host", "failover", guest.name] + site.atHost(.b) + ["--declared-lost"]
            _ = try site.run(at: .b, words)
            var seen = try await site.answer(of: guest, at: .b).bootRecords
            let relationship = try await site.relationship(guest)
            let (b, uuid) = (try await site.engine.hosts.hypervisor(site.hostB.id), relationship.vmUUID)
            func checkpoint() async throws -> String? {
                try await site.engine.hosts.agent(site.hostB.id).ownership(relationship: relationship.id)?
                    .claim?.checkpoint
            }
            #expect(try await checkpoint() == "perilune-boot-2")
            for undefines in [false, true] {
                try await b.destroy(uuid: uuid)
                if undefines { try await b.undefine(uuid: uuid) }
                let said = try site.run(at: .b, words)
                #expect(said.contains("epoch 2"), "\(said)")
                let arrived = try await site.answer(of: guest, at: .b)
                #expect(arrived.intact && arrived.bootRecords > seen, "what it wrote before is there")
                seen = arrived.bootRecords
                #expect(try await checkpoint() == (undefines ? nil : "perilune-boot-2"))
            }
            try await site.lab.returnSite(.a)
            _ = try await site.watch()
            #expect(try await site.relationship(guest).checkpoint == nil)
            for operation in [SiteModel.Operation.commit, .reverse, .plannedFailover] {
                _ = try await site.perform(operation, on: guest)
            }
            let home = try await site.answer(of: guest, at: .a)
            #expect(home.intact && home.bootRecords >= seen)
        }
    }

    @Test("With every copy of the vault lost, the manifests make a new one that goes on replicating and fails over")
    func rebuild() async throws {
        let orders = LabGuest(name: "orders", address: "10.77.0.11")
        let vmm = LabGuest(name: "vmm01", address: "10.77.0.10")
        try await RecoveryLab.with("rebuild", guests: [orders, vmm]) { site in
            let server = try await site.engine.ensureServer(name: "vmm01", managementVM: vmm.name)
            let gold = try await site.engine.ensureCloud(name: "gold", server: server.id, hosts: [site.hostA.id])
            let silver = try await site.engine.ensureCloud(name: "silver", server: server.id, hosts: [site.hostB.id])
            _ = try await site.engine.ensurePair(primary: gold, recovery: silver, policy: site.policy)
            _ = try await site.engine.ensureNetworkMapping(
                cloud: gold, network: "gold-net", targetCloud: silver, targetNetwork: "silver-net")
            let item = try await site.engine.protect(vm: orders.name, in: gold)
            _ = try await site.replicate(vmm)
            _ = try await site.perform(.sync, on: orders)
            let old = try await site.relationship(orders)

            let path = "\(site.lab.configuration.root)/vault/rebuilt.db"
            let store = try site.reach(site.hostB.store, at: .b)
            let said = try output(of: [builtProgram, "vault", "rebuild", "--vault", path, "--from", store])
            print("lab: \(said)")
            #expect(said.contains("2 VMs (orders, vmm01)") || said.contains("2 VMs (vmm01, orders)"))
            let again = try complaint(of: [builtProgram, "vault", "rebuild", "--vault", path, "--from", store])
            #expect(again?.contains("not empty") == true, "a vault is never written over")

            let engine = try RecoveryLab.makeEngine(path, holder: "after")
            let contents = try await engine.vault.read { vault in
                (
                    try vault.objects(Relationship.self).map(\.value),
                    try vault.objects(SiteModel.Host.self).map(\.value),
                    try vault.object(ProtectedItem.self, id: item.id)?.value,
                    try vault.objects(RecoveryPoint.self, parent: old.id).map(\.value.number),
                    try vault.objects(NetworkMapping.self).map(\.value.targetNetwork)
                )
            }
            #expect(Set(contents.1) == [site.hostA, site.hostB])
            #expect(contents.2 == item)
            #expect(contents.3 == [1, 2])
            #expect(contents.4 == ["silver-net"])
            let known = try #require(contents.0.first { $0.name == orders.name })
            #expect(known.id == old.id && known.epoch == old.epoch && known.state == .protected)
            // Its map is not trusted, so both sides are compared once; then all goes on as ever.
            let job = try await engine.perform(.sync, on: known.id)
            #expect(job.facts["point"] == "3")
            try await site.lab.lose(.a)
            for relationship in contents.0.sorted(by: { $0.name > $1.name }) {
                _ = try await engine.perform(
                    .unplannedFailover, on: relationship.id, arguments: ["source": "declared lost"])
            }
            #expect(try await site.answer(of: orders, at: .b).intact)
        }
    }
}

extension SurvivalTests {
    @Test("The vault is shipped to the other site, promoted there when its own is lost, and the old one stands back")
    func promotion() async throws {
        let guest = LabGuest(name: "web", address: "10.77.0.12")
        try await RecoveryLab.with("promote", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            let said = try output(of: [builtProgram, "vault", "ship", "--vault", site.vaultPath, "--to", "host:host-b"])
            #expect(said.contains("copy at host host-b (") && said.contains(" is 0 s old"), "\(said)")
            // A process that works on the vault ships it while it works: what this cycle changed is there soon.
            let replicate = try Program([builtProgram, "replicate", "--vault", site.vaultPath])
            defer { replicate.end() }
            _ = try await site.perform(.sync, on: guest)
            let identity = try #require(try await site.engine.vault.identity())
            let copy = try site.reach("\(site.hostB.store)/vault/\(identity.id).db", at: .b)
            let points = try await site.points(guest).count
            let id = try await site.relationship(guest).id
            try await timed("the cycle is in the copy") {
                try await until("the copy has the newest point", within: .seconds(60)) {
                    let path = "\(site.lab.configuration.root)/look.db"
                    try? FileManager.default.removeItem(atPath: path)
                    try FileManager.default.copyItem(atPath: copy, toPath: path)
                    let vault = try SQLiteVault.open(path: path)
                    defer { try? vault.close() }
                    return try await vault.read { try $0.objects(RecoveryPoint.self, parent: id).count } >= points
                }
            }
            replicate.end()

            // The vault's own site is lost; its file stays behind, as a disk that comes back one day.
            try await site.lab.lose(.a)
            let promoted = "\(site.lab.configuration.root)/vault/promoted.db"
            try FileManager.default.copyItem(atPath: copy, toPath: promoted)
            let done = try output(of: [builtProgram, "vault", "promote", promoted])
            print("lab: \(done)")
            #expect(
                done.contains("epoch 2") && done.contains("told: host-b") && done.contains("did not answer: host-a"))
            let engine = try RecoveryLab.makeEngine(promoted, holder: "promoted")
            _ = try await engine.perform(.unplannedFailover, on: id, arguments: ["source": "declared lost"])
            _ = try await site.answer(of: guest, at: .b)

            // The old vault comes back and is opened: the first agent that knows better makes it stand back, for good.
            let refusal = await #expect(throws: VaultError.self) {
                try await site.perform(.unplannedFailover, on: guest, ["source": "declared lost"])
            }
            #expect(refusal?.code == .superseded)
            #expect(try await site.engine.vault.identity()?.supersededBy == 2)
            #expect(try output(of: [builtProgram, "status", "--vault", promoted]).contains("failed-over"))
            let complaint = try complaint(of: [builtProgram, "sync", "web", "--vault", site.vaultPath])
            #expect(complaint?.contains("Another copy of this vault was promoted") == true, "\(complaint ?? "")")
        }
    }
}

extension RecoveryLab {
    /// What a command at a host is told of the host.
    func atHost(_ site: SiteName) -> [String] {
        let layout = lab.layout(of: site)
        return ["--store", layout.store, "--uri", "qemu:///system", "--agent", "/run/libvirt/agent.sock"]
    }

    /// A path of a site as it can be read from outside: only the site mounts its disks.
    func reach(_ path: String, at site: SiteName) throws -> String {
        let words = try lab.entry(to: site)
        let holder = try #require(words.firstIndex(of: "--target").map { words[$0 + 1] })
        return "/proc/\(holder)/root\(path)"
    }
}
