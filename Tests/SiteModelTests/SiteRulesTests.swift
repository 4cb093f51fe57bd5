import SiteModel
import Testing

@Suite("Registering, joining, mapping and taking away")
struct SiteRulesTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var title: String
        /// Id of the rule that refuses; nil when it may be done.
        var rule: String?
        var ask: @Sendable () -> SetupRefusal?
        var testDescription: String { title }
    }

    private static let now = Timestamp(milliseconds: 0)
    private static let support = VersionSupport(current: Version(1, 4, 0))
    private static let plain = Server(id: "s", name: "vmm", managementVM: nil, version: "1.4.0")

    private static func node(_ name: String, _ version: String = "1.4.0", active: Bool = false) -> ServerNode {
        ServerNode(name: name, version: version, active: active, joinedAt: now)
    }

    private static func clustered(name: String = "vmm-role", role: String? = "vmm-role") -> Server {
        Server(
            id: "s", name: name, managementVM: nil, version: "1.4.0", role: role, nodes: [node("n1", active: true)])
    }

    private static func register(
        _ server: Server = plain, present: Server? = nil, requiresKey: Bool = false, hasKey: Bool = false,
        problem: RegistrationKeyProblem? = nil
    ) -> SetupRefusal? {
        Guards.checkRegistration(
            of: server, present: present,
            vault: VaultRecord(id: "v", requiresKey: requiresKey, createdAt: now), hasKey: hasKey,
            keyProblem: problem, support: support)
    }

    private static func join(_ node: ServerNode, to server: Server?) -> SetupRefusal? {
        Guards.checkJoin(of: node, to: server, named: "vmm-role", support: support)
    }

    private static func cloud(_ name: String, server: String = "s", hosts: [String] = ["h"]) -> Cloud {
        Cloud(id: name, name: name, server: server, hosts: hosts)
    }

    private static func pair(
        _ primary: Cloud, _ recovery: Cloud, existing: [CloudPair] = [], goal: ProtectionGoal = .anyServers
    ) -> SetupRefusal? {
        Guards.checkPairing(primary, with: recovery, existing: existing, goal: goal)
    }

    private static func old(_ version: String) -> Server {
        var server = plain
        server.version = version
        return server
    }

    private static let pairOfTwo = CloudPair(
        id: "x", name: "gold -> silver", primary: "gold", recovery: "silver", policy: "p")

    private static let west = HostCluster(id: "k", name: "west", hosts: ["a", "b"], accessName: "west")
    private static let east = HostCluster(id: "e", name: "east", hosts: ["b"], accessName: "east")
    private static let lan = LogicalNetwork(id: "l", name: "lan", server: "s", clouds: ["silver"])

    /// What cloud gold, which had hosts h and x, is to have.
    private static func hosts(
        _ hosts: [String], among clouds: [Cloud] = [], isPaired: Bool = false, replicatedAt host: String? = nil
    ) -> SetupRefusal? {
        Guards.checkHosts(
            of: cloud("gold", hosts: hosts), among: clouds + [cloud("gold", hosts: ["h", "x"])], clusters: [west],
            isPaired: isPaired, before: ["h", "x"],
            replicated: host.map { host in
                [
                    Relationship(
                        id: "r", name: "orders", vmUUID: "u", source: host, target: "z", policy: "p", disks: [])
                ]
            } ?? [], hostName: { $0 })
    }

    private static func onboard(
        from source: String = "a", to target: String = "b", policy: String = "p"
    ) -> SetupRefusal? {
        Guards.checkOnboarding(
            of: Relationship(
                id: "r", name: "orders", vmUUID: "u", source: source, target: target, policy: policy, disks: []),
            pair: pairOfTwo, primaryHosts: ["a"], recoveryHosts: ["b"])
    }

    static let cases: [Case] = [
        Case(title: "a replicated VM of the pair's hosts", rule: nil) { onboard() },
        Case(title: "a VM replicated from elsewhere", rule: "onboard-between-its-clouds") { onboard(from: "c") },
        Case(title: "a VM replicated to elsewhere", rule: "onboard-between-its-clouds") { onboard(to: "c") },
        Case(title: "a VM under another policy", rule: "onboard-between-its-clouds") { onboard(policy: "slow") },
        Case(title: "a server without a key, in a vault that asks for none", rule: nil) { register() },
        Case(title: "a server without a key, in a vault that asks for one", rule: "registration-key-needed") {
            register(requiresKey: true)
        },
        Case(title: "a known server registers again without a key", rule: nil) {
            register(present: plain, requiresKey: true)
        },
        Case(title: "a server with a good key", rule: nil) { register(requiresKey: true, hasKey: true) },
        Case(title: "a server with an expired key", rule: "registration-key-refused") {
            register(hasKey: true, problem: .expired)
        },
        Case(title: "a server of an old version", rule: "version-not-usable") { register(old("1.2.0")) },
        Case(title: "a server of the version before", rule: nil) { register(old("1.3.9")) },
        Case(title: "a server newer than the vault", rule: "version-not-usable") { register(old("1.5.0")) },
        Case(title: "a clustered server by its role's name", rule: nil) { register(clustered()) },
        Case(title: "a clustered server by a node's name", rule: "cluster-role-name") {
            register(clustered(name: "n1"))
        },
        Case(title: "a clustered server without a role", rule: "cluster-role-name") { register(clustered(role: nil)) },
        Case(title: "a node of a server that nobody registered", rule: "active-node-first") {
            join(node("n2"), to: nil)
        },
        Case(title: "a node of a server without nodes", rule: "active-node-first") { join(node("n2"), to: plain) },
        Case(title: "a second active node", rule: "active-node-first") {
            join(node("n2", active: true), to: clustered())
        },
        Case(title: "a node of the same version", rule: nil) { join(node("n2"), to: clustered()) },
        Case(title: "a node of another version", rule: "one-version-on-all-nodes") {
            join(node("n2", "1.3.0"), to: clustered())
        },
        Case(title: "the active node after an update", rule: nil) {
            join(node("n1", "1.4.7", active: true), to: clustered())
        },
        Case(title: "a cloud without hosts", rule: "cloud-needs-a-host") {
            pair(cloud("gold"), cloud("silver", hosts: []))
        },
        Case(title: "a pair on one server, for the goal of two", rule: "goal-of-the-vault") {
            pair(cloud("gold"), cloud("silver"), goal: .twoServers)
        },
        Case(title: "a pair on two servers, for the goal of one", rule: "goal-of-the-vault") {
            pair(cloud("gold"), cloud("silver", server: "t"), goal: .oneServer)
        },
        Case(title: "a pair on one server, for the goal of one", rule: nil) {
            pair(cloud("gold"), cloud("silver"), goal: .oneServer)
        },
        Case(title: "another target for a paired cloud", rule: "unpair-before-pairing-anew") {
            pair(cloud("gold"), cloud("bronze"), existing: [pairOfTwo])
        },
        Case(title: "the same pair again", rule: nil) { pair(cloud("gold"), cloud("silver"), existing: [pairOfTwo]) },
        Case(title: "unpairing with a protected VM", rule: "unprotect-before-unpairing") {
            Guards.checkUnpairing(pairOfTwo, protected: ["orders"])
        },
        Case(title: "unpairing", rule: nil) { Guards.checkUnpairing(pairOfTwo, protected: []) },
        Case(title: "a host in two clusters", rule: "host-in-one-cluster") {
            Guards.checkCluster(east, others: [west]) { $0 }
        },
        Case(title: "a cluster as it was", rule: nil) { Guards.checkCluster(west, others: [west]) { $0 } },
        Case(title: "a host of another cloud's cluster", rule: "host-in-one-cloud") {
            hosts(["h", "b"], among: [Cloud(id: "silver", name: "silver", server: "s", hosts: [], clusters: ["k"])])
        },
        Case(title: "a paired cloud that is emptied", rule: "cloud-needs-a-host") { hosts([], isPaired: true) },
        Case(title: "a cloud in no pair that is emptied", rule: nil) { hosts([]) },
        Case(title: "a host with a replicated VM", rule: "host-holds-vms") { hosts(["h"], replicatedAt: "x") },
        Case(title: "a host without one", rule: nil) { hosts(["h"], replicatedAt: "h") },
        Case(title: "a target of another cloud's logical network", rule: "target-network-not-associated") {
            Guards.checkTarget(network: "dr", of: cloud("bronze"), logical: lan)
        },
        Case(title: "a target of the cloud's logical network", rule: nil) {
            Guards.checkTarget(network: "dr", of: cloud("silver"), logical: lan)
        },
        Case(title: "a target that the vault knows nothing of", rule: nil) {
            Guards.checkTarget(network: "dr", of: cloud("silver"), logical: nil)
        },
        Case(title: "a policy in use", rule: "still-in-use") {
            Guards.checkRemoval(of: "fast", users: ["pair gold -> silver"])
        },
        Case(title: "a policy that nobody uses", rule: nil) { Guards.checkRemoval(of: "fast", users: []) },
        Case(title: "a server with pairs", rule: "unregister-in-order") {
            Guards.checkUnregistration(of: "vmm", left: ["pair gold -> silver"])
        },
        Case(title: "a vault with a server", rule: "vault-not-empty") {
            Guards.checkVaultDeletion(of: "vault", left: ["server vmm"])
        },
        Case(title: "an empty vault", rule: nil) { Guards.checkVaultDeletion(of: "vault", left: []) },
    ]

    @Test("Each is refused by its rule, or not at all", arguments: cases)
    func rule(question: Case) {
        #expect(question.ask()?.rule.id == question.rule)
    }

    @Test("A refusal names what stands against it, and a long list is cut")
    func details() throws {
        let users = (1...20).map { "vm\($0)" }
        let detail = try #require(Guards.checkUnpairing(Self.pairOfTwo, protected: users)?.detail)
        #expect(detail == "protected: vm1, vm2, vm3, vm4, vm5, vm6, vm7, vm8 and 12 more")
    }
}
