import Foundation
import SiteModel
import TestSupport
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("Setting a site up and taking it down")
struct SiteSetupTests {
    /// A path that no file has; the file is removed when the body ends.
    private func withFile<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        let scratch = try Scratch()
        defer { scratch.remove() }
        return try await body(scratch("key"))
    }

    private func rule(_ body: () async throws -> Void) async throws -> String? {
        try await engineError { try await body() }.rule
    }

    @Test(
        "SHA-256 gives the digests of its standard",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func digests(text: String, expected: String) {
        #expect(SHA256.hexadecimal(of: Array(text.utf8)) == expected)
    }

    @Test func keyLetsAServerInForFiveDaysAndOneVault() async throws {
        let (rig, other) = (try await Rig(), try await Rig())
        try await rig.engine.ensureVault(requiresKey: true)
        try await other.engine.ensureVault(requiresKey: true)
        try await withFile { path in
            let key = try await rig.engine.issueKey(to: path)
            let rights = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(rights == 0o600)
            let written = try String(contentsOfFile: path, encoding: .utf8)
            #expect(!written.contains(key.hash), "the vault keeps the hash, the file the secret")
            #expect(try await engineError { try await rig.engine.issueKey(to: path) }.kind == .invalid)

            func register(_ rig: Rig, key: String?) async throws {
                try await rig.engine.register(.init(name: "vmm02", version: "0.1.0", keyFile: key))
            }
            #expect(try await rule { try await register(rig, key: nil) } == "registration-key-needed")
            #expect(try await rule { try await register(other, key: path) } == "registration-key-refused")
            try await register(rig, key: path)
            let used = try await rig.vault.read { try $0.objects(RegistrationKey.self).map(\.value.usedBy) }
            #expect(used == [["vmm02"]])
            try await register(rig, key: nil)  // A known server needs none.
            rig.clock.advance(seconds: RegistrationKey.lifetime)
            #expect(try await rule { try await register(rig, key: path) } == "registration-key-refused")
        }
    }

    @Test func keyThatWasRevokedOrForgedOrReadByOthersIsRefused() async throws {
        let rig = try await Rig()
        try await withFile { path in
            let key = try await rig.engine.issueKey(to: path)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            func register() async throws { try await rig.engine.register(.init(name: "vmm02", keyFile: path)) }
            chmod(path, 0o640)
            #expect(try await engineError { try await register() }.message.contains("read by others"))
            for forged in ["{}", "", text.replacingOccurrences(of: key.id, with: "no-such-key"), text + "x"] {
                try forged.write(toFile: path, atomically: true, encoding: .utf8)
                chmod(path, 0o600)
                #expect(try await rule { try await register() } == "registration-key-refused", "\(forged)")
            }
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            chmod(path, 0o600)
            try await rig.engine.revokeKey(key.id)
            #expect(try await rule { try await register() } == "registration-key-refused")
            #expect(try await engineError { try await rig.engine.revokeKey("none") }.kind == .unknown)
            #expect(try await rig.vault.read { try $0.object(Server.self, named: "vmm02", parent: nil) } == nil)
        }
    }

    @Test func nodesRegisterActiveFirstAndAtOneVersion() async throws {
        let rig = try await Rig()
        func join(_ node: String, _ version: String) async throws {
            try await rig.engine.join(node: node, version: version, to: "role")
        }
        #expect(try await rule { try await join("n2", "0.1.0") } == "active-node-first")
        let wrong = try await rule {
            try await rig.engine.register(.init(name: "n1", version: "0.1.0", role: "role", node: "n1"))
        }
        #expect(wrong == "cluster-role-name")
        try await rig.engine.register(.init(name: "role", version: "0.1.0", role: "role", node: "n1"))
        #expect(try await rule { try await join("n2", "0.0.9") } == "one-version-on-all-nodes")
        try await join("n2", "0.1.0")
        try await rig.engine.heartbeat(of: "role", node: "n2")
        // The role moves to the other node.
        let moved = try await rig.engine.register(.init(name: "role", node: "n2"))
        #expect(moved.nodes?.map(\.name) == ["n2", "n1"] && moved.nodes?.map(\.active) == [true, false])
        #expect(moved.connection(at: rig.clock.now) == .connected)
        #expect(try await engineError { try await rig.engine.heartbeat(of: "role", node: "n3") }.kind == .unknown)
    }

    @Test func pairIsTakenApartOnlyWhenNothingIsProtectedAndMadeAnewAfterThat() async throws {
        let rig = try await Rig(thirdHost: true)
        try await rig.protect()
        let (gold, silver, policy) = (try await rig.cloud(), try await rig.cloud("silver"), try await rig.policy())
        let bronze = try await rig.engine.ensureCloud(name: "bronze", server: gold.server, hosts: ["c"])
        func pair(_ other: Cloud) async throws {
            try await rig.engine.ensurePair(primary: gold, recovery: other, policy: policy)
        }
        #expect(try await rule { try await pair(bronze) } == "unpair-before-pairing-anew")
        #expect(try await rule { try await rig.engine.unpair(gold) } == "unprotect-before-unpairing")
        #expect(try await rule { try await rig.engine.removeCloud(silver) } == "still-in-use")
        #expect(try await rule { try await rig.engine.removePolicy(policy) } == "still-in-use")
        try await rig.run(.unprotect)
        try await rig.engine.unpair(silver)
        #expect(try await rig.vault.read { try $0.objects(NetworkMapping.self).isEmpty })
        rig.world.lose("c")
        try await pair(bronze)
        let made = try await rig.vault.read { try $0.objects(CloudPair.self).map(\.value) }
        #expect(made.map(\.state) == [.incomplete] && made.map(\.unready) == [["c"]])
        rig.world.bringBack("c")
        try await pair(bronze)
        #expect(try await rig.vault.read { try $0.objects(CloudPair.self).map(\.value.state) } == [.paired])
        try await rig.protect()
        #expect(try await rig.relationship().state == .protected)
    }

    @Test func serverIsUnregisteredInOrderAndLeavesNothing() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let gold = try await rig.cloud()
        let server = try #require(try await rig.vault.read { try $0.objects(Server.self).first?.value })
        let error = try await engineError { try await rig.engine.unregister(server) }
        #expect(error.rule == "unregister-in-order")
        let words = ["VM orders", "network mapping prod-a", "pair gold -> silver"].map { error.message.range(of: $0) }
        let places = words.compactMap { $0?.lowerBound }
        #expect(places.count == 3 && places == places.sorted(), "\(error.message)")
        #expect(try await rule { try await RecoveryEngine.checkIsEmpty(rig.vault) } == "vault-not-empty")
        try await rig.run(.unprotect)
        try await rig.engine.removeNetworkMapping(cloud: gold, network: "prod-a")
        try await rig.engine.unpair(gold)
        try await rig.engine.unregister(server)
        let left = try await rig.vault.read { vault in
            try vault.objects(Server.self).count + vault.objects(Cloud.self).count
                + vault.objects(CloudPair.self).count + vault.objects(NetworkMapping.self).count
                + vault.objects(ProtectedItem.self).count + vault.objects(Relationship.self).count
        }
        #expect(left == 0)
        for host in try await rig.vault.read({ try $0.objects(SiteModel.Host.self).map(\.value) }) {
            try await rig.engine.removeHost(host)
        }
        try await RecoveryEngine.checkIsEmpty(rig.vault)
    }

    @Test func aMappingThatChangesTellsWhichReplicasItMoves() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.engine.ensureNetworkMapping(
            cloud: rig.cloud(), network: "prod-a", targetCloud: rig.cloud("silver"), targetNetwork: "mgmt-b")
        let events = try await rig.vault.read { try $0.events(about: nil, limit: 100) }
        let told = events.filter { $0.code == "reconnected" }.map(\.text)
        #expect(told == ["the replica of orders goes to mgmt-b, not to prod-b (NIC 52:54:00:00:00:01)"])
    }

    @Test func aTargetNetworkMustBeAssociatedWithItsCloud() async throws {
        let rig = try await Rig()
        let (gold, silver) = (try await rig.cloud(), try await rig.cloud("silver"))
        let server = try #require(try await rig.vault.read { try $0.objects(Server.self).first?.value })
        func map() async throws {
            try await rig.engine.ensureNetworkMapping(
                cloud: gold, network: "mgmt-a", targetCloud: silver, targetNetwork: "mgmt-b")
        }
        let lan = try await rig.engine.ensureLogicalNetwork(name: "lan", server: server, isolation: nil, clouds: [gold])
        try await rig.engine.ensureVMNetwork(name: "mgmt-b", logical: lan, subnets: nil)
        #expect(try await rule { try await map() } == "target-network-not-associated")
        try await rig.engine.ensureLogicalNetwork(name: "lan", server: server, isolation: nil, clouds: [gold, silver])
        try await map()
        #expect(try await rule { try await rig.engine.removeLogicalNetwork(lan) } == "still-in-use")
    }

    @Test func aReplicaGoesToTheHostThatReachesItsNetworkAndHasItsClass() async throws {
        let rig = try await Rig(thirdHost: true)
        let (silver, server) = (
            try await rig.cloud("silver"),
            try #require(try await rig.vault.read { try $0.objects(Server.self).first?.value })
        )
        // The first host has no network for it.
        try await rig.engine.ensureCloud(name: "silver", server: silver.server, hosts: ["c", "b"])
        try await rig.protect("orders")
        #expect(try await rig.relationship("orders").target == "b")
        // Both do, and the second one's store is of the mapped class.
        rig.world.change { _ = $0.hosts["c"]?.networks.insert("prod-b") }
        try await rig.protect("stock")
        #expect(try await rig.relationship("stock").target == "c")
        let disks = try await rig.engine.ensureStorageClass(
            name: "disks", server: server, locations: [StorageLocation(host: "a", path: "/images")])
        let ssd = try await rig.engine.ensureStorageClass(
            name: "ssd", server: server, locations: [StorageLocation(host: "b", path: "/store")])
        try await rig.engine.ensureStorageMapping(from: disks, to: ssd)
        try await rig.protect("files")
        #expect(try await rig.relationship("files").target == "b")
        // A host that does not answer is passed over, whatever else speaks for it.
        rig.world.lose("b")
        try await rig.protect("mail")
        #expect(try await rig.relationship("mail").target == "c")
        #expect(try await rule { try await rig.engine.removeStorageClass(ssd) } == "still-in-use")
    }

    @Test func aHostIsInOneClusterAndACloudMayHaveClusters() async throws {
        let rig = try await Rig(thirdHost: true)
        let west = try await rig.engine.ensureCluster(name: "west", hosts: ["b", "c"], accessName: "west.example")
        #expect(
            try await rule {
                try await rig.engine.ensureCluster(name: "east", hosts: ["c"], accessName: "east.example")
            } == "host-in-one-cluster")
        let taken = try await engineError {
            try await rig.engine.ensureCluster(name: "east", hosts: ["a"], accessName: "west.example")
        }
        #expect(taken.kind == .invalid && taken.message.contains("access_name"))
        let silver = try await rig.cloud("silver")
        try await rig.engine.ensureCloud(name: "silver", server: silver.server, hosts: [], clusters: [west.id])
        rig.world.change { _ = $0.hosts["c"]?.networks.insert("prod-b") }
        for vm in ["orders", "stock", "files", "mail"] { try await rig.protect(vm) }
        let again = try await Rig(thirdHost: true)
        #expect(try await rule { try await rig.engine.removeCluster(west) } == "still-in-use")
        #expect(again.world.violations == [] && rig.world.violations == [])
        for vm in ["orders", "stock", "files", "mail"] {
            #expect(["b", "c"].contains(try await rig.relationship(vm).target))
        }
    }

    @Test func aPairedCloudKeepsAHostAndAHostWithReplicatedVMsStays() async throws {
        let rig = try await Rig(thirdHost: true)
        let (gold, silver) = (try await rig.cloud(), try await rig.cloud("silver"))
        func set(_ cloud: Cloud, _ hosts: [String], _ clusters: [String]? = nil) async throws -> EngineError? {
            do {
                try await rig.engine.ensureCloud(
                    name: cloud.name, server: cloud.server, hosts: hosts, clusters: clusters)
                return nil
            } catch let error as EngineError { return error }
        }
        #expect(try await set(gold, [])?.rule == "cloud-needs-a-host", "though nothing is protected yet")
        #expect(try await set(silver, ["b", "c"]) == nil)
        #expect(try await set(silver, ["b"]) == nil, "nothing is at c")
        #expect(try await set(gold, ["a", "b"])?.rule == "host-in-one-cloud")
        try await rig.protect()
        for (cloud, host, hosts) in [(gold, "a", ["c"]), (silver, "b", ["c"])] {
            let error = try #require(try await set(cloud, hosts))
            #expect(error.rule == "host-holds-vms" && error.hint?.contains("Unprotect") == true)
            #expect(error.message.contains("host \(host) still holds VM orders"))
        }
        // The hosts of a cluster are the cloud's, too.
        let west = try await rig.engine.ensureCluster(name: "west", hosts: ["b", "c"], accessName: "west.example")
        #expect(try await set(silver, [], [west.id]) == nil)
        let shrunk = try await engineError {
            try await rig.engine.ensureCluster(name: "west", hosts: ["c"], accessName: "west.example")
        }
        #expect(shrunk.rule == "host-holds-vms")
        let grown = try await engineError {
            try await rig.engine.ensureCluster(name: "west", hosts: ["a", "b"], accessName: "west.example")
        }
        #expect(grown.rule == "host-in-one-cloud")
        #expect(try await rig.cloud() == gold)
        try await rig.run(.unprotect)
        #expect(try await set(silver, ["c"], []) == nil)
        try await rig.engine.unpair(gold)
        #expect(try await set(gold, []) == nil)
    }

    @Test func aGoalThatThePairsDoNotMeetIsRefused() async throws {
        let rig = try await Rig()
        #expect(try await rule { try await rig.engine.ensureVault(goal: .twoServers) } == "goal-of-the-vault")
        #expect(try await rig.engine.ensureVault(name: "prod", goal: .oneServer).goal == .oneServer)
        #expect(try await rig.engine.ensureVault().name == "prod")
    }
}
