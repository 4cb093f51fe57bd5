import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("What a rule forbids is refused with rule and hint, and changes nothing")
struct RefusalTests {
    /// Everything that the vault holds.
    private struct Contents: Equatable, Sendable {
        var relationships: [Stored<Relationship>]
        var items: [Stored<ProtectedItem>]
        var points: [Stored<RecoveryPoint>]
        var jobs: [Stored<Job>]
        var clouds: [Stored<Cloud>]
        var pairs: [Stored<CloudPair>]
        var events: [Event]

        init(_ rig: Rig) async throws {
            self = try await rig.vault.read { vault in try Contents(vault) }
        }

        private init(_ vault: any VaultReader) throws {
            relationships = try vault.objects(Relationship.self)
            items = try vault.objects(ProtectedItem.self)
            points = try vault.objects(RecoveryPoint.self)
            jobs = try vault.objects(Job.self)
            clouds = try vault.objects(Cloud.self)
            pairs = try vault.objects(CloudPair.self)
            events = try vault.events(about: nil, limit: 10_000)
        }
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        var name: String
        var rule: String
        var prepare: @Sendable (Rig) async throws -> Void
        var attempt: @Sendable (Rig) async throws -> Void
        var testDescription: String { name }
    }

    static let table: [Refused] = [
        Refused(name: "reverse before commit", rule: "commit-before-reverse") { rig in
            try await rig.run(.unplannedFailover)
        } attempt: { rig in
            try await rig.run(.reverse)
        },
        Refused(name: "failover while the management server is down", rule: "management-server-first") { rig in
            rig.world.kill("vmm01", at: "a")
        } attempt: { rig in
            try await rig.run(.unplannedFailover)
        },
        Refused(name: "reverse before the management server is home", rule: "management-server-home-first") { rig in
            for vm in ["vmm01", "orders"] {
                try await rig.run(.unplannedFailover, vm)
                try await rig.run(.commit, vm)
            }
        } attempt: { rig in
            try await rig.run(.reverse)
        },
        Refused(name: "unknown point", rule: "recovery-point-unknown") { _ in
        } attempt: { rig in
            try await rig.run(.unplannedFailover, "orders", ["point": "77"])
        },
        Refused(name: "management VM in a cloud", rule: "management-vm-outside-clouds") { _ in
        } attempt: { rig in
            try await rig.protect("vmm01")
        },
        Refused(name: "protecting twice", rule: "already-protected") { _ in
        } attempt: { rig in
            try await rig.protect("orders")
        },
        Refused(name: "sync with the source lost", rule: "both-sites-needed") { rig in
            try await rig.run(.unplannedFailover, "vmm01")
            rig.world.lose("a")
        } attempt: { rig in
            try await rig.run(.sync)
        },
        Refused(name: "undo with the source lost", rule: "both-sites-needed") { rig in
            try await rig.run(.unplannedFailover, "vmm01")
            rig.world.lose("a")
            try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        } attempt: { rig in
            try await rig.run(.undo)
        },
        Refused(name: "a cloud that is not paired", rule: "pair-required") { _ in
        } attempt: { rig in
            let server = try await rig.cloud().server
            let lone = try await rig.engine.ensureCloud(name: "lone", server: server, hosts: [])
            try await rig.engine.protect(vm: "orders", in: lone)
        },
    ]

    private func rig() async throws -> Rig {
        let rig = try await Rig(managementVM: "vmm01", vms: ["vmm01", "orders"])
        let hosts = try await rig.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        try await rig.engine.replicate(
            vm: "vmm01", from: hosts[0], to: hosts[1], policy: try await rig.policy(), networks: ["mgmt-a": "mgmt-b"])
        try await rig.protect()
        let server = try await rig.cloud().server
        try await rig.engine.ensureCloud(name: "lone", server: server, hosts: [])
        return rig
    }

    @Test(arguments: table)
    func changesNothing(_ refused: Refused) async throws {
        let rig = try await rig()
        try await refused.prepare(rig)
        let before = try await Contents(rig)
        let disks = [rig.disks(at: "a"), rig.disks(at: "b")]
        let error = try await engineError { try await refused.attempt(rig) }
        #expect(error.kind == .refused)
        #expect(error.rule == refused.rule)
        #expect(error.hint?.isEmpty == false)
        #expect(error.object != nil)
        #expect(try await Contents(rig) == before)
        #expect([rig.disks(at: "a"), rig.disks(at: "b")] == disks)
        #expect(rig.world.violations == [])
    }

    /// What a VM keeps where no point can take it from would be missed after a failover.
    @Test(arguments: [
        ["<os><nvram type='network'/></os>", "", "UEFI"],
        ["", "<tpm model='tpm-tis'><backend type='passthrough'/></tpm>", "TPM"],
    ])
    func stateOutsideTheDisksIsNotProtected(_ row: [String]) async throws {
        let rig = try await rig()
        try rig.world.addVM(
            "uefi", at: "a", disks: ["vda": [0: 1]], network: "prod-a", os: row[0], extraDevices: row[1])
        let before = try await Contents(rig)
        let error = try await engineError { try await rig.protect("uefi") }
        #expect(error.kind == .invalid)
        #expect(error.message.contains(row[2]))
        #expect(error.hint?.isEmpty == false)
        #expect(error.object == "uefi")
        #expect(try await Contents(rig) == before)
        #expect(rig.world.domain("uefi", at: "a")?.autostart == true)
    }

    @Test func secondOperationWhileOneIsOpen() async throws {
        let rig = try await rig()
        let fuse = Fuse(.dieAfterEffect(2))
        _ = try? await rig.run(.sync, by: rig.engine("dies", fuse: fuse))
        let before = try await Contents(rig)
        let error = try await engineError { try await rig.run(.plannedFailover) }
        #expect(error.rule == "operation-in-progress")
        #expect(try await Contents(rig) == before)
    }

    @Test func sourceOfWhichNobodyKnowsIsNotFailedOver() async throws {
        for broken in [true, false] {
            let rig = try await rig()
            try await rig.run(.unplannedFailover, "vmm01")
            if broken {
                rig.world.state.withLock { $0.fenceIsBroken = true }
            } else {
                rig.world.cutOff("a")
            }
            let arguments = broken ? ["source": "fence"] : [:]
            let error = try await engineError { try await rig.run(.unplannedFailover, "orders", arguments) }
            #expect(error.kind == .sourceNotDown)
            #expect(error.rule == "source-must-be-down")
            // Who asked for a fence is told what came of it, not to ask for one.
            #expect(error.message.contains("the fence is broken") == broken)
            #expect(error.hint?.hasPrefix("mend the fence") == broken)
            let after = try await rig.relationship()
            #expect(after.state == .protected && after.owner == "a" && after.epoch == 1 && after.failover == nil)
            #expect(rig.world.power("orders", at: "a") == .running)
            #expect(rig.world.power("orders", at: "b") == nil)
        }
    }

    @Test func guestThatIgnoresTheShutdownRunsOnAtItsSource() async throws {
        let rig = try await rig()
        rig.world.setIgnoresShutdown("orders", at: "a", true)
        let error = try await engineError {
            try await rig.run(.plannedFailover, "orders", ["shutdown_limit": "5"])
        }
        #expect(error.kind == .shutdownTimedOut)
        #expect(rig.world.power("orders", at: "a") == .running)
        #expect(try await rig.relationship().state == .protected)
        rig.world.setIgnoresShutdown("orders", at: "a", false)
        try await rig.run(.plannedFailover)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.violations == [])
    }

    @Test func failoverThatIsGivenUpLetsTheGuestRunOnOnlyIfItRan() async throws {
        for running in [true, false] {
            let rig = try await rig()
            rig.world.write("orders", at: "a", [1: 1, 2: 2, 3: 33])
            if !running { rig.world.shutDownInside("orders", at: "a") }
            rig.world.setFreeBlocks(0, at: "b")
            let error = try await engineError { try await rig.run(.plannedFailover) }
            #expect(error.kind == .failed)
            #expect(rig.world.power("orders", at: "a") == (running ? .running : .off))
            #expect(try await rig.relationship().state == .protected)
        }
    }
}
