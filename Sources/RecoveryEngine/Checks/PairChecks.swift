package import Hypervisors
package import SiteModel

/// What was learnt of two paired clouds and their hosts.
package struct PairFacts: Sendable {
    package struct HostFacts: Sendable {
        package var name: String
        package var site: String
        package var libvirt: Seen<HypervisorInformation>
        package var networks: Seen<Set<String>>
        package var activeNetworks: Seen<Set<String>>

        package init(
            name: String, site: String, libvirt: Seen<HypervisorInformation>, networks: Seen<Set<String>>,
            activeNetworks: Seen<Set<String>>
        ) {
            self.name = name
            self.site = site
            self.libvirt = libvirt
            self.networks = networks
            self.activeNetworks = activeNetworks
        }
    }

    package var name: String
    /// For each of the two clouds, how many pairs it is in.
    package var pairsOfCloud: [String: Int]
    package var policy: Policy?
    package var source: [HostFacts]
    package var target: [HostFacts]
    package var mappings: [NetworkMapping]
    /// Networks of protected VMs at the source that no mapping names, with a VM that has each.
    package var unmapped: [String: String]

    package init(
        name: String, pairsOfCloud: [String: Int], policy: Policy?, source: [HostFacts], target: [HostFacts],
        mappings: [NetworkMapping] = [], unmapped: [String: String] = [:]
    ) {
        self.name = name
        self.pairsOfCloud = pairsOfCloud
        self.policy = policy
        self.source = source
        self.target = target
        self.mappings = mappings
        self.unmapped = unmapped
    }
}

/// What must hold of two paired clouds.
enum PairChecks {
    static let all: [Check<PairFacts>] = [
        Check(
            "one-pair-per-cloud", .pair, "Each of the two clouds is in no other pair.", source: "3, row 8",
            fix: "Take one of the pairs apart."
        ) { facts in
            let twice = facts.pairsOfCloud.filter { $0.value > 1 }.keys.sorted()
            return twice.isEmpty ? .ok(listed(facts.pairsOfCloud.keys.sorted())) : .fail("in several: \(listed(twice))")
        },
        Check(
            "policy-present", .pair, "The pair's policy is there and allowed.", source: "1.10; 3, row 8",
            fix: "Make it: vault:policy { name = ..., copy_frequency = \"5min\" }, and pair the clouds under it."
        ) { facts in
            guard let policy = facts.policy else { return .fail("the vault has no such policy any more") }
            let wrong = policy.violations
            return wrong.isEmpty
                ? .ok(
                    "\(policy.name): every \(policy.copyFrequencySeconds) s, \(policy.recoveryPoints) points besides the newest"
                )
                : .fail(wrong.map(\.sentence).joined(separator: " "))
        },
        Check(
            "sites-apart", .pair, "The two clouds are at different sites.", source: "DESIGN 1",
            fix: "Pair clouds whose hosts do not fail together, or correct the hosts' sites."
        ) { facts in
            let both = Set(facts.source.map(\.site)).intersection(facts.target.map(\.site)).sorted()
            return both.isEmpty
                ? .ok(
                    "\(listed(Set(facts.source.map(\.site)).sorted())) to \(listed(Set(facts.target.map(\.site)).sorted()))"
                )
                : .warn("both have hosts at site \(listed(both)): what fails there takes VM and replica")
        },
        Check(
            "qemu-alike", .pair, "No target has an older QEMU or libvirt than a source.", source: "3, row 9",
            fix: "Upgrade the target first: a VM may have a machine type that an older QEMU lacks."
        ) { facts in
            let known = { (hosts: [PairFacts.HostFacts], which: (HypervisorInformation) -> String) in
                hosts.compactMap { host in
                    host.libvirt.value.flatMap { ComponentVersion(which($0)) }.map { (name: host.name, version: $0) }
                }
            }
            var older: [String] = []
            let parts: [(String, (HypervisorInformation) -> String)] = [
                ("QEMU", { $0.hypervisorVersion }), ("libvirt", { $0.libraryVersion }),
            ]
            for (component, version) in parts {
                let (sources, targets) = (known(facts.source, version), known(facts.target, version))
                guard let newest = sources.max(by: { $0.version < $1.version }), !targets.isEmpty else {
                    return .skipped("the hosts of one side do not answer")
                }
                older += targets.filter { $0.version < newest.version }.map {
                    "\($0.name) has \(component) \($0.version), \(newest.name) \(newest.version)"
                }
            }
            return older.isEmpty ? .ok("none is older") : .warn(older.joined(separator: "; "))
        },
        Check(
            "networks-mapped", .pair, "Each network of a protected VM is mapped.", source: "3, row 6",
            fix: "cloud:map_network { from = ..., to = ... }; a NIC without one starts unconnected after a failover."
        ) { facts in
            facts.unmapped.isEmpty
                ? .ok("\(facts.mappings.count) mapping\(facts.mappings.count == 1 ? "" : "s")")
                : .warn(
                    facts.unmapped.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value) is on it)" }.joined(
                        separator: ", "))
        },
        Check(
            "target-network", .pair, "Each mapped network exists at every target host and is up.",
            source: "3, rows 6 and 26",
            fix:
                "Define it there (virsh net-define), start it (virsh net-start) and let it start by itself (net-autostart).",
            each: { facts in
                if facts.mappings.isEmpty { return [.ok("nothing is mapped")] }
                return facts.target.map { host in judgeNetworks(of: host, facts.mappings) }
            }),
    ]

    private static func judgeNetworks(of host: PairFacts.HostFacts, _ mappings: [NetworkMapping]) -> Judgement {
        let wanted = Set(mappings.map(\.targetNetwork)).sorted()
        guard case .known(let present) = host.networks else {
            if case .unknown(let reason) = host.networks { return .skipped(reason, about: host.name) }
            return .skipped("it does not answer", about: host.name)
        }
        let missing = wanted.filter { !present.contains($0) }
        if !missing.isEmpty {
            return .fail(
                "\(host.name) has no network \(listed(missing)): VMs mapped to it do not start there", about: host.name)
        }
        guard let active = host.activeNetworks.value else { return .ok(listed(wanted), about: host.name) }
        let down = wanted.filter { !active.contains($0) }
        return down.isEmpty
            ? .ok(listed(wanted), about: host.name)
            : .fail(
                "network \(listed(down)) of \(host.name) is not started",
                fix: "At the host: virsh net-start, and net-autostart.", about: host.name)
    }
}
