import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import TestSupport
import Testing
import VaultStore

@Suite("Test failover: apart from production, and gone afterwards")
struct TestFailoverTests {
    private func rig(points: Int = 2, management: String? = nil) async throws -> Rig {
        let rig = try await Rig(points: points)
        try await rig.protect()
        try await rig.cycle()
        return rig
    }

    /// What a test leaves at the target: VMs besides the replicated one, networks, data for guests, boot images.
    private func traces(_ rig: Rig) async throws -> [String] {
        let id = try await rig.relationship().id
        return rig.world.state.withLock { state in
            let host = state.hosts["b"]
            let vms = host?.domains.values.map(\.definition.name).filter { $0 != "orders" } ?? []
            let store = host?.stores[id]
            return vms + (host?.madeNetworks.keys.sorted() ?? []) + (store?.seeds.keys.map { "seed \($0)" } ?? [])
                + (store?.boots.keys.map { "boot \($0)" } ?? [])
        }
    }

    private func events(_ rig: Rig, _ severity: Event.Severity) async throws -> [String] {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }.filter { $0.severity == severity }.map(
            \.text)
    }

    private static let static21 = NICAddressing(.static, address: IPv4Address("10.0.8.21"), prefix: 24)

    @Test("In networks of its own, at an address of its own, while production replicates; then nothing is left")
    func created() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        try await rig.engine.setNIC(.index(1), of: id, failover: .set(Self.static21))
        let job = try await rig.run(.testFailover, "orders", ["network": "create", "notes": "drill"])
        let test = try #require(try await rig.relationship().test)
        #expect(job.facts["testVM"] == "orders-test" && job.facts["testAddress"] == "10.0.8.21")
        let network = try #require(test.networks?.first)
        let made = rig.world.state.withLock { $0.hosts["b"]?.madeNetworks[network.name] }
        #expect(made?.mark == NetworkDefinition.Mark(relationship: id, test: test.vmUUID) && made?.isIsolated == true)
        let vm = try #require(rig.world.state.withLock { $0.hosts["b"]?.domains[test.vmUUID] })
        #expect(vm.power == .running && !vm.autostart && vm.definition.ownership == nil)
        #expect(vm.definition.nics.map(\.network) == [network.name] && vm.definition.nics[0].mac == test.nics?[0].mac)
        #expect(vm.definition.nics[0].mac != "52:54:00:00:00:01")
        let told = rig.world.store(id, at: "b").seeds[0]?["network-config"]
        #expect(told?.contains("10.0.8.21/24") == true && told?.contains(vm.definition.nics[0].mac) == true)

        rig.world.write("orders", at: "a", [9: 9])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        let refusal = try await engineError { try await rig.run(.testFailover) }
        #expect(refusal.rule == "test-in-progress")

        let cleaned = try await rig.run(.cleanUpTest, "orders", ["notes": "all well"])
        #expect(try await traces(rig) == [])
        let after = try await rig.relationship()
        let report = try #require(after.lastTest)
        #expect(after.state == .protected && after.test == nil && after.lastTestFailoverAt == rig.clock.now)
        #expect(
            report.passed && report.differences == [] && report.end == .command && report.notes == "drill\nall well")
        #expect(cleaned.facts["passed"] == "true")
        #expect(rig.world.power("orders", at: "a") == .running && rig.world.violations == [])
    }

    @Test("Unconnected unless told otherwise; a network of production only by force, and while the primary is off")
    func networks() async throws {
        let rig = try await rig()
        rig.world.change { _ = $0.hosts["b"]?.networks.insert("bubble") }
        let unknown = try await engineError { try await rig.run(.testFailover, "orders", ["network": "buble"]) }
        #expect(unknown.kind == .unknown && unknown.hint?.contains("bubble") == true)
        #expect(try await rig.relationship().state == .protected)
        #expect(try await traces(rig).isEmpty)
        let mapped = try await engineError { try await rig.run(.testFailover, "orders", ["network": "prod-b"]) }
        #expect(mapped.rule == "test-outside-production")
        let forced = ["network": "prod-b", "force": "the switch is to be tried"]
        let running = try await engineError { try await rig.run(.testFailover, "orders", forced) }
        #expect(running.rule == "production-network-needs-primary-off")

        for (arguments, network) in [([:], nil), (["network": "bubble"], "bubble")] as [([String: String], String?)] {
            try await rig.run(.testFailover, "orders", arguments)
            let uuid = try #require(try await rig.relationship().test?.vmUUID)
            let nics = rig.world.state.withLock { $0.hosts["b"]?.domains[uuid]?.definition.nics.map(\.network) }
            #expect(nics == [network])
            try await rig.run(.cleanUpTest)
        }
        rig.world.shutDownInside("orders", at: "a")
        try await rig.run(.testFailover, "orders", forced)
        try await rig.run(.cleanUpTest)
        #expect(try await traces(rig) == [])
    }

    @Test("No two tests get one address, nor one that somebody in the network is seen to have")
    func addresses() async throws {
        let rig = try await Rig(vms: ["orders", "web"])
        rig.world.change { _ = $0.hosts["b"]?.networks.insert("bubble") }
        try rig.world.addVM("dns", at: "b", disks: ["vda": [:]], network: "bubble", autostart: false)
        let dns = rig.world.uuid("dns")
        rig.world.change { $0.hosts["b"]?.guestAddresses[dns] = ["52:54:00:00:00:01": ["10.9.8.20"]] }
        let pool = NICAddressing(.pool, prefix: 24, pool: AddressPool(range: "10.9.8.20-10.9.8.21"))
        for vm in ["orders", "web"] {
            try await rig.protect(vm)
            try await rig.engine.setNIC(.index(1), of: rig.relationship(vm).id, test: .set(pool))
        }
        let first = try await rig.run(.testFailover, "orders", ["network": "bubble"])
        #expect(first.facts["testAddress"] == "10.9.8.21")
        let second = try await engineError { try await rig.run(.testFailover, "web", ["network": "bubble"]) }
        #expect(second.message.contains("no address of 10.9.8.20-10.9.8.21 is free"))
        #expect(try await rig.relationship("web").state == .protected)
        #expect(try await rig.relationship("web").test == nil)
        try await rig.run(.cleanUpTest)
        #expect(try await rig.run(.testFailover, "web", ["network": "bubble"]).facts["testAddress"] == "10.9.8.21")
    }

    @Test(
        "What the test VM may write is reckoned before it starts",
        arguments: [
            (nil, 12, true, 1), (nil, 13, false, 1), (nil, 100, false, 0), ("1048576", 15, true, 0),
            ("65536", 1, false, 1),
        ] as [(String?, Int, Bool, Int)])
    func scratch(wanted: String?, free: Int, isRefused: Bool, findings: Int) async throws {
        // Two disks of 64 blocks each: a tenth of them are 12.8 blocks.
        let rig = try await rig()
        rig.world.setFreeBlocks(free, at: "b")
        let arguments = wanted.map { ["scratch": $0] } ?? [:]
        if isRefused {
            let error = try await engineError { try await rig.run(.testFailover, "orders", arguments) }
            #expect(error.kind == .invalid && error.message.contains("MiB"))
            #expect(try await rig.relationship().state == .protected)
            #expect(try await rig.relationship().test == nil)
        } else {
            let job = try await rig.run(.testFailover, "orders", arguments)
            #expect((job.facts["findings"] ?? "").split(separator: "\n").count == findings, "\(job.facts)")
        }
    }

    // MARK: Clean-up that nobody has to remember

    @Test("A test past its deadline is cleaned up by any engine that starts, and by the replicator")
    func deadline() async throws {
        let rig = try await rig()
        try await rig.run(.testFailover, "orders", ["network": "create", "within": "7200", "keep": "true"])
        rig.clock.advance(seconds: 7100)
        #expect(try await rig.engine("early").recoverOpenJobs().isEmpty)
        #expect(try await rig.relationship().state == .testing)
        rig.clock.advance(seconds: 200)
        #expect(try await rig.engine("late").recoverOpenJobs().map(\.job.operation) == [.cleanUpTest])
        let report = try #require(try await rig.relationship().lastTest)
        #expect(report.end == .deadline && report.passed)
        #expect(try await traces(rig) == [])

        try await rig.run(.testFailover)
        rig.clock.advance(seconds: 14 * 86_400 + 1)
        let replicator = Task { try await Replicator(engine: rig.engine("replicates")) { _ in }.run() }
        while try await rig.relationship().test != nil { await Task.yield() }
        replicator.cancel()
        _ = await replicator.result
        #expect(try await traces(rig) == [])
    }

    @Test("The test of a run ends with the run, and with the run's death; a kept one does not")
    func run() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        let (clock, vault) = (rig.clock, rig.vault)
        func begin(_ run: String, keep: Bool = false) async throws {
            let now = clock.now
            try await vault.write {
                try $0.insert(Run(id: run, script: "drill.lua", text: "", startedAt: now))
                _ = try $0.acquireLease(RecoveryEngine.runLeaseName(run), holder: "first", now: now, lifetime: 15)
            }
            try await rig.engine.perform(
                .testFailover, on: id, arguments: keep ? ["keep": "true"] : [:], run: RunStep(run: run))
        }
        try await begin("ends")
        #expect(try await rig.engine.dueTests().isEmpty)
        await rig.engine.cleanUpTests(ofRun: "ends")
        #expect(try await rig.relationship().lastTest?.end == .runEnded)
        #expect(try await traces(rig).isEmpty)

        try await begin("dies")
        #expect(try await rig.engine("next").recoverOpenJobs().isEmpty, "its run is alive")
        clock.advance(seconds: 16)
        try await rig.engine("next").recoverOpenJobs()
        #expect(try await rig.relationship().state == .protected)
        #expect(try await traces(rig).isEmpty)

        try await begin("keeps", keep: true)
        clock.advance(seconds: 16)
        await rig.engine.cleanUpTests(ofRun: "keeps")
        try await rig.engine("next").recoverOpenJobs()
        #expect(try await rig.relationship().state == .testing)
    }

    @Test("A clean-up that fails is tried again; the test stays a test until then, and has not passed")
    func failedCleanUp() async throws {
        let rig = try await rig()
        try await rig.run(.testFailover, "orders", ["network": "create", "within": "60", "keep": "true"])
        rig.world.cutOff("b")
        rig.clock.advance(seconds: 61)
        #expect(try await rig.engine.recoverOpenJobs().isEmpty)
        #expect(try await rig.relationship().state == .testing)
        #expect(try await rig.relationship().lastTestFailoverAt == nil)
        #expect(try await events(rig, .warning).contains { $0.contains("could not be cleaned up") })
        rig.world.bringBack("b")
        try await rig.engine.recoverOpenJobs()
        #expect(try await rig.relationship().lastTestFailoverAt != nil)
        #expect(try await traces(rig).isEmpty)
    }

    @Test("A test that cannot be made leaves nothing; where even that fails, it stays to be cleaned up")
    func failedTest() async throws {
        let rig = try await rig()
        rig.world.change { $0.hosts["b"]?.startsFail = true }
        _ = try await engineError { try await rig.run(.testFailover, "orders", ["network": "create"]) }
        #expect(try await traces(rig) == [])
        #expect(try await rig.relationship().state == .protected)
        #expect(try await rig.relationship().lastTest?.passed == false)
        #expect(try await rig.relationship().lastTestFailoverAt == nil)

        let fuse = Fuse(.runAfterEffect("b.define")) { [world = rig.world] in world.cutOff("b") }
        _ = try await engineError {
            try await rig.run(.testFailover, "orders", ["network": "create"], by: rig.engine("cut off", fuse: fuse))
        }
        #expect(fuse.wentOff)
        #expect(try await rig.relationship().state == .testing)
        rig.world.bringBack("b")
        try await rig.run(.cleanUpTest)
        #expect(try await traces(rig) == [])
        #expect(try await rig.relationship().lastTestFailoverAt == nil)
    }

    @Test("What changed in production meanwhile is in the report")
    func changed() async throws {
        let rig = try await rig()
        try await rig.run(.testFailover)
        rig.world.shutDownInside("orders", at: "a")
        try await rig.run(.cleanUpTest)
        let report = try #require(try await rig.relationship().lastTest)
        #expect(report.differences == ["the VM was running and is off"] && report.passed && report.unseen == nil)
        #expect(try await events(rig, .warning).contains { $0.contains("production changed") })
    }

    @Test("A source that did not answer before or after the test is not called unchanged", arguments: [true, false])
    func notSeen(before: Bool) async throws {
        let rig = try await rig()
        if before { rig.world.cutOff("a") }
        try await rig.run(.testFailover)
        if before { rig.world.bringBack("a") } else { rig.world.cutOff("a") }
        let job = try await rig.run(.cleanUpTest)
        let report = try #require(try await rig.relationship().lastTest)
        let when = before ? "before the test" : "after the test"
        #expect(report.differences == [] && report.passed)
        #expect(report.unseen?.first?.contains("the VM at its source was not seen \(when)") == true)
        #expect(job.facts["findings"]?.contains("was not seen \(when)") == true)
        let said = try await events(rig, .warning)
        #expect(said.contains { $0.contains("is not known") } && !said.contains { $0.contains("production changed") })
    }

    @Test("A network that is there under the test's name is left alone, and the test refused")
    func foreignNetwork() async throws {
        let rig = try await rig()
        rig.world.change { _ = $0.hosts["b"]?.networks.insert("orders-test-1") }
        _ = try await engineError { try await rig.run(.testFailover, "orders", ["network": "create"]) }
        #expect(rig.world.state.withLock { $0.hosts["b"]?.networks.contains("orders-test-1") } == true)
    }

    // MARK: Addresses after real failovers

    @Test("A failover tells the guest its new address, the way home another; settings for one place only are said")
    func failover() async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        let home = NICAddressing(.static, address: IPv4Address("10.77.0.11"), prefix: 24)
        try await rig.engine.setNIC(.mac("52:54:00:00:00:01"), of: id, failover: .set(Self.static21), home: .set(home))
        let away = try await rig.run(.plannedFailover)
        #expect(away.facts["findings"]?.contains("10.0.8.21") == true)
        func seed(at host: String) throws -> String? { rig.world.domain("orders", at: host)?.definition.seed }
        func told(at host: String) async throws -> String? {
            let epoch = try await rig.relationship().epoch
            return rig.world.store(id, at: host).seeds[epoch]?["network-config"]
        }
        #expect(try seed(at: "b") != nil)
        #expect(try await told(at: "b")?.contains("10.0.8.21/24") == true)
        #expect(try await rig.relationship().placedNICs?.first?.address?.address == IPv4Address("10.0.8.21"))
        try await rig.run(.commit)
        try await rig.run(.reverse)
        let back = try await rig.run(.plannedFailover)
        #expect(back.facts["findings"]?.contains("10.77.0.11") == true)
        #expect(try await told(at: "a")?.contains("10.77.0.11/24") == true)
        #expect(rig.world.violations == [])
    }

    @Test("On the way home without settings for home the drive is gone, and the caller is told")
    func wayHome() async throws {
        let rig = try await rig()
        try await rig.engine.setNIC(.index(1), of: rig.relationship().id, failover: .set(Self.static21))
        for operation in [SiteModel.Operation.plannedFailover, .commit, .reverse] { try await rig.run(operation) }
        let back = try await rig.run(.plannedFailover)
        #expect(back.facts["findings"]?.contains("none for its way home") == true)
        #expect(rig.world.domain("orders", at: "a")?.definition.seed == nil)
        #expect(rig.world.power("orders", at: "a") == .running)
    }

    @Test("NICs that the VM does not have, and settings that cannot be used, change nothing", arguments: [0, 2])
    func badSettings(index: Int) async throws {
        let rig = try await rig()
        let id = try await rig.relationship().id
        let unknown = try await engineError {
            try await rig.engine.setNIC(.index(index), of: id, test: .set(NICAddressing(.dhcp)))
        }
        #expect(unknown.kind == .unknown && unknown.hint?.contains("52:54:00:00:00:01") == true)
        let invalid = try await engineError {
            try await rig.engine.setNIC(.index(1), of: id, test: .set(NICAddressing(.static)))
        }
        #expect(invalid.kind == .invalid)
        #expect(try await rig.relationship().nicSettings == nil)
        try await rig.engine.setNIC(.index(1), of: id, test: .set(NICAddressing(.dhcp)))
        try await rig.engine.setNIC(.index(1), of: id, test: .remove)
        #expect(try await rig.relationship().nicSettings == nil)
    }
}
