import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Rules of recovering the control plane, 31 to 34")
struct ControlPlaneRuleTests {
    private func rig() async throws -> Rig {
        let rig = try await Rig(managementVM: "vmm01", vms: ["vmm01", "orders"])
        let hosts = try await rig.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        try await rig.engine.replicate(
            vm: "vmm01", from: hosts[0], to: hosts[1], policy: try await rig.policy(), networks: ["mgmt-a": "mgmt-b"])
        try await rig.protect()
        return rig
    }

    @Test("rule 31: in an outage the management server's VM comes first and is seen running")
    func first() async throws {
        let rig = try await rig()
        rig.world.lose("a")
        let word = ["source": "declared lost"]
        for operation in [SiteModel.Operation.unplannedFailover, .testFailover, .unprotect] {
            #expect(try await engineError { try await rig.run(operation) }.rule == "management-server-first")
        }
        try await rig.run(.unplannedFailover, "vmm01", word)
        try await rig.run(.unplannedFailover, "orders", word)
        #expect(rig.world.power("orders", at: "b") == .running)
    }

    @Test(
        "rule 31: a test is cleaned up while the management server's VM is down, and what only ends copying may be done"
    )
    func cleanUpWithoutServer() async throws {
        let rig = try await rig()
        try await rig.cycle()
        try await rig.run(.testFailover, "orders", ["within": "60", "keep": "true"])
        rig.world.shutDownInside("vmm01", at: "a")
        #expect(try await engineError { try await rig.run(.unplannedFailover) }.rule != nil)
        rig.clock.advance(seconds: 61)
        #expect(try await rig.engine("starts").recoverOpenJobs().map(\.job.operation) == [.cleanUpTest])
        #expect(try await rig.relationship().state == .protected)
        #expect(
            try await engineError { try await rig.run(.plannedFailover) }.rule == "management-server-first")
        try await rig.run(.pause)
        #expect(try await engineError { try await rig.run(.resume) }.rule == "management-server-first")
        try await rig.run(.unprotect)
        #expect(try await rig.relationship().state == .unprotected)
    }

    @Test("rule 32: the management server is back home and protected before workloads are reversed")
    func homeFirst() async throws {
        let rig = try await rig()
        for vm in ["vmm01", "orders"] {
            try await rig.run(.unplannedFailover, vm)
            try await rig.run(.commit, vm)
        }
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "management-server-home-first")
        try await rig.run(.reverse, "vmm01")
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "management-server-home-first")
        try await rig.run(.plannedFailover, "vmm01")
        try await rig.run(.commit, "vmm01")
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "management-server-home-first")
        try await rig.run(.reverse, "vmm01")
        try await rig.run(.reverse)
        #expect(try await rig.relationship().state == .protected)
    }

    @Test("rule 33: there is no database to recover first: another engine goes on from the vault alone")
    func noDatabase() async throws {
        let rig = try await rig()
        rig.world.lose("a")
        let word = ["source": "declared lost"]
        let another = rig.engine("another")
        try await rig.run(.unplannedFailover, "vmm01", word, by: another)
        try await rig.run(.unplannedFailover, "orders", word, by: another)
        #expect(try await rig.relationship().state == .failedOver)
    }

    @Test("rule 34: no vault is shared between machines by a file system; a check tells of one that lies on a network")
    func noSharedVault() throws {
        let row = JudgingCase<VaultFacts>("on a share", "vault-file-system", .fail, "nfs4") {
            $0.place?.networkFileSystem = "nfs4"
        }
        try row.judge(.healthy, by: VaultChecks.all)
    }
}
