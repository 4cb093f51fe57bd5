import Testing

@testable import SiteModel

private func address(_ text: String) -> IPv4Address { IPv4Address(text) ?? IPv4Address(value: 0) }

private let mac = "52:54:00:00:00:01"

/// Addresses of NICs in tests and after failovers (reference 5.3).
@Suite("Address rules")
struct AddressPlanTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var title: String
        var failover: NICAddressing?
        var test: NICAddressing?
        var network: AddressedNetwork?
        /// The address that the guest is told, "keep", "dhcp", "unconnected", or the beginning of why not.
        var expected: String
        var warnings = 0
        var testDescription: String { title }
    }

    private static let real = NICAddressing(
        .static, address: IPv4Address("10.0.8.21"), prefix: 24, gateway: IPv4Address("10.0.8.1"))
    private static let pooled = NICAddressing(
        .pool, address: IPv4Address("10.0.8.21"), prefix: 24, pool: AddressPool(range: "10.0.8.20-10.0.8.22"))
    private static let block = IPv4Block("10.0.8.0/24")

    private static func net(
        _ taken: [String] = [], isolation: NetworkIsolation = .none, block: IPv4Block? = nil, pool: String? = nil,
        dhcp: Bool = false
    ) -> AddressedNetwork {
        AddressedNetwork(
            name: "bubble", isolation: isolation, block: block, pool: pool.flatMap { AddressPool(range: $0) },
            taken: Set(taken.map(address)), hasDHCP: dhcp)
    }

    static let cases: [Case] = [
        Case(title: "no network: nothing to address", failover: real, expected: "unconnected"),
        Case(title: "no settings: the guest keeps what it has", network: net(), expected: "keep"),
        Case(
            title: "the address of a real failover, where it is free", failover: real, network: net(),
            expected: "10.0.8.21"),
        Case(
            title: "the address of a real failover is taken and there is no pool", failover: real,
            network: net(["10.0.8.21"]), expected: "the address 10.0.8.21 is taken"),
        Case(
            title: "taken, and the network has a pool: another free one", failover: real,
            network: net(["10.0.8.21", "10.0.8.30"], pool: "10.0.8.30-10.0.8.40"), expected: "10.0.8.31", warnings: 1),
        Case(
            title: "same pool on both sides: the same address", failover: pooled, network: net(["10.0.8.20"]),
            expected: "10.0.8.21"),
        Case(
            title: "not available in the pool: another from it", failover: pooled, network: net(["10.0.8.21"]),
            expected: "10.0.8.20", warnings: 1),
        Case(
            title: "a pool that is used up", failover: pooled, network: net(["10.0.8.20", "10.0.8.21", "10.0.8.22"]),
            expected: "no address of 10.0.8.20-10.0.8.22 is free"),
        Case(
            title: "the test's own settings outweigh those of the failover", failover: real,
            test: NICAddressing(.static, address: IPv4Address("10.9.8.5"), prefix: 24), network: net(),
            expected: "10.9.8.5"),
        Case(
            title: "the test says DHCP: not managed, a server there", failover: real, test: NICAddressing(.dhcp),
            network: net(dhcp: true), expected: "dhcp"),
        Case(
            title: "DHCP where nobody knows of a server", test: NICAddressing(.dhcp), network: net(), expected: "dhcp",
            warnings: 1),
        Case(
            title: "the address is of another subnet than the network's, and there is no pool", failover: real,
            network: net(block: IPv4Block("10.9.8.0/24")), expected: "the address 10.0.8.21 is not of its subnet"),
        Case(
            title: "of another subnet: one of the network's pool", failover: real,
            network: net(block: IPv4Block("10.9.8.0/24"), pool: "10.9.8.20-10.9.8.60"), expected: "10.9.8.20",
            warnings: 1),
        Case(
            title: "DHCP in an overlay without a pool", test: NICAddressing(.dhcp),
            network: net(isolation: .overlay, block: block), expected: "the network bubble is an overlay without a pool"
        ),
        Case(
            title: "DHCP in an overlay with a pool", test: NICAddressing(.dhcp),
            network: net(isolation: .overlay, block: block, pool: "10.0.8.20-10.0.8.60"), expected: "dhcp"),
        Case(
            title: "an overlay without a subnet", failover: real, network: net(isolation: .overlay),
            expected: "the network bubble is an overlay without a subnet"),
        Case(
            title: "VLAN, address of a real failover", failover: real, network: net(isolation: .vlan, block: block),
            expected: "10.0.8.21"),
        Case(
            title: "the gateway is never given out",
            test: NICAddressing(
                .pool, prefix: 24, gateway: IPv4Address("10.9.8.20"), pool: AddressPool(range: "10.9.8.20-10.9.8.21")),
            network: net(), expected: "10.9.8.21"),
    ]

    @Test("The address in a test", arguments: cases)
    func inTest(_ question: Case) {
        let settings = NICSettings(mac: mac, failover: question.failover, test: question.test)
        switch AddressPlan.inTest(settings, network: question.network) {
        case .success((let decision, let warnings)):
            #expect(Self.word(decision) == question.expected)
            #expect(warnings.count == question.warnings, "\(warnings)")
        case .failure(let refusal):
            #expect(refusal.sentence.hasPrefix(question.expected), "\(refusal)")
            #expect(!refusal.hint.isEmpty)
        }
    }

    @Test("A real failover takes what is set, and never another VM's address")
    func afterFailover() throws {
        let free = try AddressPlan.afterFailover(Self.real, network: Self.net()).get()
        #expect(Self.word(free.0) == "10.0.8.21")
        #expect(throws: AddressRefusal.self) {
            try AddressPlan.afterFailover(Self.real, network: Self.net(["10.0.8.21"])).get()
        }
        #expect(try AddressPlan.afterFailover(nil, network: Self.net()).get().0 == .keep)
    }

    @Test("The NICs of one VM never get one address, and one left untold beside another is a finding")
    func place() {
        let wishes = ["01", "02", "03"].map {
            NICWish(original: "52:54:00:00:00:\($0)", mac: "52:54:00:00:01:\($0)", network: "bubble")
        }
        let settings = wishes.prefix(2).map { NICSettings(mac: $0.original, test: Self.pooled) }
        let plan = AddressPlan.place(wishes, for: .test, settings: settings, networks: [:])
        #expect(plan.nics.map { $0.address?.address.description } == ["10.0.8.21", "10.0.8.20", nil])
        #expect(plan.nics.map(\.mac) == wishes.map(\.mac))
        #expect(plan.findings.count == 2 && plan.refusals.isEmpty, "\(plan.findings)")
        #expect(plan.findings.last?.contains("52:54:00:00:00:03") == true)
    }

    @Test(
        "Settings that cannot be used say why",
        arguments: [
            (NICAddressing(.static), ["needs an address", "needs its prefix"]),
            (NICAddressing(.static, address: address("10.0.8.21")), ["needs its prefix"]),
            (NICAddressing(.static, address: address("10.0.8.0"), prefix: 24), ["10.0.8.0 is no host's address"]),
            (
                NICAddressing(.static, address: address("10.0.8.21"), prefix: 24, gateway: address("10.0.9.1")),
                ["the gateway 10.0.9.1"]
            ),
            (NICAddressing(.pool, prefix: 24), ["needs a pool"]),
            (
                NICAddressing(.pool, prefix: 24, pool: AddressPool(range: "10.0.8.20-10.0.9.60")),
                ["last address 10.0.9.60"]
            ),
            (NICAddressing(.dhcp, address: address("10.0.8.21"), prefix: 24), ["takes no address and no prefix"]),
            (NICAddressing(.keep, dns: [address("10.0.8.2")]), ["takes no dns"]),
            (NICAddressing(.static, address: address("10.0.8.21"), prefix: 33), ["1 to 30"]),
        ])
    func problems(settings: NICAddressing, expected: [String]) {
        #expect(settings.problems.count == expected.count, "\(settings.problems)")
        for (problem, part) in zip(settings.problems, expected) { #expect(problem.contains(part), "\(problem)") }
    }

    @Test(
        "Settings that can be used have nothing to say",
        arguments: [real, pooled, NICAddressing(.keep), NICAddressing(.dhcp)])
    func usable(settings: NICAddressing) { #expect(settings.problems == []) }

    private static func word(_ decision: AddressDecision) -> String {
        switch decision {
        case .keep: "keep"
        case .dhcp: "dhcp"
        case .unconnected: "unconnected"
        case .assign(let given): given.address.description
        }
    }
}
