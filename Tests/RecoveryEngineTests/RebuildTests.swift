import BlockReplication
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("A vault that is made anew from what lies beside the points")
struct RebuildTests {
    /// The rig's site with all that may be described of it: cluster, networks with pools, classes of storage.
    private func described() async throws -> Rig {
        let rig = try await Rig(vms: ["orders", "stock"])
        let (gold, silver) = (try await rig.cloud("gold"), try await rig.cloud("silver"))
        let server = try #require(try await rig.vault.read { try $0.object(Server.self, id: gold.server)?.value })
        try await rig.engine.ensureHost(
            SiteModel.Host(
                id: "c", name: "c", site: "b", uri: "fake:///c", agentSocket: "/c/agent.sock", agentAddress: "c:7731",
                store: "/store"))
        let west = try await rig.engine.ensureCluster(name: "west", hosts: ["c"], accessName: "west.example")
        try await rig.engine.ensureCloud(name: "silver", server: server.id, hosts: ["b"], clusters: [west.id])
        let bronze = try await rig.engine.ensureCloud(name: "bronze", server: server.id, hosts: [])
        let lan = try await rig.engine.ensureLogicalNetwork(
            name: "lan", server: server, isolation: .vlan, clouds: [gold, silver, bronze])
        let block = try #require(IPv4Block("10.1.0.0/24"))
        let pool = try #require(AddressPool(range: "10.1.0.10-10.1.0.99"))
        try await rig.engine.ensureVMNetwork(
            name: "prod-b", logical: lan, subnets: [Subnet(name: "web", block: block, vlan: 7, pool: pool)])
        try await rig.engine.ensureVMNetwork(name: "mgmt-b", logical: lan, subnets: nil)
        let disks = try await rig.engine.ensureStorageClass(
            name: "disks", server: server, locations: [StorageLocation(host: "a", path: "/images")])
        let ssd = try await rig.engine.ensureStorageClass(
            name: "ssd", server: server, locations: [StorageLocation(host: "b", path: "/store")])
        try await rig.engine.ensureStorageClass(
            name: "tape", server: server, locations: [StorageLocation(host: "a", path: "/tape")])
        try await rig.engine.ensureStorageMapping(from: disks, to: ssd)
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        return rig
    }

    /// A manifest as the target keeps it after the VM's newest point.
    private func find(_ vm: String, _ rig: Rig) async throws -> VaultRebuild.Find {
        let relationship = try await rig.relationship(vm)
        var manifest = Manifest(
            relationship: relationship.id, vmName: vm, vmUUID: relationship.vmUUID, epoch: relationship.epoch,
            owner: relationship.owner)
        manifest.context = try await rig.vault.read { try SiteRecord(of: relationship, in: $0).text() }
        return VaultRebuild.Find(store: "/store", manifest: manifest, record: nil)
    }

    private func rebuilt(_ rig: Rig, _ finds: [VaultRebuild.Find]) async throws -> MemoryVault {
        let vault = MemoryVault()
        let report = try await VaultRebuild(clock: rig.clock, identifiers: rig.identifiers, place: "here").rebuild(
            from: finds, into: vault)
        #expect(report.restored == finds.map(\.manifest.vmName).sorted())
        #expect(report.unknown.contains { $0.contains("recovery plans") })
        return vault
    }

    private func all<Object: SiteObject>(_ type: Object.Type, _ vault: MemoryVault) async throws -> [Object] {
        try await vault.read { try $0.objects(type).map(\.value) }
    }

    @Test("Cluster, networks with their pools, and classes of storage are what they were")
    func whole() async throws {
        let rig = try await described()
        let vault = try await rebuilt(rig, [try await find("orders", rig), try await find("stock", rig)])
        #expect(try await all(HostCluster.self, vault) == all(HostCluster.self, rig.vault))
        #expect(try await all(SiteModel.Host.self, vault) == all(SiteModel.Host.self, rig.vault))
        #expect(try await all(StorageMapping.self, vault) == all(StorageMapping.self, rig.vault))
        #expect(try await all(NetworkMapping.self, vault) == all(NetworkMapping.self, rig.vault))
        #expect(try await all(StorageClass.self, vault).map(\.name) == ["disks", "ssd"], "no disk is of the third")
        let networks = try await all(VMNetwork.self, vault)
        #expect(networks == (try await all(VMNetwork.self, rig.vault).filter { $0.name == "prod-b" }))
        #expect(networks.first?.subnets.first?.pool?.first == IPv4Address("10.1.0.10"))
        let lan = try #require(try await all(LogicalNetwork.self, vault).first)
        #expect(lan.isolation == .vlan)
        let clouds = try await all(Cloud.self, vault)
        #expect(clouds.map(\.name) == ["gold", "silver"])
        #expect(
            lan.clouds == clouds.map(\.id), "a cloud that nothing was protected through is not known, and not named")
    }

    @Test("The VM is protected as it was, and what it may be placed on is known again")
    func goesOn() async throws {
        let rig = try await described()
        let before = try await rig.relationship("orders")
        let vault = try await rebuilt(rig, [try await find("orders", rig)])
        let relationship = try #require(
            try await vault.read { try $0.object(Relationship.self, named: "orders", parent: nil)?.value })
        #expect(relationship.state == .protected && relationship.target == before.target)
        let item = try #require(relationship.item)
        #expect(try await vault.read { try $0.object(ProtectedItem.self, id: item)?.value.name } == "orders")
        let pair = try #require(try await all(CloudPair.self, vault).first)
        let silver = try #require(try await vault.read { try $0.object(Cloud.self, id: pair.recovery)?.value })
        let hosts = silver.allHosts(in: try await all(HostCluster.self, vault))
        #expect(hosts == ["b", "c"], "placement finds the cluster's hosts again")
    }

    @Test("The new vault goes on as the lost one, promoted: a copy of that which turns up again is obeyed no more")
    func heir() async throws {
        let rig = try await Rig()
        try await rig.vault.changeIdentity(orNew: "lost") { _ in }
        try await rig.protect()
        let copy = try await rig.vault.copy()
        let promoted = PromotionMark(id: "p1", place: "beta:/copy", at: rig.clock.now)
        try await rig.vault.changeIdentity(orNew: "") { $0.promote(as: promoted) }
        try await rig.cycle()
        var found = try await find("orders", rig)
        let id = try await rig.relationship().id
        found.record = rig.world.store(id, at: "b").ownership
        #expect(found.record?.vault?.id == "lost")
        let heard = rig.world.state.withLock { $0.hosts["b"]?.vaults.values.map { $0 } ?? [] }
        #expect(heard.map(\.promotion) == [promoted])
        let vault = MemoryVault()
        try await vault.changeIdentity(orNew: "made with the file") { _ in }
        let rebuild = VaultRebuild(clock: rig.clock, identifiers: rig.identifiers, place: "gamma:/new")
        _ = try await rebuild.rebuild(from: [found], standings: heard, into: vault)
        let identity = try #require(try await vault.identity())
        #expect(identity.id == "lost" && identity.epoch == 3 && identity.heirTo == ["p1"])

        try await SiteWatch(engine: rig.engine(over: vault)) { _ in }.look()
        for old in [copy, rig.vault] {
            let error = await #expect(throws: VaultError.self) {
                try await SiteWatch(engine: rig.engine(over: old)) { _ in }.look()
            }
            #expect(error?.code == .superseded && error?.message.contains("gamma:/new") == true)
        }
    }

    @Test(
        "Who was told by mail is told again, as the newest manifest has it; a webhook's URL is in no manifest, and is asked for"
    )
    func alerts() async throws {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        let mail = AlertMail(server: "mail.example:465", from: "dr@example.org", to: ["ops@example.org"])
        let left = AlertRule(id: "1", name: "left", mail: mail)
        try await rig.engine.ensureAlert(left)
        let old = VaultRebuild.Find(store: "/store", manifest: try await rig.manifest("orders"), record: nil)
        try await rig.engine.removeAlert(named: "left")
        let kept = AlertRule(id: "2", name: "night", mail: mail, severity: .critical, topics: [.job])
        try await rig.engine.ensureAlert(kept)
        try await rig.engine.ensureAlert(
            AlertRule(id: "3", name: "chat", webhook: "https://hooks.example:8443/T0/token?key=1"))
        try await rig.cycle("stock")
        let new = VaultRebuild.Find(store: "/store", manifest: try await rig.manifest("stock"), record: nil)
        let context = try #require(new.manifest.context)
        #expect(!context.contains("token") && !context.contains("key=1") && context.contains("hooks.example:8443"))
        let vault = MemoryVault()
        let report = try await VaultRebuild(clock: rig.clock, identifiers: rig.identifiers, place: "here").rebuild(
            from: [new, old], into: vault)
        #expect(try await all(AlertRule.self, vault) == [kept])
        #expect(try await all(AlertOutbox.self, vault).map(\.id) == ["2"])
        let asked = report.unknown.filter { $0.contains("chat") }
        #expect(asked.count == 1 && asked.first?.contains("hooks.example:8443") == true)
        #expect(asked.first?.contains("token") == false)
    }

    @Test("What an older version kept, without any of this, is read as it was")
    func older() async throws {
        let rig = try await described()
        var site = try #require(SiteRecord(text: try await find("orders", rig).manifest.context))
        (site.clusters, site.logicalNetworks, site.vmNetworks) = (nil, nil, nil)
        (site.storageClasses, site.storageMappings, site.alerts) = (nil, nil, nil)
        let text = try site.text()
        #expect(!text.contains("storageClasses") && !text.contains("alerts"))
        var old = try await find("orders", rig)
        old.manifest.context = text
        let vault = try await rebuilt(rig, [old])
        #expect(try await all(LogicalNetwork.self, vault).isEmpty)
        #expect(try await all(Relationship.self, vault).map(\.name) == ["orders"])
    }
}
