import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Verification finds what is wrong, mends what it can, and a damaged point is not failed over to")
struct VerifyTests {
    @Test("both sides the same: the point says when it was verified, and no other point is made")
    func equal() async throws {
        try await play { rig in
            try await rig.cycle()
            try await rig.world.clock.sleep(seconds: 20)
            let before = try await rig.points().count
            let job = try await rig.perform(.verify)
            let points = try await rig.points()
            #expect(points.count == min(before + 1, 3))
            #expect(points.last?.verifiedAt != nil && points.allSatisfy { $0.damage == nil })
            #expect(job.facts["findings"]?.contains("is what the source held") == true)
            #expect(try await rig.relationship().state == .protected)
        }
    }

    @Test(
        "a difference becomes a further point; the wrong one is damaged, refused with the other one's name, and tells people"
    )
    func differs() async throws {
        try await play(points: 4) { rig in
            let firmware = try rig.giveFirmware("orders")
            try await rig.cycle()
            try await rig.alterNewest()
            let job = try await rig.perform(.verify)
            #expect(job.facts["findings"]?.contains("was wrong") == true)
            let points = try await rig.points()
            let wrong = try #require(points.dropLast().last)
            let right = try #require(points.last)
            #expect(wrong.damage?.cause == .differs && right.damage == nil && right.verifiedAt != nil)
            #expect(wrong.at == right.at)
            let id = try await rig.relationship().id
            let kept = rig.world.look { $0.hosts["b"]?.stores[id]?.newest }
            #expect(kept?.generation == right.id && kept?.firmware == firmware, "it is the same instant")
            let events = try await rig.engine.vault.read { try $0.events(about: nil, limit: 50) }
            #expect(events.contains { $0.code == "verify-differs" && $0.severity == .critical })
            let health = try await rig.engine.health().items.first
            #expect(health?.errors.map(\.code).contains("points-damaged") == true)

            rig.world.lose(site: "a")
            let refused = await refusal {
                try await rig.perform(
                    .unplannedFailover, "orders", ["source": "fence", "point": "\(wrong.number)"])
            }
            #expect(refused?.rule == "recovery-point-damaged")
            #expect(refused?.hint?.contains("point = \(right.number)") == true)
            try await rig.perform(.unplannedFailover, "orders", ["source": "fence"])
            #expect(rig.world.running("orders") == ["b"])
        }
    }

    @Test(
        "a flipped bit in a stored point is found there; failover, test and planned failover to it are refused, and a word opens them"
    )
    func stored() async throws {
        try await play(points: 4) { rig in
            try await rig.cycle()
            try await rig.cycle()
            let points = try await rig.points()
            let (older, newest) = (points[points.count - 2], try #require(points.last))
            try await rig.markAltered(newest)
            let job = try await rig.perform(.verifyPoint, "orders", ["point": "all"])
            #expect(job.facts["findings"]?.contains("point \(newest.number) is damaged") == true)
            #expect(try await rig.points().filter { $0.damage != nil }.map(\.number) == [newest.number])
            #expect(try await rig.points().filter { $0.checkedAt != nil }.count == points.count - 1)
            #expect(try await rig.engine.health().items.first?.errors.first?.code == "newest-point-damaged")

            for operation in [SiteModel.Operation.testFailover, .plannedFailover] {
                #expect(await refusal { try await rig.perform(operation) }?.rule == "recovery-point-damaged")
            }
            // Verifying mends it where the source is there; here it is lost first.
            rig.world.lose(site: "a")
            let latest = await refusal {
                try await rig.perform(.unplannedFailover, "orders", ["source": "fence"])
            }
            #expect(latest?.rule == "recovery-point-damaged")
            #expect(latest?.hint?.contains("point = \(older.number)") == true)
            try await rig.perform(
                .unplannedFailover, "orders", ["source": "fence", "accept_damage": "nothing else is as new"])
            #expect(rig.world.running("orders") == ["b"])
        }
    }

    @Test("a failover does not wait for a look, and a word ends one")
    func ended() async throws {
        try await play { rig in
            try await rig.cycle()
            let slow = Task(executorPreference: rig.engine.dependencies.executor) {
                try await rig.perform(.verifyPoint, "orders", ["point": "all"])
            }
            try await rig.untilBusy()
            try await rig.perform(.cancelVerify)
            #expect(await refusal { _ = try await slow.value } != nil)
            #expect(try await rig.relationship().state == .protected)
            #expect(await refusal { try await rig.perform(.cancelVerify) }?.rule == "no-verification-running")
            let again = Task(executorPreference: rig.engine.dependencies.executor) { try await rig.perform(.verify) }
            try await rig.untilBusy()
            rig.world.lose(site: "a")
            try await rig.perform(.unplannedFailover, "orders", ["source": "fence"])
            _ = try? await again.value
            #expect(rig.world.running("orders") == ["b"])
        }
    }

    @Test("an engine that dies anywhere in a verification leaves it to be driven to its end")
    func taken() async throws {
        try await play { rig in
            try await rig.cycle()
            try await rig.alterNewest()
            var lost = Fault(.losesAnswer, call: "agent.seal-point", host: "b")
            lost.times = 1
            rig.world.add(lost)
            _ = try? await rig.perform(.verify)
            try await rig.perform(.verify)
            #expect(try await rig.points().last?.damage == nil)
            #expect(try await rig.points().last?.verifiedAt != nil)
        }
    }

    @Test("what the former owner wrote and the VM went on without is listed, and can be given up by name")
    func divergence() async throws {
        try await play { rig in
            try await rig.cycle()
            try await rig.world.clock.sleep(seconds: 20)
            try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            try await rig.perform(.commit)
            #expect(try await rig.relationship().divergence == nil)
            try await rig.perform(.reverse)
            let relationship = try await rig.relationship()
            let kept = try #require(relationship.divergence)
            #expect(kept.host == relationship.target && kept.isExact)
            let found = try #require(try await rig.engine.divergence(of: relationship.id))
            #expect(found.host == "a" && found.divergence.disks.contains { $0.bytes > 0 })
            try await rig.cycle()
            #expect(try await rig.engine.divergence(of: relationship.id) != nil)
            await #expect(throws: EngineError.self) {
                try await rig.engine.discardDivergence(of: relationship.id, reason: "")
            }
            try await rig.engine.discardDivergence(of: relationship.id, reason: "compared by hand")
            #expect(try await rig.engine.divergence(of: relationship.id) == nil)
            #expect(try await rig.relationship().divergence == nil)
        }
    }

    @Test("a failover back that is committed ends what was kept")
    func committedBack() async throws {
        try await play { rig in
            try await rig.cycle()
            try await rig.world.clock.sleep(seconds: 20)
            try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            try await rig.perform(.commit)
            try await rig.perform(.reverse)
            try await rig.perform(.plannedFailover)
            #expect(try await rig.relationship().divergence != nil)
            try await rig.perform(.commit)
            #expect(try await rig.relationship().divergence == nil)
            try await rig.perform(.reverse)
            // A planned failover leaves nothing behind.
            #expect(try await rig.relationship().divergence == nil)
        }
    }

    private func play(points: Int = 2, _ body: @escaping @Sendable (Rig) async throws -> Void) async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp(points: points)
            try await rig.protect()
            try await body(rig)
        }
        #expect(rig.world.violations == [])
    }
}

/// The error of an operation that is refused or fails; nil when it succeeds.
private func refusal(_ body: () async throws -> Void) async -> EngineError? {
    do {
        try await body()
        return nil
    } catch { return error as? EngineError }
}

extension Rig {
    fileprivate func points() async throws -> [RecoveryPoint] {
        let id = try await relationship().id
        return try await engine.vault.read { vault in
            try vault.objects(RecoveryPoint.self, parent: id).map(\.value).sorted { $0.number < $1.number }
        }
    }

    /// Changes a block of the newest point's file at b that no later cycle of the guest touches.
    fileprivate func alterNewest() async throws {
        let id = try await relationship().id
        world.change { state in
            // From here on the target differs from what its source held, which is the point.
            state.checksPoints = false
            guard let store = state.hosts["b"]?.stores[id], let path = store.newest?.files["vda"] else { return }
            state.hosts["b"]?.change(path) {
                $0.extents.write(
                    offset: 9 << 30, end: (9 << 30) + 4096,
                    stamp: WriteStamp(version: 999_999_999, at: Timestamp(milliseconds: 0)))
            }
        }
    }

    /// Gives the VM UEFI variables, and returns them.
    fileprivate func giveFirmware(_ vm: String) throws -> FirmwareState {
        let file = FirmwareFile(name: "nvram", size: 1, checksum: "7", packed: [Data([7])])
        let state = FirmwareState(files: [file])
        let uuid = try world.look { try $0.uuid(of: vm, at: "a") }
        let xml = world.look { $0.hosts["a"]?.domains[uuid]?.storedXML } ?? ""
        let definition = try DomainDefinition(
            xml: xml.replacing("</os>", with: "<nvram template='/f/VARS.fd'>/n/VARS.fd</nvram></os>"))
        world.change {
            $0.hosts["a"]?.domains[uuid]?.stored = definition
            $0.hosts["a"]?.domains[uuid]?.live = definition
            $0.hosts["a"]?.firmware[uuid] = state
        }
        return state
    }

    /// Waits until a job has the VM.
    fileprivate func untilBusy() async throws {
        while try await relationship().activeJob == nil { try await world.clock.sleep(seconds: 0.001) }
    }

    fileprivate func markAltered(_ point: RecoveryPoint) async throws {
        let id = try await relationship().id
        world.change { state in
            guard let path = state.hosts["b"]?.stores[id]?.point(point.id)?.files["vda"] else { return }
            state.alteredFiles.insert("b \(path)")
        }
    }
}
