import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

/// Where the operator says that the source is lost, and its hypervisor answers without saying whether the VM runs, the word is
/// not taken until the host is silent; a fence is proof all the same.
@Suite("A source that answers, and fails at whatever it is asked, holds up no failover")
struct SickSourceTests {
    enum Word: String, CaseIterable, Sendable {
        case declaredLost = "declared lost"
        case fence
    }

    private func rig(_ word: Word) async throws -> Rig {
        let rig = try await Undertaking.unplannedFailover.rig(points: 2)
        // The fence ends the guests; what ails the host goes on ailing.
        rig.world.state.withLock { $0.fenceEndsGuestsOnly = true }
        return rig
    }

    /// Where the operator says that the source is lost, its guest is; where it is fenced, the fence ends it.
    private static func fallIll(_ world: FakeWorld, _ ailment: Ailment, _ word: Word) {
        world.fallIll("a", ailment, ending: word == .fence || ailment.leavesHypervisor ? [] : ["orders"])
    }

    private func expectFailedOver(_ rig: Rig, _ comment: Comment) async throws {
        let after = try await rig.relationship()
        #expect(after.state == .failedOver, comment)
        #expect(after.owner == "b" && after.activeJob == nil, comment)
        #expect(rig.world.power("orders", at: "b") == .running, comment)
        #expect(rig.world.power("orders", at: "a") == .off, comment)
        #expect(rig.world.violations == [], comment)
    }

    @Test(arguments: Word.allCases, Ailment.allCases)
    func illBeforeTheFailover(_ word: Word, _ ailment: Ailment) async throws {
        let rig = try await rig(word)
        Self.fallIll(rig.world, ailment, word)
        if word == .declaredLost, ailment == .hypervisorCallsFail {
            try await expectHeldUpUntilSilent(rig, word, "\(ailment)")
        }
        try await rig.run(.unplannedFailover, "orders", ["source": word.rawValue])
        try await expectFailedOver(rig, "\(ailment)")
    }

    private func expectHeldUpUntilSilent(_ rig: Rig, _ word: Word, _ comment: Comment) async throws {
        let error = try await engineError {
            try await rig.run(.unplannedFailover, "orders", ["source": word.rawValue])
        }
        #expect(error.hint?.contains("fence") == true, comment)
        #expect(rig.world.power("orders", at: "b")?.isActive != true, comment)
        rig.world.lose("a")
    }

    /// After any of the job's writes, the claim of ownership among them.
    @Test(arguments: Word.allCases, Ailment.allCases)
    func illInTheMiddleOfTheFailover(_ word: Word, _ ailment: Ailment) async throws {
        var incidents = 0
        while true {
            let rig = try await rig(word)
            let world = rig.world
            let fuse = Fuse(.runAfterWrite(incidents + 1)) { Self.fallIll(world, ailment, word) }
            let comment: Comment = "write \(incidents + 1)"
            do {
                try await rig.run(
                    .unplannedFailover, "orders", ["source": word.rawValue], by: rig.engine("drives", fuse: fuse))
            } catch {
                guard word == .declaredLost, ailment == .hypervisorCallsFail else {
                    Issue.record("\(comment): \(error)")
                    return
                }
                #expect(rig.world.power("orders", at: "b")?.isActive != true, comment)
                world.lose("a")
                try await rig.run(.unplannedFailover, "orders", ["source": word.rawValue])
            }
            guard fuse.wentOff else { break }
            incidents += 1
            try await expectFailedOver(rig, comment)
        }
        #expect(incidents >= 10)
    }

    @Test(arguments: Ailment.allCases, ["a", "b"])
    func statusIsShownAllTheSame(_ ailment: Ailment, _ host: String) async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        rig.world.fallIll(host, ailment)
        let rows = try await rig.engine.status()
        #expect(rows.map(\.relationship.name).sorted() == ["orders", "stock"])
        for row in rows {
            let sync = row.verdicts.first { $0.operation == .sync }
            if ailment == .agentHangs || ailment == .hypervisorFails {
                #expect(sync?.refusal?.rule.id == "both-sites-needed")
            }
        }
    }

    /// The owner is well, the other side is not: what concerns the owner alone goes on.
    @Test(arguments: Ailment.allCases)
    func sickSourceHoldsUpNoCommit(_ ailment: Ailment) async throws {
        let rig = try await Undertaking.commit.rig(points: 2)
        rig.world.fallIll("a", ailment)
        try await rig.run(.commit)
        #expect(try await rig.relationship().state == .committed)
        rig.world.recover("a")
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }
}
