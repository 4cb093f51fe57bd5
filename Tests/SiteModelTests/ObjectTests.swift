import Foundation
import SiteModel
import Testing

@Suite("What objects may hold")
struct ObjectTests {
    /// One wrong value in an object that is right otherwise.
    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var object: any Checkable & Sendable
        var field: String?
        /// Part of what the violation says was given, and of what it says is allowed.
        var given = ""
        var allowed = ""
        var testDescription: String { what }
    }

    private static func host(_ change: (inout SiteModel.Host) -> Void = { _ in }) -> SiteModel.Host {
        var host = SiteModel.Host(
            id: "h", name: "b1", site: "b", uri: "qemu:///system", agentSocket: "/run/agent.sock",
            agentAddress: "10.0.0.2:7731", store: "/srv/points", fence: ["/usr/bin/fence", "b1"])
        change(&host)
        return host
    }

    private static func policy(_ change: (inout Policy) -> Void) -> Policy {
        var policy = Policy(id: "p", name: "fast", recoveryPoints: 4)
        change(&policy)
        return policy
    }

    private static func subnet(_ change: (inout Subnet) -> Void = { _ in }) -> Subnet {
        var subnet = Subnet(
            name: "web", block: block("10.1.0.0/24"), gateway: address("10.1.0.1"), vlan: nil,
            pool: AddressPool(first: address("10.1.0.10"), last: address("10.1.0.20")))
        change(&subnet)
        return subnet
    }

    static func address(_ text: String) -> IPv4Address { IPv4Address(text) ?? IPv4Address(value: 0) }
    static func block(_ text: String) -> IPv4Block {
        guard let block = IPv4Block(text) else { fatalError("\(text) is no block") }
        return block
    }

    static let cases: [Case] = [
        Case(what: "host", object: host()),
        Case(what: "host without a fence", object: host { $0.fence = [] }),
        Case(what: "host without a name", object: host { $0.name = "" }, field: "name", allowed: "1 to 128"),
        Case(
            what: "host with a slash", object: host { $0.name = "a/b" }, field: "name", given: "a/b", allowed: "no '/'"),
        Case(what: "site with a newline", object: host { $0.site = "b\n" }, field: "site", given: "\\n"),
        Case(what: "uri without scheme", object: host { $0.uri = "/system" }, field: "uri", allowed: "qemu:///system"),
        Case(what: "relative agent", object: host { $0.agentSocket = "run/a" }, field: "agent", allowed: "absolute"),
        Case(what: "address without port", object: host { $0.agentAddress = "b1" }, field: "address", given: "b1"),
        Case(
            what: "port too high", object: host { $0.agentAddress = "b1:65536" }, field: "address", allowed: "65535"),
        Case(what: "store with ..", object: host { $0.store = "/srv/../etc" }, field: "store", allowed: "'..'"),
        Case(what: "relative fence", object: host { $0.fence = ["rm", "-rf"] }, field: "fence", given: "rm"),
        Case(
            what: "NUL in a fence's argument", object: host { $0.fence = ["/bin/f", "a\0b"] }, field: "fence",
            allowed: "NUL"),

        Case(what: "server", object: Server(id: "s", name: "vmm", managementVM: "vmm", version: "0.1.0")),
        Case(
            what: "server of no version", object: Server(id: "s", name: "vmm", managementVM: nil, version: "new"),
            field: "version", given: "new", allowed: "0.1.0"),
        Case(
            what: "a node twice",
            object: Server(
                id: "s", name: "vmm", managementVM: nil,
                nodes: (0...1).map { _ in
                    ServerNode(name: "n1", version: "0.1.0", active: false, joinedAt: Timestamp(milliseconds: 0))
                }), field: "node", given: "n1 twice", allowed: "each once"),
        Case(
            what: "a host twice in a cloud", object: Cloud(id: "c", name: "gold", server: "s", hosts: ["a", "a"]),
            field: "hosts", given: "a twice"),
        Case(
            what: "a cluster twice in a cloud",
            object: Cloud(id: "c", name: "gold", server: "s", hosts: [], clusters: ["k", "k"]), field: "clusters"),
        Case(
            what: "cluster", object: HostCluster(id: "k", name: "west", hosts: ["a", "b"], accessName: "west.example")),
        Case(
            what: "empty cluster", object: HostCluster(id: "k", name: "west", hosts: [], accessName: "west.example"),
            field: "hosts", allowed: "at least one"),
        Case(
            what: "cluster without access name",
            object: HostCluster(id: "k", name: "west", hosts: ["a"], accessName: ""), field: "access_name",
            allowed: "1 to 128"),
        Case(
            what: "mapping of a network to itself",
            object: NetworkMapping(
                id: "m", sourceNetwork: "prod", sourceCloud: "gold", targetCloud: "gold", targetNetwork: "prod"),
            field: "to", given: "prod", allowed: "another network"),
        Case(
            what: "a cloud twice on a logical network",
            object: LogicalNetwork(id: "l", name: "lan", server: "s", clouds: ["gold", "gold"]), field: "clouds"),
        Case(
            what: "VM network",
            object: VMNetwork(id: "n", name: "prod", logicalNetwork: "l", subnets: [subnet()])),
        Case(
            what: "a subnet twice",
            object: VMNetwork(
                id: "n", name: "prod", logicalNetwork: "l",
                subnets: [
                    subnet(),
                    subnet {
                        $0 = Subnet(name: "web", block: block("10.2.0.0/24"))
                    },
                ]), field: "subnets", given: "web twice"),
        Case(
            what: "subnets that overlap",
            object: VMNetwork(
                id: "n", name: "prod", logicalNetwork: "l",
                subnets: [subnet(), Subnet(name: "db", block: block("10.1.0.128/25"))]), field: "subnets.block",
            given: "10.1.0.128/25", allowed: "10.1.0.0/24"),
        Case(
            what: "gateway outside", object: subnet { $0.gateway = address("10.2.0.1") }, field: "subnets.gateway",
            given: "10.2.0.1", allowed: "10.1.0.0/24"),
        Case(
            what: "VLAN 4095", object: subnet { $0.vlan = 4095 }, field: "subnets.vlan", given: "4095", allowed: "4094"),
        Case(
            what: "pool backwards",
            object: subnet { $0.pool = AddressPool(first: address("10.1.0.20"), last: address("10.1.0.10")) },
            field: "subnets.pool", given: "10.1.0.20-10.1.0.10", allowed: "the lower first"),
        Case(
            what: "pool with the broadcast",
            object: subnet { $0.pool = AddressPool(first: address("10.1.0.20"), last: address("10.1.0.255")) },
            field: "subnets.pool"),
        Case(
            what: "pool with the gateway",
            object: subnet { $0.pool = AddressPool(first: address("10.1.0.1"), last: address("10.1.0.10")) },
            field: "subnets.pool", given: "gateway 10.1.0.1"),
        Case(
            what: "reserved outside the pool",
            object: subnet { $0.pool?.reserved = [address("10.1.0.21")] }, field: "subnets.reserved",
            given: "10.1.0.21", allowed: "10.1.0.10-10.1.0.20"),
        Case(
            what: "class without a place", object: StorageClass(id: "c", name: "fast", server: "s", locations: []),
            field: "locations", allowed: "at least one"),
        Case(
            what: "class with a relative place",
            object: StorageClass(
                id: "c", name: "fast", server: "s", locations: [StorageLocation(host: "a", path: "srv")]),
            field: "locations", given: "srv"),
        Case(
            what: "a place twice",
            object: StorageClass(
                id: "c", name: "fast", server: "s",
                locations: Array(repeating: StorageLocation(host: "a", path: "/srv"), count: 2)), field: "locations",
            given: "a:/srv twice"),
        Case(
            what: "vault without a name",
            object: VaultRecord(id: "v", name: "", createdAt: Timestamp(milliseconds: 0)), field: "name"),

        Case(what: "policy for a port", object: policy { $0.port = 8084 }),
        Case(what: "port 0", object: policy { $0.port = 0 }, field: "port", given: "0", allowed: "1 to 65535"),
        Case(what: "port 65536", object: policy { $0.port = 65_536 }, field: "port", given: "65536"),
        Case(
            what: "scheduled without a time", object: policy { $0.firstCopy = .scheduled }, field: "first_copy_time",
            given: "", allowed: "22:00"),
        Case(
            what: "scheduled",
            object: policy {
                $0.firstCopy = .scheduled
                $0.firstCopyTime = TimeOfDay("22:00")
            }),
        Case(
            what: "offline with one path",
            object: policy {
                $0.firstCopy = .offline
                $0.exportPath = "/media/out"
            }, field: "import_path", allowed: "an absolute path"),
        Case(
            what: "a relative export path", object: policy { $0.exportPath = "media" }, field: "export_path",
            given: "media", allowed: "absolute"),
        Case(
            what: "window without length",
            object: policy { $0.resyncWindow.to = $0.resyncWindow.from }, field: "resync_window", given: "18:30-18:30"),
        Case(
            what: "statistics of 5 hours", object: policy { $0.monitoringHours = 5 }, field: "monitoring_interval",
            given: "5 h", allowed: "1, 2, 3, 4, 6, 8, 12 or 24 hours, or 2 to 7 days"),
        Case(what: "statistics of 8 days", object: policy { $0.monitoringHours = 192 }, field: "monitoring_interval"),
        Case(what: "statistics of 7 days", object: policy { $0.monitoringHours = 168 }),
        Case(what: "policy without a name", object: policy { $0.name = "" }, field: "name", allowed: "1 to 128"),
    ]

    @Test("A wrong value is named with its field, what was given and what is allowed", arguments: cases)
    func violation(question: Case) {
        let found = question.object.violations
        #expect(found.map(\.field) == (question.field.map { [$0] } ?? []))
        guard let violation = found.first else { return }
        #expect(question.given.isEmpty || violation.given.contains(question.given), "\(violation)")
        #expect(question.allowed.isEmpty || violation.allowed.contains(question.allowed), "\(violation)")
        #expect(violation.sentence.hasSuffix("."))
    }

    @Test("A policy's defaults are those of the reference")
    func defaults() {
        let policy = Policy(id: "p", name: "new")
        #expect(policy.copyFrequencySeconds == 300 && policy.recoveryPoints == 0 && policy.compression)
        #expect(policy.applicationConsistentHours == nil && policy.firstCopy == .now && policy.port == nil)
        #expect(policy.autoResync == .off && policy.resyncWindow.description == "18:30-06:00")
        #expect(policy.monitoringHours == 12 && policy.monitoringStart.description == "09:00")
        #expect(policy.violations.isEmpty)
    }

    @Test(
        "Subnets fit the isolation of their logical network",
        arguments: [
            (NetworkIsolation.none, nil, true, []), (.none, 7, true, ["subnets.vlan"]), (.vlan, 7, false, []),
            (.vlan, nil, true, ["subnets.vlan"]), (.overlay, nil, true, []), (.overlay, nil, false, ["subnets.pool"]),
        ] as [(NetworkIsolation, Int?, Bool, [String])])
    func isolation(isolation: NetworkIsolation, vlan: Int?, pool: Bool, fields: [String]) {
        let network = VMNetwork(
            id: "n", name: "prod", logicalNetwork: "l",
            subnets: [
                Self.subnet {
                    $0.vlan = vlan
                    if !pool { $0.pool = nil }
                }
            ])
        #expect(network.violations(under: isolation).map(\.field) == fields)
    }

    @Test(
        "Texts that are no address, block, time, window or version are refused",
        arguments: [
            "", "1.2", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "a.b.c.d", "10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/0",
            "10.0.0.0/024", "24:00", "7:00", "07:60", "07-00", "07:00-07:00", "07:00", "1.0", "1.0.x", "v1.0.0",
        ])
    func texts(text: String) {
        if text != "07:00" { #expect(TimeOfDay(text) == nil) }
        #expect(IPv4Address(text) == nil && IPv4Block(text) == nil && DailyWindow(text) == nil && Version(text) == nil)
    }

    @Test("A window may go over midnight, and its end is not part of it")
    func windows() throws {
        let night = try #require(DailyWindow("18:30-06:00"))
        let day = try #require(DailyWindow("09:00-17:00"))
        func contains(_ window: DailyWindow, _ text: String) -> Bool { TimeOfDay(text).map(window.contains) ?? false }
        for time in ["18:30", "23:59", "00:00", "05:59"] { #expect(contains(night, time) && !contains(day, time)) }
        for time in ["06:00", "18:29"] { #expect(!contains(night, time)) }
        #expect(contains(day, "09:00") && contains(day, "16:59") && !contains(day, "17:00"))
    }

    @Test(
        "The next time of day is today or tomorrow, in local time",
        arguments: [
            // Instant in seconds of 1970-01-02, offset, time of day, expected seconds from the instant.
            (0, 0, "00:00", 0), (0, 0, "22:00", 79_200), (79_200, 0, "22:00", 0), (79_201, 0, "22:00", 86_399),
            (0, 3600, "01:00", 0), (0, -3600, "23:30", 1800), (0, -3600, "22:00", 82_800),
        ] as [(Int64, Int, String, Double)])
    func nextTime(instant: Int64, offset: Int, time: String, expected: Double) throws {
        let start = Timestamp(milliseconds: (86_400 + instant) * 1000)
        let next = try #require(TimeOfDay(time)).next(from: start, offset: offset)
        #expect(next.seconds(since: start) == expected)
        #expect(TimeOfDay.at(next, offset: offset).description == time)
    }

    @Test(
        "A version is judged by the vault's own",
        arguments: [
            ("1.4.2", VersionStatus.supported), ("1.4.9", .supported), ("1.3.0", .deprecated),
            ("1.2.9", .updateRequired),
            ("0.9.0", .updateRequired), ("1.5.0", .notSupported), ("2.0.0", .notSupported), ("x", .notSupported),
            ("1.4.1", .securityUpdateRequired), ("1.0.0", .updateRequired),
        ])
    func versions(text: String, status: VersionStatus) {
        let support = VersionSupport(current: Version(1, 4, 2), faulty: [Version(1, 4, 1), Version(1, 0, 0)])
        #expect(support.status(of: text) == status)
    }

    @Test("A server is connected while its heartbeats come")
    func heartbeat() {
        var server = Server(id: "s", name: "vmm", managementVM: nil)
        let now = Timestamp(milliseconds: 1_000_000)
        #expect(server.connection(at: now) == .neverSeen)
        server.lastHeartbeat = now
        #expect(server.connection(at: now.advanced(bySeconds: 299)) == .connected)
        #expect(server.connection(at: now.advanced(bySeconds: 300)) == .disconnected)
    }

    @Test("A registration key is good for five days, unless it is revoked")
    func key() {
        let issued = Timestamp(milliseconds: 0)
        var key = RegistrationKey(id: "k", vault: "v", hash: "00", issuedAt: issued)
        #expect(key.problem(at: issued.advanced(bySeconds: 5 * 86_400 - 1)) == nil)
        #expect(key.problem(at: issued.advanced(bySeconds: 5 * 86_400)) == .expired)
        key.revokedAt = issued
        #expect(key.problem(at: issued) == .revoked)
    }

    @Test("The folder of an exported copy is named after VM and id, whatever the VM is called")
    func folder() {
        #expect(FirstCopyRecord.folderName(vm: "orders", id: "1f") == "orders_1f")
        #expect(FirstCopyRecord.folderName(vm: "../a b/ü", id: "1f") == "..-a-b--_1f")
    }
}
