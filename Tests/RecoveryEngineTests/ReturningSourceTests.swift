import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

@Suite("A source that was given up, and is there after all, never runs beside its replica")
struct ReturningSourceTests {
    private let lost = ["source": "declared lost"]

    private func rig() async throws -> Rig { try await Undertaking.unplannedFailover.rig(points: 2) }

    private func hold(_ rig: Rig, _ operation: SiteModel.Operation, before stage: StageName) async throws {
        let arguments = operation == .unplannedFailover ? lost : [:]
        let job = try await rig.engine.perform(
            operation, on: try await rig.relationship().id, arguments: arguments, hold: stage)
        try #require(job.isHeld)
    }

    private func critical(_ rig: Rig, _ word: String) async throws -> Int {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }
            .filter { $0.severity == .critical && $0.text.contains(word) }.count
    }

    /// Looks at all hosts once; what the watch had to say.
    private func watch(_ rig: Rig) async throws -> [WatchNews] {
        let news = Mutex<[WatchNews]>([])
        try await SiteWatch(engine: rig.engine) { one in news.withLock { $0.append(one) } }.look()
        return news.withLock { $0 }
    }

    private func isQuiet(_ rig: Rig, _ vm: String = "orders") -> Bool {
        guard let domain = rig.world.domain(vm, at: "a") else { return false }
        return domain.power == .paused && !domain.linksAreUp
    }

    // MARK: Between the claim and the start

    @Test(arguments: [StageName.define, .connect, .start])
    func sourceThatReturnsAfterTheClaimIsSuspendedBeforeTheStart(_ stage: StageName) async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await hold(rig, .unplannedFailover, before: stage)
        rig.world.bringBack("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        #expect(isQuiet(rig))
        #expect(rig.world.power("orders", at: "b") == .running)
        let after = try await rig.relationship()
        #expect(after.formerCopy?.host == "a" && after.formerCopy?.state == .suspended)
        #expect(try await critical(rig, "came back running at a") == 1)
        #expect(rig.world.violations == [])
        #expect(try await watch(rig) == [])
    }

    @Test func failoverWaitsForASourceThatCannotBeSuspended() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await hold(rig, .unplannedFailover, before: .start)
        rig.world.change { $0.hosts["a"]?.endsFail = true }
        rig.world.bringBack("a")
        let error = try await engineError { try await rig.run(.unplannedFailover, "orders", lost) }
        #expect("\(error)".contains("start"))
        #expect(rig.world.power("orders", at: "b")?.isActive == false)
        rig.world.change { $0.hosts["a"]?.endsFail = false }
        try await rig.run(.unplannedFailover, "orders", lost)
        #expect(isQuiet(rig))
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.violations == [])
    }

    @Test func watchSuspendsTheFormerOwnerOfAFailoverThatStands() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await hold(rig, .unplannedFailover, before: .define)
        rig.world.bringBack("a")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "a", .suspended)])
        #expect(isQuiet(rig))
        #expect(try await watch(rig) == [], "told once")
        try await rig.run(.unplannedFailover, "orders", lost)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(try await critical(rig, "came back running at a") == 1)
        #expect(rig.world.violations == [])
    }

    /// Before the claim the VM is the job's alone.
    @Test func watchLeavesASourceThatStillOwns() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await hold(rig, .unplannedFailover, before: .claimOwnership)
        rig.world.bringBack("a")
        #expect(try await watch(rig) == [])
        #expect(rig.world.power("orders", at: "a") == .running)
    }

    // MARK: Nobody's word against what is seen

    @Test(arguments: [nil, "declared lost"])
    func sourceThatCannotBeEndedIsNotFailedOver(_ word: String?) async throws {
        let rig = try await rig()
        rig.world.setIgnoresShutdown("orders", at: "a", true)
        rig.world.change { $0.hosts["a"]?.endsFail = true }
        let arguments = word.map { ["source": $0] } ?? [:]
        let error = try await engineError { try await rig.run(.unplannedFailover, "orders", arguments) }
        #expect(error.kind == .sourceNotDown && error.rule == "source-must-be-down")
        #expect(error.hint?.contains("fence") == true)
        let after = try await rig.relationship()
        #expect(after.owner == "a" && after.epoch == 1 && after.activeJob == nil)
        #expect(rig.world.power("orders", at: "a") == .running && rig.world.power("orders", at: "b") == nil)

        rig.world.change { $0.hosts["a"]?.endsFail = false }
        try await rig.run(.unplannedFailover, "orders", arguments)
        #expect(rig.world.power("orders", at: "b") == .running && rig.world.power("orders", at: "a") == .off)
        #expect(rig.world.violations == [])
    }

    // MARK: Claims

    @Test func targetWhoseAgentIsAwayClaimsNothing() async throws {
        let rig = try await rig()
        try await hold(rig, .plannedFailover, before: .claimOwnership)
        #expect(rig.world.power("orders", at: "a") == .off)
        rig.world.fallIll("b", .agentHangs)
        let error = try await engineError { try await rig.run(.plannedFailover) }
        #expect(error.kind == .unreachable)
        let after = try await rig.relationship()
        #expect(after.owner == "a" && after.epoch == 1 && after.activeJob == nil && after.state == .protected)
        #expect(rig.world.power("orders", at: "a") == .running, "it was shut down for nothing")
        rig.world.recover("b")
        try await rig.run(.plannedFailover)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.violations == [])
    }

    /// The vault has taken any of the job's writes, and the engine hears that it has not.
    @Test func jobThatHasClaimedIsNeverGivenUp() async throws {
        var (write, claimed) = (1, 0)
        while true {
            let rig = try await rig()
            let fuse = Fuse(.loseWriteAnswer(write))
            _ = try? await rig.run(.plannedFailover, by: rig.engine("hears nothing", fuse: fuse))
            guard fuse.wentOff else { break }
            let comment: Comment = "write \(write)"
            let after = try await rig.relationship()
            if after.owner == "b" {
                claimed += 1
                #expect(rig.world.power("orders", at: "a") == .off, comment)
                #expect(after.activeJob != nil || after.state == .failedOver, comment)
            } else if after.activeJob == nil {
                #expect(rig.world.power("orders", at: "a") == .running, comment)
            }
            if after.state != .failedOver { try await rig.run(.plannedFailover, by: rig.engine("goes on")) }
            #expect(rig.world.power("orders", at: "b") == .running, comment)
            #expect(rig.world.violations == [], comment)
            write += 1
        }
        #expect(claimed >= 1)
    }

    @Test func guestIsNotGivenBackToAHostThatKnowsOfALaterOwner() async throws {
        let rig = try await rig()
        let (id, uuid, world) = (try await rig.relationship().id, rig.world.uuid("orders"), rig.world)
        world.setFreeBlocks(0, at: "b")
        world.write("orders", at: "a", [40: 40])
        let fuse = Fuse(.runAfterEffect("a.send-point")) {
            world.change {
                $0.hosts["a"]?.stores[id]?.ownership = OwnershipRecord(
                    relationship: id, vmUUID: uuid, owner: "b", epoch: 7, host: "a")
            }
        }
        _ = try await engineError { try await rig.run(.plannedFailover, by: rig.engine("gives up", fuse: fuse)) }
        #expect(fuse.wentOff)
        #expect(world.power("orders", at: "a") == .off)
        #expect(try await critical(rig, "could not be started again") == 1)
        #expect(world.violations == [])
    }

    // MARK: Half a host

    @Test func formerCopyIsSuspendedWhileItsAgentIsAway() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        rig.world.fallIll("a", .agentHangs)
        rig.world.bringBack("a")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "a", .suspended)])
        #expect(isQuiet(rig))
        #expect(rig.world.domain("orders", at: "a")?.definition.ownership?.epoch == 2, "enough for the hook")
        #expect(try await watch(rig) == [])

        rig.world.recover("a")
        #expect(try await watch(rig) == [])
        let id = try await rig.relationship().id
        #expect(rig.world.store(id, at: "a").ownership?.epoch == 2)
    }

    /// A host that failed the VM over with no vault is not to be stopped on the word of a vault that knows less.
    @Test func copyOfALaterEpochIsLeftAlone() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        let (id, uuid) = (try await rig.relationship().id, rig.world.uuid("orders"))
        try rig.world.change {
            try $0.hosts["a"]?.domains[uuid]?.definition.setOwnership(
                Ownership(relationship: id, owner: "a", epoch: 3))
        }
        rig.world.fallIll("a", .agentHangs)
        rig.world.bringBack("a")
        _ = try await watch(rig)
        #expect(rig.world.power("orders", at: "a") == .running)
        #expect(try await critical(rig, "vault is behind") == 1)
    }

    @Test func definitionIsMarkedWhereTheAgentTakesNoRecord() async throws {
        let rig = try await rig()
        rig.world.fallIll("a", .agentHangs)
        try await rig.run(.unplannedFailover)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.domain("orders", at: "a")?.definition.ownership?.epoch == 2)
        #expect(rig.world.violations == [])
    }

    @Test func recordThatCannotBeReadHidesNoOther() async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        rig.world.cutOff("a")
        for vm in ["orders", "stock"] { try await rig.run(.unplannedFailover, vm, lost) }
        let damaged = try await rig.relationship("orders").id
        rig.world.change { _ = $0.hosts["a"]?.damagedRecords.insert(damaged) }
        rig.world.bringBack("a")
        let news = try await watch(rig)
        #expect(isQuiet(rig) && isQuiet(rig, "stock"))
        for vm in ["orders", "stock"] { #expect(news.contains(.formerCopy(vm: vm, host: "a", .suspended))) }
        let troubles = news.compactMap { one -> String? in
            guard case .trouble(let vm, let text) = one, text.contains("cannot be read") else { return nil }
            return vm
        }
        #expect(troubles == ["orders"])
    }

    @Test func standingsNameTheRecordThatCannotBeRead() throws {
        let store = try Scratch()
        defer { store.remove() }
        let folder = URL(filePath: store("ownership"))
        try store.folder("ownership")
        let (good, bad) = (UUID().uuidString.lowercased(), UUID().uuidString.lowercased())
        let record = OwnershipRecord(relationship: good, vmUUID: good, owner: "a", epoch: 1, host: "a")
        try JSONEncoder().encode(record).write(to: folder.appending(path: "\(good).json"))
        try Data("{".utf8).write(to: folder.appending(path: "\(bad).json"))
        let standings = try OwnershipRecords(reading: store.path, runtime: store.path).standings()
        #expect(standings.compactMap(\.record) == [record])
        #expect(standings.compactMap(\.fault?.relationship) == [bad])
        #expect(standings.compactMap(\.fault?.hint).allSatisfy { !$0.isEmpty })
        let again = try JSONDecoder().decode([OwnershipStanding].self, from: JSONEncoder().encode(standings))
        #expect(again == standings)
    }

    // MARK: After the end of protection

    @Test(arguments: [true, false])
    func formerOwnerThatWasNeverSeenIsWatchedForAfterUnprotect(_ runs: Bool) async throws {
        let rig = try await rig()
        if runs { rig.world.cutOff("a") } else { rig.world.lose("a") }
        try await rig.run(.unplannedFailover, "orders", lost)
        try await rig.run(.commit)
        try await rig.run(.unprotect)
        #expect(try await rig.relationship().unseenCopy == "a")
        #expect(try await watch(rig) == [])

        rig.world.bringBack("a")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "a", runs ? .suspended : .stopped)])
        #expect(runs ? isQuiet(rig) : rig.world.power("orders", at: "a") == .off)
        #expect(rig.world.power("orders", at: "b") == .running)
        let after = try await rig.relationship()
        #expect(after.unseenCopy == nil && after.state == .unprotected)
        #expect(rig.world.store(after.id, at: "a").ownership == nil)
        #expect(rig.world.domain("orders", at: "a")?.definition.ownership?.owner == "b")

        // Seen once, it is the operator's own: whoever starts it now means it.
        rig.world.kill("orders", at: "b")
        rig.world.startByHand("orders", at: "a")
        #expect(try await watch(rig) == [])
        #expect(rig.world.power("orders", at: "a") == .running)
    }

    @Test func formerOwnerThatWasSeenOffIsNotWatchedFor() async throws {
        let rig = try await rig()
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        try await rig.run(.commit)
        rig.world.bringBack("a")
        try await rig.run(.unprotect)
        #expect(try await rig.relationship().unseenCopy == nil)
    }

    // MARK: The way back

    /// The former copy was suspended, and its host has been booted since: nothing there tells of its links.
    @Test func undoStartsTheSourceWithItsLinksUp() async throws {
        let rig = try await rig()
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        rig.world.bringBack("a")
        _ = try await watch(rig)
        #expect(isQuiet(rig))
        let id = try await rig.relationship().id
        rig.world.kill("orders", at: "a")
        rig.world.change { _ = $0.hosts["a"]?.unconfirmed.insert(id) }
        _ = try await watch(rig)
        #expect(try await rig.relationship().formerCopy?.state == .stopped)
        try await rig.run(.undo)
        let domain = try #require(rig.world.domain("orders", at: "a"))
        #expect(domain.power == .running && domain.linksAreUp)
    }
}
