import Foundation
import Hypervisors
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import BlockReplication
@testable import RecoveryEngine

@Suite("A failover at the host alone, with no vault")
struct HostFailoverTests {
    /// `orders` with three points at b, and writes since.
    private func rig() async throws -> Rig { try await Undertaking.unplannedFailover.rig(points: 2) }

    private func lost() async throws -> Rig {
        let rig = try await rig()
        rig.world.lose("a")
        return rig
    }

    private func failover(
        _ rig: Rig, fuse: Fuse = Fuse(), runsAtSource: Bool? = nil,
        _ change: (inout Manifest) -> Void = { _ in }
    ) async throws -> HostFailover {
        var manifest = try await rig.manifest()
        change(&manifest)
        return HostFailover(
            hypervisor: FakeHypervisor(world: rig.world, host: "b", fuse: fuse),
            agent: FakeAgent(world: rig.world, host: "b", fuse: fuse),
            fencing: FakeFencing(world: rig.world, fuse: fuse), clock: rig.clock, manifests: [manifest],
            runsAtSource: { _, _ in runsAtSource })
    }

    @discardableResult
    private func run(
        _ rig: Rig, _ source: HostFailover.Source = .declaredLost, point: String = "latest",
        networks: [String: String] = [:], fuse: Fuse = Fuse()
    ) async throws -> HostFailover.Outcome {
        try await failover(rig, fuse: fuse).run(vm: "orders", source: source, point: point, networks: networks)
    }

    private func claim(_ rig: Rig) async throws -> HostClaim? {
        rig.world.store(try await rig.relationship().id, at: "b").ownership?.claim
    }

    /// The vault is back: it takes over what the host did, and replication is reversed.
    private func reverse(_ rig: Rig) async throws {
        rig.world.bringBack("a")
        try await SiteWatch(engine: rig.engine) { _ in }.look()
        try await rig.run(.commit)
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    // MARK: What is done

    @Test("The VM runs from the newest point on the target's network, and the host keeps what it did")
    func works() async throws {
        let rig = try await lost()
        let outcome = try await run(rig)
        #expect(outcome.host == "b" && outcome.epoch == 2 && outcome.runs && outcome.verdict == .declared)
        #expect(outcome.point.number == 3 && outcome.networks == ["prod-a": "prod-b"])
        let domain = try #require(rig.world.domain("orders", at: "b"))
        #expect(domain.power == .running && !domain.autostart && domain.checkpoints == ["perilune-boot-2"])
        #expect(domain.definition.nics.map(\.network) == ["prod-b"])
        #expect(domain.definition.ownership?.epoch == 2)
        let claim = try #require(try await claim(rig))
        #expect(claim.checkpoint == "perilune-boot-2" && claim.number == 3 && claim.verdict == .declared)
        rig.world.write("orders", at: "b", [7: 700])
        try await reverse(rig)
        #expect(try await rig.relationship().epoch == 2)
    }

    @Test("An older point is started when it is asked for, and named networks go before recorded ones")
    func choices() async throws {
        let rig = try await lost()
        let outcome = try await run(rig, point: "2", networks: ["prod-a": "mgmt-b"])
        #expect(outcome.point.number == 2 && outcome.networks == ["prod-a": "mgmt-b"])
        rig.world.write("orders", at: "b", [7: 700])
        try await reverse(rig)
    }

    @Test("The recorded fence ends the source, and its proof is what is recorded")
    func fence() async throws {
        let rig = try await rig()
        let outcome = try await run(rig, .recordedFence)
        #expect(outcome.verdict == .proven && rig.world.power("orders", at: "a") == .off)
        #expect(rig.world.violations == [])
    }

    // MARK: What is refused

    private func refused(
        _ rig: Rig, _ source: HostFailover.Source = .declaredLost, vm: String = "orders", point: String = "latest",
        networks: [String: String] = [:], runsAtSource: Bool? = nil,
        _ change: (inout Manifest) -> Void = { _ in }
    ) async throws -> EngineError {
        let failover = try await failover(rig, runsAtSource: runsAtSource, change)
        let error = try await engineError {
            _ = try await failover.run(vm: vm, source: source, point: point, networks: networks)
        }
        #expect(rig.world.power("orders", at: "b") == nil)
        let ownership = rig.world.store(try await rig.relationship().id, at: "b").ownership
        #expect(ownership?.owner == "a" && ownership?.epoch == 1, "something was claimed")
        return error
    }

    @Test("What is not here is refused by name: a VM, a point, a network")
    func unknown() async throws {
        let rig = try await lost()
        #expect(try await refused(rig, vm: "order").hint == "did you mean 'orders'?")
        let point = try await refused(rig, point: "9")
        #expect(point.rule == "recovery-point-unknown" && point.hint == "it has: 1, 2, 3")
        let network = try await refused(rig, networks: ["prod-a": "lan"])
        #expect(network.message.contains("no network 'lan'") && network.hint?.contains("mgmt-b, prod-b") == true)
        let empty = try await refused(rig) { $0.points = [] }
        #expect(empty.kind == .unknown)
    }

    @Test("A source that runs is not lost on anybody's word; a fence that proves nothing is no fence")
    func sources() async throws {
        let rig = try await rig()
        let seen = try await refused(rig, runsAtSource: true)
        #expect(seen.rule == "source-must-be-down" && seen.kind == .refused)
        rig.world.change { $0.fenceIsBroken = true }
        let fence = try await refused(rig, .fence(["/bin/fence"]))
        #expect(fence.kind == .sourceNotDown && fence.hint?.contains("--declared-lost") == true)
        let none = try await refused(rig, .recordedFence, networks: ["prod-a": "prod-b"]) { $0.context = nil }
        #expect(none.message.contains("no fence is recorded"))
    }

    @Test("A VM that this host owns by the vault's word is started, not failed over")
    func ownedAlready() async throws {
        let rig = try await rig()
        try await rig.run(.plannedFailover)
        rig.world.shutDownInside("orders", at: "b")
        let error = try await engineError { _ = try await run(rig) }
        #expect(error.kind == .refused && error.hint?.contains("start-owned --alone") == true)
        #expect(try await rig.relationship().epoch == 2)
    }

    @Test("Points that were given up with the protection are not started from, and the refusal says since when")
    func released() async throws {
        let rig = try await lost()
        let error = try await refused(rig) { $0.releasedAt = Timestamp(milliseconds: 1_700_000_000_000) }
        #expect(error.kind == .refused && error.message.contains("2023-11-14"))
        // Protected anew, under another relationship: those points count.
        let present = try await rig.manifest()
        var old = present
        (old.relationship, old.releasedAt) = ("before", rig.clock.now.advanced(bySeconds: 1000))
        let again = HostFailover(
            hypervisor: FakeHypervisor(world: rig.world, host: "b", fuse: Fuse()),
            agent: FakeAgent(world: rig.world, host: "b", fuse: Fuse()),
            fencing: FakeFencing(world: rig.world, fuse: Fuse()), clock: rig.clock, manifests: [old, present],
            runsAtSource: { _, _ in nil })
        _ = try await again.run(vm: "orders", source: .declaredLost, point: "latest", networks: [:])
        #expect(rig.world.power("orders", at: "b") == .running)
    }

    // MARK: Given again

    @Test("Wherever it broke off, given again it comes to the same end, and the reversal loses nothing")
    func crashes() async throws {
        var step = 1
        while true {
            let rig = try await lost()
            let fuse = Fuse(.dieAfterEffect(step))
            _ = try? await run(rig, fuse: fuse)
            guard fuse.wentOff else { break }
            let comment: Comment = "died after \(fuse.effects.last ?? "")"
            // What ran meanwhile wrote.
            rig.world.write("orders", at: "b", [8: step])
            let outcome = try await run(rig)
            #expect(outcome.epoch == 2 && outcome.runs, comment)
            #expect(rig.world.violations == [], comment)
            rig.world.write("orders", at: "b", [7: 700])
            try await reverse(rig)
            step += 1
        }
        #expect(step > 5)
    }

    @Test("Wherever it broke off, another point may be taken as long as the VM has not been started from the first")
    func otherPoint() async throws {
        var (step, taken, refused) = (1, 0, 0)
        while true {
            let rig = try await lost()
            let fuse = Fuse(.dieAfterEffect(step))
            _ = try? await run(rig, fuse: fuse)
            guard fuse.wentOff else { break }
            let comment: Comment = "died after \(fuse.effects.last ?? "")"
            let isActive = rig.world.power("orders", at: "b") != nil && rig.world.power("orders", at: "b") != .off
            if isActive {
                let error = try await engineError { try await run(rig, point: "2") }
                #expect(error.kind == .refused && error.message.contains("point 3"), comment)
                #expect(try await run(rig).point.number == 3, comment)
                refused += 1
            } else {
                let outcome = try await run(rig, point: "2")
                #expect(outcome.point.number == 2 && outcome.runs, comment)
                #expect(try await claim(rig)?.number == 2, comment)
                #expect(try await run(rig).point.number == 2, "given again, it is the one that was claimed")
                taken += 1
            }
            #expect(rig.world.violations == [], comment)
            rig.world.write("orders", at: "b", [7: 700])
            try await reverse(rig)
            step += 1
        }
        #expect(taken > 1 && refused > 1)
    }

    @Test("A VM that has run from a point is not started from another, also when it is off")
    func hasRun() async throws {
        let rig = try await lost()
        try await run(rig)
        rig.world.write("orders", at: "b", [7: 700])
        rig.world.shutDownInside("orders", at: "b")
        let error = try await engineError { try await run(rig, point: "2") }
        #expect(error.kind == .refused && error.message.contains("may have run"))
        #expect(try await run(rig).point.number == 3)
        try await reverse(rig)
        #expect(try await rig.newestPoint(at: "a")?["vda"]?[7] == 700)
    }

    @Test(
        "A point whose firmware state is damaged is refused before anything is claimed, and an older one may be taken")
    func damagedFirmware() async throws {
        let rig = try await Rig(vms: [])
        try rig.world.addVM(
            "orders", at: "a", disks: ["vda": [0: 1]], network: "prod-a",
            os: "<os><type>hvm</type><loader type='pflash'>/f/CODE.fd</loader>"
                + "<nvram template='/f/VARS.fd'>/var/lib/libvirt/qemu/nvram/orders_VARS.fd</nvram></os>")
        let uuid = rig.world.uuid("orders")
        let good = FirmwareState(
            files: [FirmwareFile(name: "nvram", size: 1, checksum: "1", packed: [Data([1])])])
        rig.world.change { $0.hosts["a"]?.firmware[uuid] = good }
        try await rig.protect()
        for _ in 1...2 {
            rig.clock.advance(seconds: 4000)
            try await rig.cycle()
        }
        let id = try await rig.relationship().id
        let numbers = try await rig.points().map(\.number)
        rig.world.change { state in
            guard var store = state.hosts["b"]?.stores[id], !store.points.isEmpty else { return }
            store.points[store.points.count - 1].firmware = FirmwareState(files: [])
            state.hosts["b"]?.stores[id] = store
        }
        rig.world.lose("a")
        await #expect { try await run(rig) } throws: { ($0 as? ReplicationError)?.code == .damaged }
        #expect(rig.world.power("orders", at: "b") == nil)
        #expect(rig.world.store(id, at: "b").ownership?.owner == "a", "something was claimed")
        let outcome = try await run(rig, point: "\(numbers[numbers.count - 2])")
        #expect(outcome.runs && outcome.findings == [])
        #expect(rig.world.state.withLock { $0.hosts["b"]?.firmware[uuid] } == good)
    }

    @Test("What the VM does not have of what it had is said, also when it is given again")
    func findings() async throws {
        let rig = try await Rig(vms: [])
        try rig.world.addVM(
            "orders", at: "a", disks: ["vda": [0: 1]], network: "prod-a",
            extraDevices: "<disk type='file' device='cdrom'><source file='/iso/setup.iso'/>"
                + "<target dev='sda' bus='sata'/><readonly/></disk>")
        try await rig.protect()
        rig.world.lose("a")
        for _ in 1...2 {
            let outcome = try await run(rig)
            #expect(outcome.findings.count == 1)
            #expect(outcome.findings.first?.contains("the medium of drive sda") == true, "\(outcome.findings)")
        }
        let domain = try #require(rig.world.domain("orders", at: "b"))
        #expect(domain.definition.disks.map(\.target) == ["vda", "sda"])
    }

    /// How the VM came to be off, and its definition gone, after it had run.
    enum End: CaseIterable, Sendable {
        case killed, shutDown, killedAndUndefined, shutDownAndUndefined
    }

    @Test(
        "After the host itself was down the VM starts again, and nothing that it wrote is missed",
        arguments: End.allCases)
    func again(_ end: End) async throws {
        let rig = try await lost()
        try await run(rig)
        rig.world.write("orders", at: "b", [7: 700])
        let uuid = rig.world.uuid("orders")
        switch end {
        case .killed, .killedAndUndefined: rig.world.kill("orders", at: "b")
        case .shutDown, .shutDownAndUndefined: rig.world.shutDownInside("orders", at: "b")
        }
        if end == .killedAndUndefined || end == .shutDownAndUndefined {
            rig.world.change { $0.hosts["b"]?.domains[uuid] = nil }
        }
        #expect(try await run(rig).runs)
        let checkpoint = try await claim(rig)?.checkpoint
        let isKept = end == .shutDown || end == .killed
        #expect(checkpoint == (isKept ? "perilune-boot-2" : nil), "a new one would miss block 7")
        // And once more: what is lost stays lost.
        rig.world.shutDownInside("orders", at: "b")
        #expect(try await run(rig).runs)
        #expect(try await claim(rig)?.checkpoint == checkpoint)
        rig.world.write("orders", at: "b", [8: 800])
        try await reverse(rig)
        #expect(try await rig.newestPoint(at: "a")?["vda"]?[7] == 700)
    }

    @Test("Given again, it asks anew whether the source runs, unless the VM runs here")
    func againBesideARunningSource() async throws {
        let rig = try await lost()
        try await run(rig)
        #expect(
            try await failover(rig, runsAtSource: true)
                .run(vm: "orders", source: .declaredLost, point: "latest", networks: [:]).runs)
        rig.world.shutDownInside("orders", at: "b")
        let error = try await engineError {
            _ = try await failover(rig, runsAtSource: true)
                .run(vm: "orders", source: .declaredLost, point: "latest", networks: [:])
        }
        #expect(error.rule == "source-must-be-down")
        #expect(rig.world.power("orders", at: "b") == .off)
    }

    /// A bitmap that the file kept, of a VM that was started paused, never ran, and was undefined.
    @Test("A bitmap that holds the checkpoint's name is no end: another name is taken")
    func nameIsTaken() async throws {
        let rig = try await lost()
        let fuse = Fuse(.runAfterEffect("b.create-checkpoint")) {
            rig.world.shutDownInside("orders", at: "b")
            rig.world.change { $0.hosts["b"]?.domains[rig.world.uuid("orders")] = nil }
        }
        _ = try? await run(rig, fuse: fuse)
        #expect(fuse.wentOff && rig.world.power("orders", at: "b") == nil)
        let id = try await rig.relationship().id
        rig.world.change { state in
            // As it was before anybody could note that the VM may have run.
            state.hosts["b"]?.stores[id]?.ownership?.claim?.mayHaveRun = nil
            state.hosts["b"]?.stores[id]?.ownership?.claim?.checkpoint = nil
        }
        #expect(try await run(rig).runs)
        #expect(try await claim(rig)?.checkpoint == "perilune-boot-2-2")
        rig.world.write("orders", at: "b", [7: 700])
        try await reverse(rig)
    }
}

extension Rig {
    /// The manifest of a VM's points as the target keeps it.
    func manifest(_ vm: String = "orders") async throws -> Manifest {
        let relationship = try await relationship(vm)
        let store = world.store(relationship.id, at: relationship.target)
        var manifest = Manifest(
            relationship: relationship.id, vmName: vm, vmUUID: relationship.vmUUID,
            epoch: store.ownership?.epoch ?? 0, owner: store.ownership?.owner ?? "")
        manifest.disks = relationship.disks.map {
            StoredDisk(
                target: $0.target, size: $0.size,
                base: BaseImage(path: "base-\($0.target).raw", format: .raw, external: false))
        }
        manifest.points = store.points.map { point in
            RecoveryPointRecord(
                generation: point.summary.generation, parent: point.summary.previous, number: point.summary.number,
                time: point.summary.at, kind: point.summary.cause, disks: [], over: point.summary.previous,
                domainXML: "\(point.summary.generation).xml")
        }
        manifest.nextNumber = store.nextNumber
        for (epoch, boot) in store.boots.sorted(by: { $0.key < $1.key }) where epoch > 0 {
            manifest.boots.append(
                BootOverlay(
                    purpose: .failover, epoch: epoch, generation: boot.generation,
                    disks: boot.images.map { BootDisk(target: $0.target, file: "boot-\(epoch)-\($0.target).img") }))
        }
        manifest.context = try await vault.read { try SiteRecord(of: relationship, in: $0).text() }
        return manifest
    }
}
