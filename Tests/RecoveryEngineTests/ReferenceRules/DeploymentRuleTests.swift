import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Rules of deployment, 1 to 10")
struct DeploymentRuleTests {
    private func server(_ rig: Rig) async throws -> Server {
        try #require(try await rig.vault.read { try $0.objects(Server.self).first?.value })
    }

    private func host(_ id: String, _ rig: Rig) async throws -> SiteModel.Host {
        try #require(try await rig.vault.read { try $0.object(SiteModel.Host.self, id: id)?.value })
    }

    @Test("rule 1: a step that is taken too early is refused with the step that is missing")
    func order() async throws {
        let rig = try await Rig(thirdHost: true)
        let server = try await server(rig).id
        let empty = try await rig.engine.ensureCloud(name: "empty", server: server, hosts: [])
        let full = try await rig.engine.ensureCloud(name: "full", server: server, hosts: ["c"])
        let policy = try await rig.policy()
        #expect(
            try await engineError { try await rig.engine.protect(vm: "orders", in: full) }.rule == "pair-required")
        #expect(
            try await engineError {
                try await rig.engine.ensurePair(primary: full, recovery: empty, policy: policy)
            }.rule == "cloud-needs-a-host")
        #expect(
            try await engineError {
                try await rig.engine.ensureNetworkMapping(
                    cloud: full, network: "prod-a", targetCloud: try await rig.cloud("silver"),
                    targetNetwork: "nowhere")
            }.kind == .unknown)
        #expect(TransitionTable.transition(from: .unprotected, .testFailover) == .refused(RuleBook.notProtected))
    }

    @Test("rule 2: one server needs two clouds")
    func twoClouds() async throws {
        let rig = try await Rig(thirdHost: true)
        let lone = try await rig.engine.ensureCloud(name: "lone", server: try await server(rig).id, hosts: ["c"])
        let policy = try await rig.policy()
        let error = try await engineError {
            try await rig.engine.ensurePair(primary: lone, recovery: lone, policy: policy)
        }
        #expect(error.rule == "two-clouds-on-one-server")
        // Two clouds of one server, or of two, are a pair.
        try await rig.protect()
        #expect(try await rig.relationship().state == .protected)
    }

    @Test("rule 3: a policy exists before a VM is protected")
    func policyFirst() async throws {
        let rig = try await Rig()
        let policy = try await rig.policy()
        try await rig.vault.write { vault in
            guard let stored = try vault.object(Policy.self, id: policy.id) else { return }
            try vault.delete(stored)
        }
        #expect(try await engineError { try await rig.protect() }.rule == "policy-required")
    }

    @Test("rule 4: the active node comes first, and all have one version")
    func nodes() {
        let support = VersionSupport(current: Version(1, 2, 0))
        func node(_ name: String, _ version: String, active: Bool) -> ServerNode {
            ServerNode(name: name, version: version, active: active, joinedAt: Timestamp(milliseconds: 0))
        }
        var server = Server(id: "s", name: "role", managementVM: nil)
        #expect(
            Guards.checkJoin(of: node("n2", "1.2.0", active: false), to: server, named: "role", support: support)?.rule
                == RuleBook.activeNodeFirst)
        server.nodes = [node("n1", "1.2.0", active: true)]
        #expect(
            Guards.checkJoin(of: node("n2", "1.1.0", active: false), to: server, named: "role", support: support)?.rule
                == RuleBook.oneVersionOnAllNodes)
        #expect(
            Guards.checkJoin(of: node("n2", "1.2.0", active: false), to: server, named: "role", support: support)
                == nil)
    }

    @Test("rule 5: networks are mapped where they exist; a NIC without a mapping comes up unconnected")
    func networks() async throws {
        let rig = try await Rig()
        try rig.world.addVM("odd", at: "a", disks: ["vda": [0: 1]], network: "mgmt-a")
        try await rig.protect("odd")
        try await rig.run(.unplannedFailover, "odd")
        #expect(rig.world.domain("odd", at: "b")?.definition.nics.compactMap(\.network) == [])
        let (gold, silver) = (try await rig.cloud(), try await rig.cloud("silver"))
        let error = try await engineError {
            try await rig.engine.ensureNetworkMapping(
                cloud: gold, network: "not-there", targetCloud: silver, targetNetwork: "prod-b")
        }
        #expect(error.kind == .unknown && error.hint != nil)
    }

    @Test("rule 6: the management server's own VM is in no protected cloud")
    func managementVM() async throws {
        let rig = try await Rig(managementVM: "vmm01", vms: ["vmm01"])
        #expect(try await engineError { try await rig.protect("vmm01") }.rule == "management-vm-outside-clouds")
    }

    @Test("rule 7: hosts alone replicate below the clouds, and a cloud protects VMs of its own hosts only")
    func hostsAlone() async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        try await rig.engine.replicate(
            vm: "stock", from: try await host("a", rig), to: try await host("b", rig), policy: try await rig.policy(),
            networks: [:])
        #expect(try await rig.relationship("stock").item == nil)
        try rig.world.addVM("stranger", at: "b", disks: ["vda": [0: 1]], network: "prod-b")
        #expect(try await engineError { try await rig.protect("stranger") }.kind == .unknown)
    }

    @Test("rule 8: a VM that hosts replicate already is taken over with its points, between the pair's hosts only")
    func onboarding() async throws {
        let rig = try await Rig(vms: ["orders"], thirdHost: false)
        let (a, b) = (try await host("a", rig), try await host("b", rig))
        try await rig.engine.replicate(
            vm: "orders", from: a, to: b, policy: try await rig.policy(), networks: [:])
        let points = try await rig.points().map(\.id)
        let item = try await rig.engine.protect(vm: "orders", in: try await rig.cloud())
        #expect(try await rig.relationship().item == item.id)
        #expect(try await rig.points().map(\.id) == points, "no first copy is made again")
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await engineError { try await rig.protect() }.rule == "already-protected")

        // Under another policy it is refused, and nothing is changed.
        let other = try await Rig()
        let slow = try await other.engine.ensurePolicy(Policy(id: "slow", name: "slow"))
        try await other.engine.replicate(vm: "orders", from: a, to: b, policy: slow, networks: [:])
        #expect(try await engineError { try await other.protect() }.rule == "onboard-between-its-clouds")
        #expect(try await other.relationship().item == nil)
    }

    @Test("rule 9: a replica is no VM before its failover, so there is nothing to make highly available")
    func noReplicaVM() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.cycle()
        #expect(rig.world.domain("orders", at: "b") == nil)
        #expect(try await rig.points().isEmpty == false)
    }

    @Test("rule 10: the recovery server's steps begin with the VMs that are replicated to its clouds")
    func unregistrationOfTheRecoveryServer() async throws {
        let rig = try await Rig(thirdHost: true)
        let other = try await rig.engine.ensureServer(name: "vmm2", managementVM: nil)
        rig.world.change { _ = $0.hosts["c"]?.networks.insert("prod-b") }
        try await rig.engine.unpair(rig.cloud())
        let bronze = try await rig.engine.ensureCloud(name: "bronze", server: other.id, hosts: ["c"])
        try await rig.engine.ensurePair(primary: rig.cloud(), recovery: bronze, policy: rig.policy())
        try await rig.engine.ensureNetworkMapping(
            cloud: rig.cloud(), network: "prod-a", targetCloud: bronze, targetNetwork: "prod-b")
        try await rig.protect()
        func left() async throws -> [UnregistrationStep] { try await rig.engine.unregistrationSteps(of: other) }
        #expect(
            try await left().map(\.call) == [
                "vault:replicated(\"orders\"):unprotect()",
                "vault:server(\"vmm\"):cloud(\"gold\"):unmap_network(\"prod-a\")",
                "vault:server(\"vmm\"):cloud(\"gold\"):unpair()",
            ])
        try await rig.run(.unprotect)
        try await rig.engine.removeNetworkMapping(cloud: rig.cloud(), network: "prod-a")
        try await rig.engine.unpair(rig.cloud())
        #expect(try await left().isEmpty)
        try await rig.engine.unregister(other)
    }

    @Test("rule 10: a server goes in order, and neither the vault nor a host holds anything of it afterwards")
    func unregistration() async throws {
        let rig = try await Rig(managementVM: "vmm01", vms: ["vmm01", "orders", "stock"])
        let server = try await server(rig)
        try await rig.engine.replicate(
            vm: "vmm01", from: try await host("a", rig), to: try await host("b", rig),
            policy: try await rig.policy(), networks: [:])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        // One of them has been to the other side and back in between.
        try await rig.run(.plannedFailover, "stock")
        try await rig.run(.commit, "stock")
        try await rig.run(.reverse, "stock")

        func left() async throws -> [UnregistrationStep] { try await rig.engine.unregistrationSteps(of: server) }
        #expect(
            try await left().map(\.action)
                == [.unprotect, .unprotect, .removeNetworkMapping, .unpair, .endReplication])
        while let step = try await left().first {
            let error = try await engineError { try await rig.engine.unregister(server) }
            #expect(error.rule == "unregister-in-order" && error.message.contains(step.name))
            let gold = try await rig.cloud()
            switch step.action {
            case .unprotect, .endReplication: try await rig.run(.unprotect, step.name)
            case .removeNetworkMapping: try await rig.engine.removeNetworkMapping(cloud: gold, network: step.name)
            case .unpair: try await rig.engine.unpair(gold)
            case .removePlan, .removeStorageMapping: Issue.record("there is none")
            }
        }
        try await rig.engine.unregister(server)
        for id in Rig.hosts { try await rig.engine.removeHost(try await host(id, rig)) }

        let kept = try await rig.vault.read { vault in
            try vault.objects(Server.self).count + vault.objects(Cloud.self).count + vault.objects(CloudPair.self).count
                + vault.objects(NetworkMapping.self).count + vault.objects(ProtectedItem.self).count
                + vault.objects(RecoveryPoint.self).count + vault.objects(SiteModel.Host.self).count
        }
        #expect(kept == 0)
        #expect(try await rig.vault.read { try $0.openJobs().count } == 0)
        rig.world.state.withLock { state in
            for (name, host) in state.hosts {
                for store in host.stores.values {
                    #expect(store.points.isEmpty && store.boots.isEmpty && store.draft == nil, "store at \(name)")
                }
                for domain in host.domains.values where domain.power.isActive {
                    #expect(domain.checkpoints == [] && domain.backup == nil, "checkpoints at \(name)")
                }
                // Where a VM runs now, its own disks are all that is left; nobody else has a definition of it that we made.
                let made = host.domains.values.filter { !$0.power.isActive }.map(\.definition.name)
                #expect(made == (name == "a" ? ["stock"] : []), "definitions at \(name): \(made)")
            }
        }
    }
}
