import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("A copy of the vault that is made the vault")
struct PromotionTests {
    // MARK: Which copy a host obeys

    private static func standing(_ epoch: Int, _ promotion: String? = nil, heirTo: [String]? = nil) -> VaultStanding {
        VaultStanding(
            id: "vault", epoch: epoch,
            promotion: promotion.map { PromotionMark(id: $0, place: "m:/\($0)", at: Timestamp(milliseconds: 0)) },
            heirTo: heirTo)
    }

    @Test(
        "A host obeys the promotion that it knows, and what is heir to it",
        arguments: [
            (standing(1), standing(1), true),
            (standing(1), standing(2, "one"), true),
            (standing(2, "one"), standing(1), false),
            (standing(2, "one"), standing(2, "one"), true),
            (standing(2, "one"), standing(2, "two"), false),
            (standing(2, "one"), standing(2), false),
            (standing(2), standing(2, "one"), false),
            (standing(2), standing(2), true),
            (standing(2, "one"), standing(3, "three", heirTo: ["one"]), true),
            // Promoted by somebody who had never heard of it: that it was done twice says nothing.
            (standing(2, "one"), standing(3, "three", heirTo: ["two"]), false),
            (standing(2, "one"), standing(9, "nine"), false),
        ])
    func obeyed(_ known: VaultStanding, _ asking: VaultStanding, _ expected: Bool) throws {
        #expect(known.admits(asking) == expected)
        if expected { return try known.admit(asking) }
        let error = #expect(throws: ReplicationError.self) { try known.admit(asking) }
        #expect(error?.code == .staleEpoch && error?.hint.contains("vault promote") == true)
        #expect(error?.obeyed?.epoch == known.epoch && error?.obeyed?.promotion == known.promotion)
    }

    @Test("A refusal that is about a VM's ownership is not taken for one of the vault")
    func otherRefusal() {
        #expect(ReplicationError(.staleEpoch, "epoch 2 is over", hint: "look").obeyed == nil)
        #expect(ReplicationError(.damaged, "x", hint: "y", context: ["promoted": "3"]).obeyed == nil)
    }

    // MARK: Two copies of one vault

    /// A rig whose vault has an identity, with `orders` protected, and two copies of that vault.
    private func copies() async throws -> (rig: Rig, one: MemoryVault, two: MemoryVault) {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.vault.changeIdentity(orNew: "vault") { $0.secondPlace = .host("b") }
        return (rig, try await rig.vault.copy(), try await rig.vault.copy())
    }

    private func promote(_ vault: MemoryVault, _ place: String, _ rig: Rig) async throws -> VaultPromotion.Outcome {
        try await VaultPromotion(rig.engine(over: vault).dependencies, place: place).promote()
    }

    private func superseded(_ body: () async throws -> Void) async throws -> VaultError {
        let error = try #require(await #expect(throws: VaultError.self) { try await body() })
        #expect(error.code == .superseded)
        return error
    }

    @Test("Who only looks through a promoted copy takes no host from the vault that it works with; who acts does")
    func looking() async throws {
        let (rig, one, two) = try await copies()
        let mark = PromotionMark(id: "p", place: "alpha:/one", at: Timestamp(milliseconds: 0))
        try await one.changeIdentity(orNew: "") { $0.promote(as: mark) }
        let (promoted, former) = (rig.engine(over: one), rig.engine(over: two))
        let relationship = try await rig.relationship()
        for row in try await promoted.status() { #expect(row.next.steps.isEmpty == false) }
        _ = try await promoted.next(on: relationship)
        _ = try await promoted.verdicts(on: relationship)
        _ = try await former.perform(.sync, on: relationship.id)
        // Both copies are of the same vault, and the points at the hosts are what they are.
        try await promoted.check(.pause, on: relationship)
        _ = try await superseded { _ = try await former.perform(.sync, on: relationship.id) }
    }

    @Test("The second of two copies that were promoted apart is refused by who knows the first, and says where that is")
    func apart() async throws {
        let (rig, one, two) = try await copies()
        rig.world.cutOff("b")
        #expect(try await promote(one, "alpha:/one", rig).told == ["a"])
        rig.world.bringBack("b")
        rig.world.cutOff("a")
        #expect(try await promote(two, "beta:/two", rig).told == ["b"])
        rig.world.bringBack("a")
        let (first, second) = (try await one.identity(), try await two.identity())
        #expect(first?.epoch == 2 && second?.epoch == 2 && first?.promotion?.id != second?.promotion?.id)

        // Each is obeyed at one host and refused at the other, where it would have gone on unnoticed.
        let id = try await rig.relationship().id
        let error = try await superseded {
            _ = try await rig.engine(over: one).perform(
                .unplannedFailover, on: id, arguments: ["source": "declared lost"])
        }
        #expect(error.message.contains("beta:/two") && error.hint?.contains("promote this one") == true)
        #expect(try await one.identity()?.supersededAs == second?.promotion)
        #expect(rig.world.power("orders", at: "a") == .running && rig.world.power("orders", at: "b") == nil)
        let found = try await one.read { try $0.object(Relationship.self, id: id)?.value }
        #expect(found?.epoch == 1 && found?.activeJob == nil)
        // From now on it does not even ask.
        _ = try await superseded { _ = try await rig.engine(over: one).perform(.sync, on: id) }
        _ = try await superseded { try await SiteWatch(engine: rig.engine(over: two)) { _ in }.look() }
        #expect(rig.world.violations == [])
    }

    @Test("A host takes no ownership from a copy that it does not obey, though nobody has asked it first")
    func record() async throws {
        let (rig, one, two) = try await copies()
        _ = try await promote(two, "beta:/two", rig)
        let relationship = try await rig.relationship()
        try await one.changeIdentity(orNew: "vault") { identity in
            identity.promote(as: PromotionMark(id: "other", place: "alpha:/one", at: rig.clock.now))
        }
        let hosts = rig.engine(over: one).hosts
        let record = OwnershipRecord(
            relationship: relationship.id, vmUUID: relationship.vmUUID, owner: "b", epoch: 2, host: "b")
        _ = try await superseded { try await hosts.record(record, at: try await hosts.agent("b")) }
        #expect(rig.world.store(relationship.id, at: "b").ownership?.epoch == 1)
        try await rig.engine(over: two).hosts.record(record, at: try await hosts.agent("b"))
        let there = rig.world.store(relationship.id, at: "b").ownership
        let standing = try await two.identity()?.standing
        #expect(there?.epoch == 2 && there?.vault == standing)
    }

    @Test("A refusal that arrives once the copy has been promoted does not put it down")
    func lateRefusal() async throws {
        let (rig, one, _) = try await copies()
        let before = try #require(try await one.identity())
        _ = try await promote(one, "alpha:/one", rig)
        _ = try await one.standBack(before, for: 2, as: nil)
        #expect(try await one.identity()?.supersededBy == nil)
    }

    @Test("Promoted once more, the copy that was refused takes the other's place everywhere")
    func overruled() async throws {
        let (rig, one, two) = try await copies()
        _ = try await promote(two, "beta:/two", rig)
        _ = try await superseded { _ = try await promote(one, "alpha:/one", rig) }
        #expect(try await one.identity()?.supersededBy == 2)
        let outcome = try await promote(one, "alpha:/one", rig)
        #expect(outcome.epoch == 3 && outcome.already == nil && outcome.told == ["a", "b"])
        let id = try await rig.relationship().id
        _ = try await rig.engine(over: one).perform(.sync, on: id)
        let error = try await superseded {
            try await SiteWatch(engine: rig.engine(over: two)) { _ in }.look()
        }
        #expect(error.message.contains("alpha:/one"))
    }

    @Test("A copy that is the vault already stays as it is, and tells the hosts that did not answer before")
    func twice() async throws {
        let (rig, one, _) = try await copies()
        rig.world.cutOff("b")
        let first = try await promote(one, "alpha:/one", rig)
        #expect(first.already == nil && first.epoch == 2 && first.silent == ["b"])
        rig.clock.advance(seconds: 60)
        rig.world.bringBack("b")
        let (identity, events) = (try await one.identity(), try await one.read { try $0.lastEventNumber() })
        let again = try await promote(one, "alpha:/one", rig)
        #expect(again.epoch == 2 && again.already == identity?.promotion?.at && again.told == ["a", "b"])
        #expect(try await one.identity() == identity)
        #expect(try await one.read { try $0.lastEventNumber() } == events)
        #expect(rig.world.state.withLock { $0.hosts["b"]?.vaults["vault"] } == identity?.standing)
    }

    @Test("A copy of a promoted vault is promoted in its turn, and hosts that know the first follow it")
    func heir() async throws {
        let (rig, one, _) = try await copies()
        _ = try await promote(one, "alpha:/one", rig)
        let copy = try await one.copy()
        let outcome = try await promote(copy, "beta:/copy", rig)
        #expect(outcome.epoch == 3 && outcome.told == ["a", "b"])
        #expect(try await copy.identity()?.heirTo == [try #require(try await one.identity()?.promotion?.id)])
        _ = try await superseded { try await SiteWatch(engine: rig.engine(over: one)) { _ in }.look() }
    }

    // MARK: A copy in the store of a host whose agent is silent

    /// A vault whose copy lies in a host's store, where its agent has put it; nobody answers.
    private struct Kept {
        let rig: Rig
        let vault: SQLiteVault
        let store: String
        let path: String

        init(_ scratch: Scratch) async throws {
            rig = try await Rig(vms: [])
            for host in Rig.hosts { rig.world.cutOff(host) }
            vault = try SQLiteVault.open(path: scratch("old.db"), create: true)
            let hosts = try await rig.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
            try await vault.write { vault in for host in hosts { try vault.insert(host) } }
            store = scratch("store")
            path = "\(store)/vault/\(try #require(try await vault.identity()?.id)).db"
            try await ship()
        }

        /// What the old vault's engines do as soon as an agent answers.
        func ship() async throws {
            let draft = store + ".draft"
            try await vault.copy(toDraft: draft)
            let part = VaultPart(
                vault: try #require(try await vault.identity()).standing, offset: 0,
                data: try Data(contentsOf: URL(filePath: draft)), isLast: true)
            try await AgentService(site: "b", store: store, address: "127.0.0.1:1").keepVault(part)
        }

        /// `perilune vault promote`.
        func promote() async throws -> VaultPromotion.Outcome {
            let kept = try KeptCopy.take(path)
            let copy = try SQLiteVault.open(path: path)
            defer { try? copy.close() }
            return try await VaultPromotion(rig.engine(over: copy).dependencies, place: "beta:\(path)").promote(kept)
        }
    }

    @Test("Promoted while its agent is silent, the store knows all the same, and refuses what the old vault ships next")
    func silentAgent() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let kept = try await Kept(scratch)
        let outcome = try await kept.promote()
        #expect(outcome.epoch == 2 && outcome.told == [] && outcome.silent == ["a", "b"])
        let promoted = try #require(try SQLiteVault.identity(ofCopyAt: kept.path))
        #expect(promoted.promotion?.place == "beta:\(kept.path)")

        let error = try #require(await #expect(throws: ReplicationError.self) { try await kept.ship() })
        #expect(error.code == .staleEpoch && error.obeyed?.promotion == promoted.promotion)
        #expect(try SQLiteVault.identity(ofCopyAt: kept.path) == promoted)
        #expect(VaultStanding.known(inStore: kept.store) == [promoted.standing])
        // Given again it changes nothing, and nothing is locked.
        #expect(try await kept.promote().already != nil)
        try await AgentService(site: "b", store: kept.store, address: "127.0.0.1:1").attend(promoted.standing)
    }

    @Test("A store that obeys another copy refuses the promotion of its own, and follows it when it is given once more")
    func storeObeysAnother() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let kept = try await Kept(scratch)
        let mark = PromotionMark(id: "other", place: "alpha:/one", at: kept.rig.clock.now)
        let agent = try AgentService(site: "b", store: kept.store, address: "127.0.0.1:1")
        let id = try #require(try await kept.vault.identity()?.id)
        try await agent.attend(VaultStanding(id: id, epoch: 2, promotion: mark))
        let error = try await superseded { _ = try await kept.promote() }
        #expect(error.message.contains("alpha:/one"))
        let outcome = try await kept.promote()
        #expect(outcome.epoch == 3 && outcome.already == nil)
        #expect(VaultStanding.known(inStore: kept.store).map(\.epoch) == [3])
    }

    @Test(
        "While a copy is made the vault, its agent puts no newer one in its place; any other file has no agent to keep out"
    )
    func takenCopy() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let kept = try await Kept(scratch)
        let taken = try KeptCopy.take(kept.path)
        // Closed to others: what is asked for would wait for it.
        let lock = open("\(kept.store)/vault/.lock", O_RDWR | O_CLOEXEC)
        defer { close(lock) }
        #expect(flock(lock, LOCK_EX | LOCK_NB) != 0)
        _ = consume taken
        try await kept.ship()
        for other in [kept.vault.path, "\(kept.store)/vault/nobody.db", "\(kept.store)/vault/a b.db"] {
            let none = try KeptCopy.take(other) == nil
            #expect(none, "\(other)")
        }
    }

    @Test("Jobs that the lost vault left open are counted, and the promoted one drives them on")
    func openJobs() async throws {
        let (rig, _, _) = try await copies()
        let id = try await rig.relationship().id
        let job = try await rig.engine.perform(.plannedFailover, on: id, hold: .start)
        #expect(job.isHeld)
        let copy = try await rig.vault.copy()
        #expect(try await promote(copy, "beta:/copy", rig).openJobs == 1)
        _ = try await rig.engine(over: copy).perform(.plannedFailover, on: id)
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.world.violations == [])
    }
}

extension Rig {
    /// An engine over another vault than the rig's, in the same world.
    func engine(over vault: any Vault) -> RecoveryEngine {
        RecoveryEngine(
            EngineDependencies(
                vault: vault, connections: FakeConnections(world: world, fuse: Fuse()),
                fencing: FakeFencing(world: world, fuse: Fuse()), clock: clock, identifiers: identifiers,
                holder: "another"))
    }
}

extension MemoryVault {
    /// A vault with the same objects, as a copy that was shipped has them.
    func copy() async throws -> MemoryVault {
        let copy = MemoryVault()
        func take<Object: SiteObject>(_ type: Object.Type) async throws {
            let all = try await read { try $0.objects(type).map(\.value) }
            try await copy.write { vault in for object in all { try vault.insert(object) } }
        }
        try await take(VaultIdentity.self)
        try await take(SiteModel.Host.self)
        try await take(Server.self)
        try await take(Cloud.self)
        try await take(Policy.self)
        try await take(CloudPair.self)
        try await take(NetworkMapping.self)
        try await take(ProtectedItem.self)
        try await take(Relationship.self)
        try await take(RecoveryPoint.self)
        try await take(Job.self)
        return copy
    }
}
