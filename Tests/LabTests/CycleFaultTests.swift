import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import Testing
import VaultStore

/// Faults in the middle of a cycle: the cycle may fail, what was there before may not.
@Suite("Faults during cycles, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct CycleFaultTests {
    @Test("Target full, source QEMU killed, engine killed: earlier points stay, and the next cycle works")
    func faults() async throws {
        let guest = LabGuest(name: "orders", address: "10.77.0.11", disks: 2, recordsPerSecond: 50, payloadKiB: 64)
        try await RecoveryLab.with("cycles", guests: [guest]) { site in
            _ = try await site.replicate(guest)
            _ = try await site.perform(.sync, on: guest)
            #expect(try await site.points(guest) == [1, 2])

            try await targetFull(site, guest)
            try await engineOpensNoDisk(site, guest)
            try await sourceKilled(site, guest)
            try await engineKilled(site, guest)
        }
    }

    /// Rule: a cycle that finds the target full fails; the points there are whole; after space returns the next cycle works.
    private func targetFull(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let before = try await site.points(guest)
        let free = try await site.engine.hosts.agent(site.hostB.id).status().freeBytes
        let ballast = "\(site.hostB.store)/../ballast"
        try site.run(at: .b, ["fallocate", "-l", "\(free - (256 << 10))", ballast])
        await #expect(throws: EngineError.self) { try await site.perform(.sync, on: guest) }
        #expect(try await site.points(guest) == before)
        #expect(try await site.relationship(guest).state == .protected)
        try site.run(at: .b, ["rm", ballast])
        let job = try await site.perform(.sync, on: guest)
        #expect(job.state == .succeeded)
        #expect(try await site.points(guest).count == before.count + 1)
    }

    /// Rule: the engine moves no block; no file of either site's file system is open in its process during a cycle.
    ///
    /// Files are told by their device, since a path says nothing across mount namespaces.
    private func engineOpensNoDisk(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        var devices: Set<UInt64> = []
        for name in [SiteName.a, .b] {
            let folder = site.lab.layout(of: name).fileSystem
            let text = try site.run(at: name, ["stat", "--format", "%d", folder])
            devices.insert(try #require(UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines))))
        }
        // The look itself is shown to see: a file of the site, reached through the site's own root, is noticed.
        let entry = try site.lab.entry(to: .a)
        let holder = try #require(entry.compactMap { Int($0.filter(\.isNumber)) }.first, "\(entry)")
        let witness = open("/proc/\(holder)/root\(site.lab.layout(of: .a).store)", O_RDONLY)
        try #require(witness >= 0)
        #expect(openDevices().contains(where: devices.contains))
        close(witness)

        let watch = Task { [devices] in
            var seen: Set<UInt64> = []
            while !Task.isCancelled {
                seen.formUnion(openDevices().intersection(devices))
                await Task.yield()
            }
            return seen
        }
        _ = try await site.perform(.sync, on: guest)
        watch.cancel()
        #expect(await watch.value == [])
    }

    /// Rule: when the source's QEMU dies in a cycle, the replica stays at its last whole point; the next cycle compares.
    private func sourceKilled(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let before = try await site.points(guest)
        let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
        let uuid = try await site.relationship(guest).vmUUID
        let cycle = Task { try await site.perform(.sync, on: guest) }
        try await until("the backup of a cycle began") { try await hypervisor.backupIsActive(uuid: uuid) }
        kill(try site.qemuProcess(of: guest), SIGKILL)
        let outcome = await cycle.result
        try await until("libvirt sees that QEMU is gone") {
            try await hypervisor.domain(uuid: uuid)?.power.isActive == false
        }
        // The kill may come a moment after the last byte: then the cycle is whole. It is never half.
        let after = try await site.points(guest)
        switch outcome {
        case .success: #expect(after.count == before.count + 1)
        case .failure: #expect(after == before)
        }
        try await site.lab.start([guest.name], at: .a)
        let booted = try await report(from: guest.address, in: site.lab) { $0.records > $0.bootRecords }
        #expect(booted.intact)
        let job = try await site.perform(.sync, on: guest)
        #expect(job.state == .succeeded, "the bitmap is lost, so both sides are compared")
        try await site.expectReplicaWhole(guest)
    }

    /// Rule: an engine killed in a cycle leaves a job that the next engine drives to its end.
    private func engineKilled(_ site: RecoveryLab, _ guest: LabGuest) async throws {
        let before = try await site.points(guest)
        // A cycle takes a fraction of a second: one that was over before the kill came is followed by another.
        var recovered: [RecoveredJob] = []
        for _ in 1...10 where recovered.isEmpty {
            let child = try EngineProcess.run(
                "local own = recovery.vault():replicated('\(guest.name)'); while true do own:sync() end", site)
            try await until("the other engine's cycle copies") {
                try await openStage(site, guest) == StageName.copy
            }
            child.kill()
            recovered = try await site.engine.recoverOpenJobs()
        }
        #expect(recovered.map(\.job.state) == [.succeeded])
        #expect(try await site.points(guest).count >= min(before.count, 5))
        #expect(try await site.relationship(guest).activeJob == nil)
        try await site.expectReplicaWhole(guest)
    }
}

/// Devices of the file systems on which this process has files open.
private func openDevices() -> Set<UInt64> {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return Set(
        entries.compactMap { entry in
            var details = stat()
            return Int32(entry).flatMap { fstat($0, &details) == 0 ? UInt64(details.st_dev) : nil }
        })
}

/// The stage that a VM's open job has begun and not ended.
func openStage(_ site: RecoveryLab, _ guest: LabGuest) async throws -> StageName? {
    guard let id = try await site.relationship(guest).activeJob else { return nil }
    let job = try await site.engine.vault.read { try $0.object(Job.self, id: id)?.value }
    return job?.stages.first { $0.state == .begun }.flatMap { StageName(rawValue: $0.name) }
}

/// Another engine, in a process of its own, that runs a script and can be killed.
struct EngineProcess {
    let process: Program
    let script: String

    static func run(_ text: String, _ site: RecoveryLab) throws -> EngineProcess {
        try run(text, root: site.lab.configuration.root, vault: site.vaultPath)
    }

    static func run(_ text: String, root: String, vault: String) throws -> EngineProcess {
        let script = "\(root)/\(UUID().uuidString).lua"
        try text.write(toFile: script, atomically: true, encoding: .utf8)
        let process = try Program([builtProgram, "run", script, "--vault", vault])
        return EngineProcess(process: process, script: script)
    }

    func kill() {
        process.end(SIGKILL)
        unlink(script)
    }
}
