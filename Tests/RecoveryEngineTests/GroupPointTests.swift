import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Group points: several VMs at one instant, whole for all or for none")
struct GroupPointTests {
    private static let vms = ["orders", "stock", "web"]

    private func rig(points: Int = 4) async throws -> Rig {
        let rig = try await Rig(points: points, vms: Self.vms)
        for vm in Self.vms { try await rig.protect(vm) }
        return rig
    }

    private func ids(_ rig: Rig) async throws -> [String] {
        var ids: [String] = []
        for vm in Self.vms { ids.append(try await rig.relationship(vm).id) }
        return ids
    }

    private func make(
        _ rig: Rig, _ name: String = "g", _ consistency: PointConsistency = .crash, by engine: RecoveryEngine? = nil
    ) async throws -> GroupPoint {
        try await (engine ?? rig.engine).makeGroupPoint(
            named: name, of: try await ids(rig), consistency: consistency)
    }

    private func groups(_ rig: Rig) async throws -> [GroupPoint] {
        try await rig.vault.read { try $0.objects(GroupPoint.self).map(\.value) }
    }

    private func expectNoneHeld(_ rig: Rig, _ comment: Comment? = nil) async throws {
        for vm in Self.vms {
            let domain = try #require(rig.world.domain(vm, at: "a"))
            #expect(domain.power == .running && !domain.isFrozen, comment)
            #expect(try await rig.relationship(vm).heldGuest == nil, comment)
        }
        #expect(rig.world.violations == [], comment)
    }

    @Test(arguments: PointConsistency.allCases)
    func allAreHeldWhileAllBackupsBegin(_ consistency: PointConsistency) async throws {
        let rig = try await rig()
        let fuse = Fuse()
        let group = try await make(rig, "g", consistency, by: rig.engine("groups", fuse: fuse))
        #expect(group.state == .whole && group.consistency == consistency && group.crashReason == nil)
        let calls = fuse.effects.filter { ["a.hold", "a.begin-backup", "a.let-go"].contains($0) }
        #expect(
            calls == Array(repeating: "a.hold", count: 3) + Array(repeating: "a.begin-backup", count: 3)
                + Array(repeating: "a.let-go", count: 3))
        for vm in Self.vms {
            let point = try #require(try await rig.points(vm).last)
            #expect(point.group == "g" && point.consistency == consistency && point.at == group.at)
            #expect(group.generation(of: try await rig.relationship(vm).id) == point.id)
            #expect(rig.world.domain(vm, at: "a")?.begunWhileHeld.count == 1)
        }
        try await expectNoneHeld(rig)
    }

    @Test func guestWithoutAgentMakesAllPauseAndTheGroupSaysWhy() async throws {
        let rig = try await rig()
        let uuid = rig.world.uuid("web")
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.agent = .absent }
        let group = try await make(rig, "g", .application)
        #expect(group.state == .whole && group.consistency == .crash)
        #expect(group.crashReason?.contains("web") == true)
        try await expectNoneHeld(rig)
    }

    @Test func guestThatMayFreezeLateStaysNotedAlthoughTheOthersWerePaused() async throws {
        let rig = try await rig()
        let uuid = rig.world.uuid("web")
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.agent = .freezesForGood }
        let group = try await make(rig, "g", .application)
        #expect(group.state == .whole && group.consistency == .crash)
        #expect(rig.world.domain("web", at: "a")?.isFrozen == true)
        #expect(try await rig.relationship("web").heldGuest?.holds == [.frozen])
        #expect(try await rig.relationship("orders").heldGuest == nil)
        #expect(try await rig.vault.read { try $0.events(about: nil, limit: 100) }.contains { $0.code == "guest-held" })
        // A further instant does not make anybody forget it.
        try await rig.cycle("web")
        _ = try await make(rig, "h", .crash)
        #expect(try await rig.relationship("web").heldGuest?.holds == [.frozen])
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.agent = .answers }
        try await rig.engine.releaseHeldGuests()
        try await expectNoneHeld(rig)
    }

    @Test func aMemberThatFailsLeavesNoGroupPointAndOrdinaryPoints() async throws {
        let rig = try await rig()
        let calm = Fuse()
        _ = try await make(rig, "calm", by: rig.engine("calm", fuse: calm))
        var failures = 0
        for number in 1...calm.effects.count {
            let rig = try await self.rig()
            do {
                _ = try await make(rig, by: rig.engine("fails", fuse: Fuse(.failEffect(number))))
                #expect(try await groups(rig).map(\.state) == [.whole])
            } catch let error as EngineError {
                failures += 1
                #expect(error.message.contains("was not made"))
                #expect(try await groups(rig).isEmpty)
                for vm in Self.vms { #expect(try await rig.points(vm).allSatisfy { $0.group == nil }) }
            }
            try await expectNoneHeld(rig, "failure \(number)")
            for vm in Self.vms { try await rig.cycle(vm) }
        }
        #expect(failures >= 3)
    }

    @Test(arguments: CrashTests.Place.allCases, PointConsistency.allCases)
    func engineThatDiesAnywhereLeavesNoGuestHeld(_ place: CrashTests.Place, _ consistency: PointConsistency)
        async throws
    {
        var (deaths, held, whole) = (0, 0, 0)
        while true {
            let rig = try await rig()
            let fuse = Fuse(place.mode(deaths + 1))
            _ = try? await make(rig, "g", consistency, by: rig.engine("dies", fuse: fuse))
            guard fuse.wentOff else { break }
            deaths += 1
            if Self.vms.contains(where: { vm in
                rig.world.domain(vm, at: "a").map { $0.isFrozen || $0.power == .paused } ?? false
            }) {
                held += 1
            }
            rig.clock.advance(seconds: 60)
            let next = rig.engine("next")
            for recovered in try await next.recoverOpenJobs() { #expect(recovered.failure == nil) }
            try await next.settleGroupPoints()
            try await expectNoneHeld(rig, "death \(deaths): \(fuse.effects.suffix(2))")
            let groups = try await groups(rig)
            #expect(groups.allSatisfy { $0.state == .whole }, "death \(deaths)")
            if let group = groups.first {
                whole += 1
                for member in group.members {
                    let point = try await rig.vault.read {
                        try $0.object(RecoveryPoint.self, id: member.generation ?? "")
                    }
                    #expect(point?.value.at == group.at && point?.value.group == "g")
                }
            }
        }
        #expect(deaths > 10)
        if place == .afterEffect { #expect(held >= 3) }
        if place == .afterWrite { #expect(whole >= 1, "a death after all is there leaves a group point") }
    }

    @Test("An engine that stood still while guests were paused leaves them to the next, which looks who owns them")
    func engineThatStandsStill() async throws {
        let rig = try await rig()
        let clock = rig.clock
        let engine = rig.engine("slow", fuse: Fuse(.runAfterEffect("a.begin-backup")) { clock.advance(seconds: 60) })
        _ = try? await make(rig, by: engine)
        #expect(Self.vms.contains { rig.world.domain($0, at: "a")?.power == .paused })
        let next = rig.engine("next")
        clock.advance(seconds: 60)
        _ = try await next.recoverOpenJobs()
        try await next.settleGroupPoints()
        try await next.releaseHeldGuests()
        try await expectNoneHeld(rig)
    }

    @Test("A point that is named as a group's is taken for named: it may lack a disk")
    func namedByItsGroup() async throws {
        let rig = try await rig()
        _ = try await make(rig, "before")
        try await rig.vault.write { vault in
            var stored = try #require(try vault.object(Relationship.self, named: "web", parent: nil))
            stored.value.unreplicated = ["vdc": "it was added, and no point with it is whole yet"]
            try vault.update(stored)
        }
        let refused = try await engineError { try await rig.run(.unplannedFailover, "web") }
        #expect(refused.message.contains("does not have its disk vdc"))
        #expect(rig.world.domain("web", at: "a")?.power == .running)
        try await rig.run(.unplannedFailover, "web", ["point": "group:before"])
        #expect(try await rig.relationship("web").owner == "b")
    }

    @Test func pointsOfTheNewestGroupsStayAndAnOlderOneGoesAsAWhole() async throws {
        let rig = try await rig(points: 0)
        for number in 1...5 {
            _ = try await make(rig, "g\(number)")
            for vm in Self.vms { try await rig.cycle(vm) }
            rig.clock.advance(seconds: 3600)
        }
        #expect(try await groups(rig).map(\.name) == ["g3", "g4", "g5"])
        for vm in Self.vms {
            let points = try await rig.points(vm)
            #expect(points.compactMap(\.group) == ["g3", "g4", "g5"])
            #expect(points.count == 4, "and the newest")
        }
    }

    @Test func eachVMIsFailedOverToItsOwnMember() async throws {
        let rig = try await rig()
        let group = try await make(rig, "before")
        for vm in Self.vms { for _ in 0..<2 { try await rig.cycle(vm) } }
        rig.world.lose("a")
        for (vm, member) in zip(Self.vms, group.members) {
            let job = try await rig.run(
                .unplannedFailover, vm, ["point": "group:before", "source": "declared lost"])
            #expect(job.facts["chosen"] == member.generation)
        }
        let error = try await engineError {
            try await rig.run(.changePoint, "web", ["point": "group:after"])
        }
        #expect(error.rule == "recovery-point-unknown")
    }

    @Test func whatCannotComeToAnythingIsRefusedBeforeAnythingBegins() async throws {
        let rig = try await rig()
        let all = try await ids(rig)
        rig.world.shutDownInside("web", at: "a")
        for vms in [all, [], [all[0], all[0]]] {
            let error = try await engineError { try await rig.engine.makeGroupPoint(named: "g", of: vms) }
            #expect(error.kind == .invalid)
        }
        _ = try await rig.engine.makeGroupPoint(named: "two", of: Array(all.prefix(2)))
        let again = try await engineError {
            try await rig.engine.makeGroupPoint(named: "two", of: Array(all.prefix(2)))
        }
        #expect(again.kind == .invalid)
        #expect(try await rig.points("web").count == 1)
    }
}
