import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("UEFI variables and a TPM's state move with the VM")
struct FirmwareTests {
    private func state(_ content: UInt8) -> FirmwareState {
        FirmwareState(
            files: ["nvram", "tpm/tpm2/tpm2-00.permall"].map {
                FirmwareFile(name: $0, size: 1, checksum: "\(content)", packed: [Data([content])])
            })
    }

    private func rig() async throws -> Rig {
        let rig = try await Rig(vms: [])
        try rig.world.addVM(
            "orders", at: "a", disks: ["vda": [0: 1], "vdb": [10: 5]], network: "prod-a",
            os: "<os><type>hvm</type><loader type='pflash'>/f/CODE.fd</loader>"
                + "<nvram template='/f/VARS.fd'>/var/lib/libvirt/qemu/nvram/orders_VARS.fd</nvram></os>",
            extraDevices: "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>")
        set(rig, at: "a", 1)
        try await rig.protect()
        return rig
    }

    private func set(_ rig: Rig, at host: String, _ content: UInt8, vm: String? = nil) {
        let (uuid, state) = (vm ?? rig.world.uuid("orders"), state(content))
        rig.world.change { $0.hosts[host]?.firmware[uuid] = state }
    }

    private func firmware(_ rig: Rig, at host: String, vm: String? = nil) -> FirmwareState? {
        let uuid = vm ?? rig.world.uuid("orders")
        return rig.world.state.withLock { $0.hosts[host]?.firmware[uuid] }
    }

    @Test("Each point has its own; failover, undo, commit and reverse carry the right one")
    func travels() async throws {
        let rig = try await rig()
        set(rig, at: "a", 2)
        try await rig.cycle()
        set(rig, at: "a", 3)
        try await rig.run(.unplannedFailover)
        #expect(firmware(rig, at: "b") == state(2), "as it was at the point")
        #expect(
            rig.world.domain("orders", at: "b")?.definition.nvramPath
                == "/nvram/perilune-\(rig.world.uuid("orders"))_VARS.fd")
        set(rig, at: "b", 9)
        try await rig.run(.undo)
        #expect(firmware(rig, at: "a") == state(3), "an undo overwrites nothing of the source")
        #expect(rig.world.domain("orders", at: "a")?.definition.nvramPath?.hasSuffix("orders_VARS.fd") == true)
        try await rig.run(.plannedFailover)
        #expect(firmware(rig, at: "b") == state(3))
        set(rig, at: "b", 4)
        try await rig.run(.commit)
        try await rig.run(.reverse)
        try await rig.run(.plannedFailover)
        #expect(firmware(rig, at: "a") == state(4))
        #expect(rig.world.violations == [])
    }

    @Test("A test VM has a copy of its own")
    func tested() async throws {
        let rig = try await rig()
        try await rig.run(.testFailover)
        let test = try #require(try await rig.relationship().test)
        #expect(firmware(rig, at: "b", vm: test.vmUUID) == state(1))
        #expect(firmware(rig, at: "b") == nil)
        try await rig.run(.cleanUpTest)
        #expect(rig.world.violations == [])
    }

    @Test("A point without it says so, and the VM starts with fresh ones")
    func without() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        rig.world.change { state in
            guard var store = state.hosts["b"]?.stores[id] else { return }
            store.points[0].firmware = nil
            state.hosts["b"]?.stores[id] = store
        }
        let job = try await rig.run(.unplannedFailover)
        #expect(job.facts["findings"]?.contains("does not have UEFI variables and the TPM's state") == true)
        #expect(rig.world.domain("orders", at: "b")?.definition.nvramPath == nil, "libvirt makes it from its template")
    }

    @Test("A target whose agent would forget it makes no point")
    func oldAgent() async throws {
        let rig = try await rig()
        rig.world.change { $0.hosts["b"]?.hasOldAgent = true }
        rig.clock.advance(seconds: 30)
        let error = try await engineError { try await rig.run(.sync) }
        #expect(error.message.contains("keeps no UEFI variables") && error.hint?.contains("same version") == true)
        #expect(try await rig.points().count == 1)
    }

    @Test("A point whose copy is damaged is refused before anything is claimed")
    func damaged() async throws {
        let rig = try await rig()
        try await rig.cycle()
        let id = try await rig.relationship().id
        rig.world.change { state in
            guard var store = state.hosts["b"]?.stores[id], !store.points.isEmpty else { return }
            store.points[store.points.count - 1].firmware = FirmwareState(files: [])
            state.hosts["b"]?.stores[id] = store
        }
        for point in ["latest", "2"] {
            _ = try await engineError { try await rig.run(.unplannedFailover, "orders", ["point": point]) }
            #expect(try await rig.relationship().owner == "a")
            #expect(rig.world.domain("orders", at: "a")?.power == .running, "it is refused before the source is ended")
        }
        let others = rig.world.store(id, at: "b").points
        if others.count > 1 { try await rig.run(.unplannedFailover, "orders", ["point": "1"]) }
        #expect(others.count < 2 || firmware(rig, at: "b") == state(1))
    }

    @Test("A VM that has got what no point can take is not shut down for its last point")
    func unreadable() async throws {
        let rig = try await rig()
        let uuid = rig.world.uuid("orders")
        let xml = try #require(rig.world.domain("orders", at: "a")).definition.xml
        let other = "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>"
        let tpm = try Regex("<tpm.*</tpm>").dotMatchesNewlines()
        let definition = try DomainDefinition(xml: xml.replacing(tpm, with: other))
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.definition = definition }
        let error = try await engineError { try await rig.run(.plannedFailover) }
        #expect(error.message.contains("passthrough"))
        #expect(rig.world.domain("orders", at: "a")?.power == .running)
    }

    @Test(
        "What no point can take is refused before anything is written",
        arguments: [
            (
                "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
                "passthrough"
            ),
            ("<tpm><backend type='emulator' version='2.0'><encryption secret='x'/></backend></tpm>", "encrypted"),
        ])
    func refused(_ tpm: String, _ word: String) async throws {
        let rig = try await Rig(vms: [])
        try rig.world.addVM("orders", at: "a", disks: ["vda": [0: 1]], network: "prod-a", extraDevices: tpm)
        let error = try await engineError { try await rig.protect() }
        #expect(error.kind == .invalid && error.message.contains(word) && error.hint != nil)
        #expect(try await rig.vault.read { try $0.objects(Relationship.self).isEmpty })
    }
}
