import SiteModel
import Testing

@Suite("Placement of replicas")
struct PlacementTests {
    private static func candidate(
        _ host: String, rank: Int = 0, healthy: Bool = true, networks: Set<String> = ["dr"], store: String = "/srv",
        free: UInt64 = 100
    ) -> PlacementCandidate {
        PlacementCandidate(
            host: host, rank: rank, healthy: healthy, networks: networks, store: store, freeBytes: free)
    }

    private static let fast = StorageClass(
        id: "c", name: "fast", server: "s",
        locations: [StorageLocation(host: "b1", path: "/ssd"), StorageLocation(host: "b2", path: "/ssd")])

    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var candidates: [PlacementCandidate]
        var need = PlacementNeed(vm: "v", networks: ["dr"], bytes: 10)
        var host: String?
        var inClass = true
        var reaches = true
        var space = true
        var testDescription: String { what }
    }

    static let cases: [Case] = [
        Case(what: "no host", candidates: [], host: nil),
        Case(what: "none healthy", candidates: [candidate("b1", healthy: false)], host: nil),
        Case(what: "the order of preference", candidates: [candidate("b1", rank: 1), candidate("b2")], host: "b2"),
        Case(
            what: "a sick host is passed over",
            candidates: [candidate("b1", healthy: false), candidate("b2", rank: 1)],
            host: "b2"),
        Case(
            what: "the mapped network outweighs the order",
            candidates: [candidate("b1", networks: []), candidate("b2", rank: 1)], host: "b2"),
        Case(
            what: "a host without the network is better than none", candidates: [candidate("b1", networks: [])],
            host: "b1", reaches: false),
        Case(
            what: "the network outweighs the class",
            candidates: [candidate("b1", networks: [], store: "/ssd"), candidate("b2", rank: 1)],
            need: PlacementNeed(vm: "v", networks: ["dr"], bytes: 10, classes: [fast]), host: "b2", inClass: false),
        Case(
            what: "the mapped class outweighs the order",
            candidates: [candidate("b1"), candidate("b2", rank: 1, store: "/ssd/points")],
            need: PlacementNeed(vm: "v", bytes: 10, classes: [fast]), host: "b2"),
        Case(
            what: "several places of the class: the first with space",
            candidates: [candidate("b1", store: "/ssd", free: 1), candidate("b2", rank: 1, store: "/ssd")],
            need: PlacementNeed(vm: "v", bytes: 10, classes: [fast]), host: "b2"),
        Case(
            what: "none of the class: the host's default", candidates: [candidate("b1", store: "/ssdish")],
            need: PlacementNeed(vm: "v", bytes: 10, classes: [fast]), host: "b1", inClass: false),
        Case(what: "full, and nothing else", candidates: [candidate("b1", free: 9)], host: "b1", space: false),
    ]

    @Test("Network before class before space before order", arguments: cases)
    func choice(question: Case) {
        let placement = Placement.choose(question.need, among: question.candidates)
        #expect(placement?.host == question.host)
        guard let placement else { return }
        #expect(placement.inClass == question.inClass)
        #expect(placement.reachesNetworks == question.reaches)
        #expect(placement.hasSpace == question.space)
    }

    @Test("In a cluster VMs spread over the hosts, and stay put when another host goes")
    func cluster() {
        let hosts = ["n1", "n2", "n3", "n4"].map { Self.candidate($0) }
        func place(_ vm: Int, among hosts: [PlacementCandidate]) -> String? {
            Placement.choose(PlacementNeed(vm: "vm-\(vm)"), among: hosts)?.host
        }
        let before = (0..<400).map { place($0, among: hosts) }
        for host in hosts { #expect((60...140).contains(before.count { $0 == host.host }), "\(host.host)") }
        #expect((0..<400).map { place($0, among: hosts.reversed()) } == before)
        let fewer = hosts.filter { $0.host != "n3" }
        for vm in 0..<400 where before[vm] != "n3" { #expect(place(vm, among: fewer) == before[vm]) }
    }

    @Test("A cloud has its own hosts first, then its clusters', each once")
    func hosts() {
        let cloud = Cloud(id: "c", name: "gold", server: "s", hosts: ["a", "b"], clusters: ["k"])
        let cluster = HostCluster(id: "k", name: "west", hosts: ["b", "c"], accessName: "west")
        #expect(cloud.allHosts(in: [cluster]) == ["a", "b", "c"])
    }
}

@Suite("NICs of replicas")
struct NICPlanTests {
    private static func mapping(_ source: String, _ target: String, back: Bool = false) -> NetworkMapping {
        NetworkPlanTests.mapping(source, target, back: back)
    }

    private static func nic(_ home: String?, _ away: String?) -> ReplicatedNIC {
        ReplicatedNIC(mac: "52:54:00:00:00:01", home: home, away: away)
    }

    @Test(
        "The failback table holds, also for a NIC that was unconnected away because nothing maps it",
        arguments: [
            // The NIC, its network now, the mappings now, its network at home.
            (nic("prod", "dr"), "dr", [mapping("prod", "dr")], "prod"),
            (nic("prod", nil), nil, [], "prod"),
            (nic("prod", "dr"), nil, [mapping("prod", "dr")], nil),
            (nic("prod", nil), "other", [mapping("prod", "dr")], nil),
            (nic("prod", "dr"), "other", [mapping("prod", "dr")], nil),
            (nic("prod", "dr"), "dr", [mapping("office", "dr")], "office"),
            (nic("prod", "dr"), "dr", [], nil),
            (nic("prod", "dr"), "dr2", [mapping("prod", "dr"), mapping("office", "dr2")], "office"),
            (nic("prod", "dr"), "dr", [mapping("prod", "dr"), mapping("office", "dr")], "prod"),
        ] as [(ReplicatedNIC, String?, [NetworkMapping], String?)])
    func failback(nic: ReplicatedNIC, now: String?, mappings: [NetworkMapping], home: String?) {
        let plan = NetworkPlan(from: "silver", to: "gold", mappings: mappings)
        #expect(plan.home(of: nic, present: now) == home)
    }

    @Test(
        "Making, extending, editing and removing a mapping reconnects the replicas that it concerns, and no other",
        arguments: [
            ([], [mapping("prod", "dr")], [Reconnection(vm: "web", mac: "m1", before: nil, after: "dr")]),
            ([mapping("prod", "dr")], [mapping("prod", "dr"), mapping("backup", "b")], []),
            (
                [mapping("prod", "dr")], [mapping("prod", "dr2")],
                [Reconnection(vm: "web", mac: "m1", before: "dr", after: "dr2")]
            ),
            ([mapping("prod", "dr")], [], [Reconnection(vm: "web", mac: "m1", before: "dr", after: nil)]),
        ] as [([NetworkMapping], [NetworkMapping], [Reconnection])])
    func effects(before: [NetworkMapping], after: [NetworkMapping], expected: [Reconnection]) {
        let plans = [before, after].map { NetworkPlan(from: "gold", to: "silver", mappings: $0) }
        let nics = [
            NICConnection(vm: "web", mac: "m1", network: "prod"), NICConnection(vm: "web", mac: "m2", network: nil),
            NICConnection(vm: "db", mac: "m3", network: "lab"),
        ]
        #expect(plans[0].reconnections(to: plans[1], of: nics) == expected)
    }

    @Test("The subnet of the same name is taken, else the first, else none")
    func subnets() throws {
        let blocks = ["10.1.0.0/24", "10.2.0.0/24"].compactMap { IPv4Block($0) }
        let network = VMNetwork(
            id: "n", name: "dr", logicalNetwork: "l",
            subnets: [Subnet(name: "web", block: blocks[0]), Subnet(name: "db", block: blocks[1])])
        #expect(network.subnet(like: "db")?.name == "db")
        #expect(network.subnet(like: "cache")?.name == "web")
        #expect(network.subnet(like: nil)?.name == "web")
        #expect(VMNetwork(id: "n", name: "dr", logicalNetwork: "l").subnet(like: "db") == nil)
    }

    @Test("A pool gives the address that a VM had, else the lowest free one, else none")
    func pool() {
        let address = ObjectTests.address
        let pool = AddressPool(
            first: address("10.0.0.10"), last: address("10.0.0.13"), reserved: [address("10.0.0.10")])
        let taken = address("10.0.0.11")
        #expect(pool.allocate(preferred: address("10.0.0.13"), taken: [taken]) == address("10.0.0.13"))
        #expect(pool.allocate(preferred: taken, taken: [taken]) == address("10.0.0.12"))
        #expect(pool.allocate(preferred: address("10.0.9.9"), taken: []) == address("10.0.0.11"))
        #expect(pool.allocate(preferred: address("10.0.0.10"), taken: []) == address("10.0.0.11"))
        let all = Set([11, 12, 13].map { address("10.0.0.\($0)") })
        #expect(pool.allocate(preferred: nil, taken: all) == nil)
    }

    @Test(
        "Disks are chosen by naming them or by leaving some out; a wrong choice says what there is",
        arguments: [
            (nil, nil, ["vda", "vdb", "vdc"], nil), (["vdb"], nil, ["vdb"], nil), (nil, ["vdc"], ["vda", "vdb"], nil),
            (["vda"], ["vdb"], [], "exclude"), (["sda"], nil, [], "disks"), (nil, ["sda"], [], "exclude"),
            (["vda", "vda"], nil, [], "disks"), (nil, ["vda", "vda"], [], "exclude"), ([], nil, [], "disks"),
            (nil, ["vda", "vdb", "vdc"], [], "exclude"),
        ] as [([String]?, [String]?, [String], String?)])
    func disks(only: [String]?, excluding: [String]?, taken: [String], field: String?) {
        switch DiskChoice.choose(of: ["vda", "vdb", "vdc"], only: only, excluding: excluding) {
        case .success(let choice):
            #expect(field == nil && choice.taken == taken)
            #expect(Set(choice.taken + choice.left) == ["vda", "vdb", "vdc"])
        case .failure(let violation): #expect(violation.field == field)
        }
    }
}
