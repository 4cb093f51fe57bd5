import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Health, from cycles to events")
struct HealthTests {
    private func health(_ rig: Rig, _ vm: String = "orders") async throws -> ItemHealth {
        try await rig.engine.health(of: try await rig.relationship(vm).id)
    }

    private func codes(_ rig: Rig) async throws -> [String] {
        try await rig.vault.read { try $0.events(after: 0, limit: 100_000) }.compactMap(\.event.code)
    }

    @Test("Points are counted with size and latency; the age is that of the instant they show")
    func points() async throws {
        let rig = try await Rig()
        try await rig.protect()
        for _ in 1...4 { try await rig.cycle() }
        rig.clock.advance(seconds: 12)
        let health = try await health(rig)
        let counts = try #require(health.statistics).counts
        #expect(counts.succeeded == 5 && counts.missed == 0)
        #expect(health.health == .normal && health.errors.isEmpty)
        let newest = try #require(try await rig.points().max { $0.number < $1.number })
        #expect(health.recoveryPointAge == rig.clock.now.seconds(since: newest.at))
        #expect(try await rig.engine.health().health == .normal)
    }

    @Test("An engine that dies after the point is whole has it counted once", arguments: 1...30)
    func countedOnce(effect: Int) async throws {
        let rig = try await Rig(points: 20)
        try await rig.protect()
        rig.clock.advance(seconds: 30)
        _ = try? await rig.run(.sync, by: rig.engine("dies", fuse: Fuse(.dieAfterWrite(effect))))
        rig.clock.advance(seconds: 16)
        _ = await rig.engine.recoverAll()
        let points = try await rig.points().count
        let counts = try #require(try await health(rig).statistics).counts
        #expect(counts.succeeded == points, "effect \(effect)")
    }

    @Test(
        "A cut link: critical with the reason, alerts at twice and three times the frequency, each told once, then over"
    )
    func outage() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.cycle()
        rig.world.cutOff("b")
        for _ in 1...10 {
            rig.clock.advance(seconds: 30)
            let began = rig.clock.now
            do { try await rig.run(.sync) } catch {
                try await rig.engine.noteCycleNotBegun(try await rig.relationship().id, since: began, error)
            }
            try await rig.engine.watchHealth()
        }
        let bad = try await health(rig)
        #expect(bad.health == .critical && bad.errors.first?.code == "cannot-send")
        let statistics = try #require(bad.statistics)
        #expect(statistics.counts.networkFailures == 10, "\(statistics.counts)")
        #expect(statistics.counts.missed >= 9 && statistics.failure?.attempts == 10)
        let told = try await codes(rig).filter { $0.hasPrefix("health-") || $0.hasPrefix("age-") }
        #expect(told == ["health-critical", "age-warning", "age-critical"])
        rig.world.bringBack("b")
        try await rig.cycle()
        try await rig.engine.watchHealth()
        #expect(try await health(rig).errors.map(\.code) == ["cycles-missed"])
        try await rig.engine.resetStatistics(of: try await rig.relationship().id)
        try await rig.engine.watchHealth()
        try await rig.engine.watchHealth()
        #expect(try await health(rig).health == .normal)
        let all = try await codes(rig).filter { $0.hasPrefix("health-") || $0.hasPrefix("age-") }
        #expect(all.dropFirst(3) == ["health-warning", "age-normal", "health-normal"])
        #expect(try await codes(rig).contains("statistics-reset"))
    }

    @Test("A stretch that is over becomes an event with its figures")
    func stretch() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.cycle()
        rig.clock.advance(seconds: 43_200)
        #expect(try await health(rig).statistics?.counts.succeeded == 0, "what is shown is of the stretch under way")
        try await rig.cycle()
        let events = try await rig.vault.read { try $0.events(about: nil, limit: 1000) }
            .filter { $0.code == "window-statistics" }
        #expect(events.count == 1)
        #expect(events.first?.text.contains("orders") == true && events.first?.text.contains("2 cycles made") == true)
    }

    @Test("Paused and failed over: no cycle is missed, and the VM is said to be unprotected")
    func held() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.cycle()
        try await rig.run(.pause)
        rig.clock.advance(seconds: 3000)
        #expect(try await health(rig).errors.map(\.code) == ["paused"])
        try await rig.run(.resume)
        try await rig.cycle()
        #expect(try await health(rig).statistics?.counts.missed == 0)
        try await rig.run(.unplannedFailover)
        rig.clock.advance(seconds: 500)
        let failedOver = try await health(rig)
        #expect(failedOver.errors.map(\.code) == ["not-reversed"])
        #expect(failedOver.recoveryPointAge.map { $0 >= 500 } == true, "all written since the failover is at stake")
        try await rig.run(.commit)
        rig.world.bringBack("a")
        try await rig.run(.reverse)
        try await rig.cycle()
        let back = try await health(rig)
        #expect(back.health == .normal && back.statistics?.counts.missed == 0, "\(back.errors.map(\.message))")
    }

    @Test("Paused at the target is critical, at the source a warning; the last pause counts, and resume ends both")
    func pausedAt() async throws {
        let rig = try await Rig()
        try await rig.protect()
        for (arguments, code, level) in [
            (["at": "target"], "paused-at-target", ReplicationHealth.critical), ([:], "paused", .warning),
            (["at": "source"], "paused", .warning),
        ] {
            try await rig.cycle()
            try await rig.run(.pause, "orders", arguments)
            let paused = try await health(rig)
            #expect(paused.errors.map(\.code) == [code] && paused.health == level, "\(arguments)")
            try await rig.engine.watchHealth()
            #expect(try await codes(rig).last { $0.hasPrefix("health-") } == "health-\(level.rawValue)")
            try await rig.run(.resume)
            #expect(try await health(rig).health == .normal)
        }
        let wrong = try await engineError { try await rig.run(.pause, "orders", ["at": "both"]) }
        #expect(wrong.kind == .invalid && wrong.hint?.contains("target") == true)
        #expect(try await rig.relationship().state == .protected)
    }

    @Test("What waits to be sent is the hypervisor's word, or not known")
    func pending() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let id = try await rig.relationship().id
        #expect(try await rig.engine.pendingBytes(of: id) == nil, "this hypervisor keeps no such account")
    }

    @Test("Events are found by VM, severity, code and age")
    func events() async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        rig.clock.advance(seconds: 200)
        try await rig.engine.watchHealth()
        let id = try await rig.relationship("stock").id
        let all = try await rig.engine.events(EventFilter(severity: .warning), limit: 100)
        #expect(!all.isEmpty && all.allSatisfy { $0.severity >= .warning })
        let own = try await rig.engine.events(EventFilter(object: id, code: "age"), limit: 100)
        #expect(own.map(\.code) == ["age-critical"])
        let since = rig.clock.now.advanced(bySeconds: -1)
        #expect(try await rig.engine.events(EventFilter(since: since), limit: 100).allSatisfy { $0.at >= since })
        #expect(try await rig.engine.events(EventFilter(), limit: 2).count == 2)
    }
}

extension RecoveryEngine {
    /// Takes up what a dead engine left, whatever comes of it.
    fileprivate func recoverAll() async -> Int { (try? await recoverOpenJobs().count) ?? 0 }
}
