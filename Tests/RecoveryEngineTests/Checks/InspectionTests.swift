import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Inspecting a site: from hosts and agents to findings")
struct InspectionTests {
    /// Two healthy sites with one VM that is protected and tested.
    private func rig(vms: [String] = ["orders"]) async throws -> Rig {
        let rig = try await Rig(vms: vms)
        for id in Rig.hosts {
            var host = try await rig.engine.hosts.host(id)
            host.agentAddress = "\(id).example.org:7731"
            try await rig.engine.ensureHost(host)
        }
        try await rig.protect()
        try await rig.run(.testFailover)
        try await rig.run(.cleanUpTest)
        return rig
    }

    private func inspection(_ rig: Rig, fenceIsThere: Bool = true) -> SiteInspection {
        SiteInspection(engine: rig.engine, version: "1", isExecutable: { _ in fenceIsThere })
    }

    private func trouble(_ findings: [CheckFinding]) -> [String] {
        findings.filter { $0.verdict == .warn || $0.verdict == .fail }.map { "\($0.verdict) \($0.object) \($0.check)" }
    }

    @Test("A healthy site is ready, and its vault says what is in it")
    func healthy() async throws {
        let rig = try await rig()
        let inspection = inspection(rig)
        let findings = try await inspection.everything()
        // The fakes' agents give their host's name as address.
        #expect(trouble(findings).filter { !$0.hasSuffix("agent-place") } == [])
        #expect(Set(findings.map(\.object)) == ["vmm", "gold -> silver", "a", "b", "orders"])
        let vault = try await inspection.vaultFacts(place: nil, standardLibrary: "/lib")
        #expect(vault.hosts == ["a", "b"] && vault.servers == 1 && vault.replicated == 1)
        #expect(vault.replicator == .never)
        #expect(rig.world.violations == [])
    }

    @Test("An inspection changes nothing at hosts and in the vault")
    func readOnly() async throws {
        let rig = try await rig()
        let before = rig.world.state.withLock { $0.hosts.mapValues { "\($0)" } }
        let events = try await rig.vault.read { try $0.events(about: nil, limit: 1000) }
        _ = try await inspection(rig).everything(candidates: true)
        #expect(rig.world.state.withLock { $0.hosts.mapValues { "\($0)" } } == before)
        #expect(try await rig.vault.read { try $0.events(about: nil, limit: 1000) } == events)
    }

    @Test("A lost site fails what shows it, and skips what cannot be seen, with the reason")
    func lostSite() async throws {
        let rig = try await rig()
        rig.world.lose("b")
        let findings = try await inspection(rig).everything()
        let failing = Set(trouble(findings).filter { $0.hasPrefix("fail b") })
        #expect(failing == ["fail b libvirt-answers", "fail b agent-answers"])
        let skipped = findings.filter { $0.object == "b" && $0.verdict == .skipped }
        #expect(
            skipped.count > 8 && skipped.allSatisfy { $0.cause.contains("b") && $0.cause.contains("answer") },
            "\(skipped)")
        #expect(findings.contains { $0.check == "target-name-free" && $0.verdict == .skipped })
        #expect(findings.contains { $0.check == "vm-present" && $0.verdict == .ok })
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var expected: String
        var spoil: @Sendable (inout WorldState) -> Void

        init(_ name: String, _ expected: String, _ spoil: @escaping @Sendable (inout WorldState) -> Void) {
            testDescription = name
            self.expected = expected
            self.spoil = spoil
        }
    }

    static let faults: [Fault] = [
        Fault("agent hangs", "fail b agent-answers") { $0.hosts["b"]?.ailments = [.agentHangs] },
        Fault("agent is old", "fail b agent-version") { $0.hosts["b"]?.checks.agentIsOld = true },
        Fault("old QEMU", "fail a qemu-version") { $0.hosts["a"]?.checks.qemu = "5.0.0" },
        Fault("older target", "warn gold -> silver qemu-alike") { $0.hosts["a"]?.checks.qemu = "9.0.0" },
        Fault("no emulator", "fail b backup-capability") { $0.hosts["b"]?.checks.emulator = nil },
        Fault("no start hook", "fail b start-hook") { $0.hosts["b"]?.checks.hookProblem = "there is none" },
        Fault("clock", "fail b clock-skew") { $0.hosts["b"]?.checks.clockAhead = 45 },
        Fault("clock behind", "warn a clock-skew") { $0.hosts["a"]?.checks.clockAhead = -3 },
        Fault("shared store", "fail a store-alone") { state in
            for id in ["a", "b"] { state.hosts[id]?.checks.storeID = "one" }
        },
        Fault("read-only store", "fail b store-writable") {
            $0.hosts["b"]?.checks.writeFailure = "Read-only file system"
        },
        Fault("full store", "fail b scratch-space") { $0.hosts["b"]?.freeBlocks = 1 },
        Fault("no room for the replica", "fail orders target-space") { $0.hosts["b"]?.freeBlocks = 1 },
        Fault("port from a to b", "fail a replication-port") { $0.hosts["a"]?.checks.droppedPorts = [7731] },
        Fault("port from b to a", "fail b replication-port") { $0.hosts["b"]?.checks.droppedPorts = [7731] },
        Fault("network gone", "fail gold -> silver target-network") { $0.hosts["b"]?.networks = ["mgmt-b"] },
        Fault("network gone, for the VM", "fail orders vm-network-mapped") { $0.hosts["b"]?.networks = ["mgmt-b"] },
        Fault("network stopped", "fail orders vm-network-mapped") {
            $0.hosts["b"]?.checks.stoppedNetworks = ["prod-b"]
        },
        Fault("qcow2 of version 2", "fail orders disks-track-changes") {
            $0.hosts["a"]?.checks.imageVersions = ["/images/orders-vda.qcow2": 2]
        },
        Fault("snapshots", "fail orders no-snapshots") { $0.hosts["a"]?.checks.snapshots = 1 },
        Fault("no guest agent", "warn orders guest-agent") { $0.hosts["a"]?.checks.guestAgent = .silent },
    ]

    @Test("Each fault is found where it is", arguments: faults)
    func fault(_ fault: Fault) async throws {
        let rig = try await rig()
        rig.world.state.withLock { fault.spoil(&$0) }
        let found = trouble(try await inspection(rig).everything())
        #expect(found.contains(fault.expected), "\(found)")
    }

    @Test("A fence that is not there, a policy that is gone, an own VM that nobody replicates")
    func record() async throws {
        let rig = try await rig(vms: ["orders", "own"])
        _ = try await rig.engine.ensureServer(name: "vmm", managementVM: "own")
        try await rig.vault.write { vault in
            guard let policy = try vault.objects(Policy.self).first else { return }
            try vault.delete(policy)
        }
        let found = Set(trouble(try await inspection(rig, fenceIsThere: false).everything()))
        #expect(
            found.isSuperset(of: [
                "fail a fence-command", "fail b fence-command", "fail gold -> silver policy-present",
                "fail orders policy-of-vm", "fail vmm management-vm-replicated",
            ]), "\(found)")
    }

    @Test("VMs that nobody replicates are looked at when asked for, as they would be protected")
    func candidates() async throws {
        let rig = try await rig(vms: ["orders", "web"])
        let inspection = inspection(rig)
        #expect(!(try await inspection.everything()).contains { $0.object == "web" })
        let found = try await inspection.everything(candidates: true).filter { $0.object == "web" }
        #expect(trouble(found) == [], "what concerns replicated VMs alone is skipped")
        #expect(found.first { $0.check == "target-space" }?.verdict == .ok)
        try rig.world.addVM(
            "uefi", at: "a", disks: ["vda": [:]], network: "nowhere",
            os: "<os firmware='efi'><type>hvm</type><nvram type='network'/></os>")
        let refused = trouble(try await inspection.everything(candidates: true)).filter { $0.contains("uefi") }
        #expect(Set(refused) == ["fail uefi firmware-state", "warn uefi vm-network-mapped"])
    }

    @Test("A VM that is failed over is looked at where it runs; its target is not judged")
    func failedOver() async throws {
        let rig = try await rig()
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "fence"])
        let found = try await inspection(rig).vm(named: "orders", on: ["a", "b"])
        #expect(found.first { $0.check == "vm-present" }?.cause.contains("at b") == true, "\(found)")
        #expect(found.first { $0.check == "target-space" }?.verdict == .skipped)
    }

    @Test("Objects are found by name, or by kind and name; an unknown one has a nearest")
    func targets() async throws {
        let rig = try await rig(vms: ["orders", "web"])
        let inspection = inspection(rig)
        func kinds(_ words: [String]) async throws -> [String] {
            try await inspection.targets(named: words).map { target in
                switch target {
                case .vault: "vault"
                case .server(let server): "server \(server.name)"
                case .pair(let pair): "pair \(pair.name)"
                case .host(let host): "host \(host.name)"
                case .vm(let name, let hosts): "vm \(name) \(hosts)"
                }
            }
        }
        #expect(
            try await kinds(["vault", "vmm", "a", "a", "gold"]) == [
                "vault", "server vmm", "host a", "pair gold -> silver",
            ])
        #expect(
            try await kinds(["host:b", "orders", "vm:web"]) == ["host b", "vm orders [\"a\", \"b\"]", "vm web [\"a\"]"])
        let error = await #expect(throws: EngineError.self) { try await kinds(["ordres"]) }
        #expect(error?.hint == "did you mean 'orders'?")
        await #expect(throws: EngineError.self) { try await kinds(["host:orders"]) }
        for target in try await inspection.targets(named: ["vmm", "a", "gold", "web"]) {
            #expect(try await !inspection.look(at: target).isEmpty)
        }
    }

    @Test("One host alone is held against the stores of the others")
    func oneHost() async throws {
        let rig = try await rig()
        rig.world.state.withLock { state in for id in ["a", "b"] { state.hosts[id]?.checks.storeID = "one" } }
        let host = try await rig.engine.hosts.host("a")
        let found = try await inspection(rig).host(host)
        #expect(found.first { $0.check == "store-alone" }?.cause.contains("b") == true)
        #expect(Set(found.map(\.object)) == ["a"])
    }

    @Test("Endpoints are tried from here and from each host; a host that is lost is skipped")
    func endpoints() async throws {
        let rig = try await rig()
        rig.world.state.withLock { $0.hosts["a"]?.checks.droppedPorts = [25] }
        rig.world.lose("b")
        let text = """
            {"groups":[{"name":"mail","ranges":["192.0.2.0/24"],"endpoints":[
            {"host":"no-such-host.invalid","port":25,"tls":false},{"host":"no-such-host.invalid","port":26,"tls":false}]}]}
            """
        let findings = try await inspection(rig).endpoints(EndpointPlan(json: Data(text.utf8), folder: "/"))
        let reached = findings.filter { $0.check == "endpoint-reachable" }
        #expect(reached.map(\.verdict) == [.fail, .fail, .fail, .ok, .skipped, .skipped], "\(reached)")
        #expect(
            reached.map(\.object) == [
                "this machine (for vmm)", "this machine (for vmm)", "host a", "host a", "host b", "host b",
            ])
        #expect(reached[0].about == "mail: no-such-host.invalid:25")
        #expect(
            findings.filter { $0.check == "endpoint-ranges" && $0.object == "host a" }.map(\.verdict) == [
                .skipped, .ok,
            ])
    }

    @Test("A report knows the worst of each object, and is ready when nothing fails")
    func report() async throws {
        let rig = try await rig()
        rig.world.state.withLock { $0.hosts["b"]?.checks.clockAhead = 45 }
        let report = InspectionReport(try await inspection(rig).everything())
        #expect(!report.ready)
        #expect(report.objects.first { $0.object == "b" }?.verdict == .fail)
        #expect(report.objects.first { $0.object == "orders" }?.verdict == .ok)
        #expect(report.counts.values.reduce(0, +) == report.findings.count)
        let again = try JSONDecoder().decode(InspectionReport.self, from: JSONEncoder().encode(report))
        #expect(again == report)
    }
}
