import BlockReplication
import Hypervisors
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("What the watch does at a host that owns a VM")
struct OwnerWatchTests {
    private func rig() async throws -> Rig { try await Undertaking.unplannedFailover.rig(points: 2) }

    private func events(_ rig: Rig, _ word: String) async throws -> [Event] {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }.filter { $0.text.contains(word) }
    }

    /// The host was booted: what ran there does not, and nobody has confirmed anything since.
    private func boot(_ rig: Rig, _ host: String = "a") async throws {
        let id = try await rig.relationship().id
        rig.world.lose(host)
        rig.world.change { _ = $0.hosts[host]?.unconfirmed.insert(id) }
        rig.world.bringBack(host)
    }

    // MARK: After a boot

    @Test("What ran at its owner before a boot is confirmed and started, once")
    func started() async throws {
        let rig = try await rig()
        #expect(try await rig.watch() == [])
        try await boot(rig)
        #expect(
            try await rig.watch() == [
                .confirmed(vm: "orders", host: "a"), .started(vm: "orders", host: "a"),
            ])
        #expect(rig.world.power("orders", at: "a") == .running)
        #expect(try await rig.watch() == [])
    }

    @Test(
        "What was off is confirmed and stays off; with its host's autostart from before, it starts",
        arguments: [true, false])
    func off(_ autostart: Bool) async throws {
        let rig = try await rig()
        try await rig.vault.write { vault in
            var stored = try #require(try vault.objects(Relationship.self).first)
            stored.value.autostart = autostart ? true : nil
            try vault.update(stored)
        }
        rig.world.shutDownInside("orders", at: "a")
        #expect(try await rig.watch() == [])
        try await boot(rig)
        let news = try await rig.watch()
        #expect(news.first == .confirmed(vm: "orders", host: "a") && news.count == (autostart ? 2 : 1))
        #expect(rig.world.power("orders", at: "a") == (autostart ? .running : .off))
    }

    @Test("An operator's word is taken note of, once, and the vault's word takes its place")
    func alone() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        rig.world.change { $0.hosts["a"]?.stores[id]?.ownership?.startedAlone = Timestamp(milliseconds: 5000) }
        #expect(try await rig.watch() == [])
        #expect(try await events(rig, "word alone").count == 1)
        #expect(rig.world.store(id, at: "a").ownership?.startedAlone == nil)
        #expect(try await rig.watch() == [])
        #expect(try await events(rig, "word alone").count == 1)
    }

    @Test(
        "Wherever the watch dies, the next look comes to the same end, and starts the VM once",
        arguments: [true, false])
    func crashes(afterEffect: Bool) async throws {
        var step = 1
        while true {
            let rig = try await rig()
            _ = try await rig.watch()
            try await boot(rig)
            let fuse = Fuse(afterEffect ? .dieAfterEffect(step) : .dieAfterWrite(step))
            _ = try? await SiteWatch(engine: rig.engine("dies", fuse: fuse)) { _ in }.look()
            guard fuse.wentOff else { break }
            _ = try await rig.watch()
            let id = try await rig.relationship().id
            #expect(rig.world.power("orders", at: "a") == .running, "died after \(fuse.effects.last ?? "")")
            #expect(rig.world.state.withLock { $0.hosts["a"]?.unconfirmed.contains(id) } == false)
            #expect(rig.world.violations == [])
            step += 1
        }
        #expect(step > 2)
    }

    @Test("A start that fails is tried again at the next look; one that an operator has made meanwhile is not repeated")
    func startFails() async throws {
        let rig = try await rig()
        _ = try await rig.watch()
        try await boot(rig)
        rig.world.change { $0.hosts["a"]?.startsFail = true }
        guard case .trouble? = try await rig.watch().last else {
            Issue.record("the start did not fail")
            return
        }
        rig.world.change { $0.hosts["a"]?.startsFail = false }
        #expect(try await rig.watch() == [.started(vm: "orders", host: "a")])
        #expect(try await rig.relationship().startOwedAt == nil)

        try await boot(rig)
        rig.world.change { $0.hosts["a"]?.startsFail = true }
        _ = try await rig.watch()
        rig.world.change { $0.hosts["a"]?.startsFail = false }
        rig.world.startByHand("orders", at: "a")
        #expect(try await rig.watch() == [])
        rig.world.shutDownInside("orders", at: "a")
        #expect(try await rig.watch() == [], "it was shut down since: nobody owes it a start")
        #expect(rig.world.power("orders", at: "a") == .off)
    }

    @Test("A start that is owed is forgotten with the protection: protected anew, the VM stays off")
    func owedStartEndsWithProtection() async throws {
        let rig = try await rig()
        _ = try await rig.watch()
        try await boot(rig)
        rig.world.change { $0.hosts["a"]?.startsFail = true }
        _ = try await rig.watch()
        #expect(try await rig.relationship().startOwedAt != nil)
        rig.world.change { $0.hosts["a"]?.startsFail = false }
        try await rig.run(.unprotect)
        try await rig.protect()
        _ = try await rig.watch()
        #expect(rig.world.power("orders", at: "a") == .off)
    }

    // MARK: The record is gone

    @Test("A record that was lost is written anew from the vault, and what ran is started again")
    func recordIsLost() async throws {
        let rig = try await rig()
        _ = try await rig.watch()
        let id = try await rig.relationship().id
        try await boot(rig)
        rig.world.change { $0.hosts["a"]?.stores[id]?.ownership = nil }
        #expect(try await rig.watch().contains(.started(vm: "orders", host: "a")))
        let record = rig.world.store(id, at: "a").ownership
        #expect(record?.owner == "a" && record?.epoch == 1 && record?.host == "a")
        #expect(try await events(rig, "no record any more").map(\.severity) == [.warning])
        #expect(try await rig.watch() == [])
        try await rig.cycle()
        #expect(rig.world.violations == [])
    }

    @Test("It is not written anew where the VM's definition knows of a later ownership, or of another owner")
    func recordIsLostAndVaultIsBehind() async throws {
        for mark in [("a", 2), ("b", 1)] {
            let rig = try await rig()
            let (id, uuid) = (try await rig.relationship().id, rig.world.uuid("orders"))
            rig.world.shutDownInside("orders", at: "a")
            try rig.world.change { state in
                state.hosts["a"]?.stores[id]?.ownership = nil
                try state.hosts["a"]?.domains[uuid]?.definition.setOwnership(
                    Ownership(relationship: id, owner: mark.0, epoch: mark.1))
            }
            _ = try await rig.watch()
            _ = try await rig.watch()
            #expect(rig.world.store(id, at: "a").ownership == nil)
            #expect(rig.world.power("orders", at: "a") == .off)
            #expect(try await events(rig, "vault is behind").map(\.severity) == [.critical], "told once")
        }
    }

    @Test("A VM that carries no mark had no record: none is made up for it")
    func neverHadOne() async throws {
        let rig = try await rig()
        let (id, uuid) = (try await rig.relationship().id, rig.world.uuid("orders"))
        try rig.world.change { state in
            state.hosts["a"]?.stores[id]?.ownership = nil
            try state.hosts["a"]?.domains[uuid]?.definition.setOwnership(nil)
        }
        _ = try await rig.watch()
        #expect(rig.world.store(id, at: "a").ownership == nil)
    }

    @Test("A damaged record is left, with word of what to do; once the file is removed, it is written anew")
    func recordIsDamaged() async throws {
        let rig = try await rig()
        _ = try await rig.watch()
        let id = try await rig.relationship().id
        try await boot(rig)
        rig.world.change { _ = $0.hosts["a"]?.damagedRecords.insert(id) }
        let news = try await rig.watch()
        guard case .trouble("orders", let text)? = news.first else {
            Issue.record("\(news)")
            return
        }
        #expect(text.contains("remove it") && news.count == 1)
        #expect(rig.world.power("orders", at: "a") == .off)
        rig.world.change { state in
            state.hosts["a"]?.damagedRecords.remove(id)
            state.hosts["a"]?.stores[id]?.ownership = nil
        }
        #expect(try await rig.watch().contains(.started(vm: "orders", host: "a")))
    }

    // MARK: Who is left alone

    @Test("A VM with an operation under way is its operation's, and one that is unprotected is nobody's")
    func left() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        let job = try await rig.engine.perform(.plannedFailover, on: id, hold: .claimOwnership)
        #expect(job.isHeld)
        rig.world.change { _ = $0.hosts["a"]?.unconfirmed.insert(id) }
        #expect(try await rig.watch() == [])
        #expect(rig.world.power("orders", at: "a") == .off)
        try await rig.run(.plannedFailover)
        try await rig.run(.commit)
        try await rig.run(.unprotect)
        rig.world.shutDownInside("orders", at: "b")
        #expect(try await rig.watch() == [])
        #expect(rig.world.power("orders", at: "b") == .off)
    }

    @Test("A host that is away, or half there, holds up no other")
    func away() async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        try await rig.run(.plannedFailover, "stock")
        _ = try await rig.watch()
        for ailment in Ailment.allCases {
            try await boot(rig, "a")
            rig.world.fallIll("b", ailment)
            #expect(try await rig.watch().contains(.started(vm: "orders", host: "a")), "\(ailment)")
            rig.world.recover("b")
        }
        rig.world.cutOff("b")
        try await boot(rig, "a")
        #expect(try await rig.watch().contains(.started(vm: "orders", host: "a")))
    }
}

extension Rig {
    /// Looks at all hosts once; what the watch had to say.
    func watch() async throws -> [WatchNews] {
        let news = Mutex<[WatchNews]>([])
        try await SiteWatch(engine: engine) { one in news.withLock { $0.append(one) } }.look()
        return news.withLock { $0 }
    }
}
