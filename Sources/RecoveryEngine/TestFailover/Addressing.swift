import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Addresses of a VM's NICs where it is about to start.
extension JobDriver {
    /// Addresses that guests at a host are known to have, by network.
    ///
    /// Best effort: a guest that says nothing may hold an address all the same.
    func addressesSeen(at hypervisor: any Hypervisor, in networks: Set<String>) async -> [String: Set<IPv4Address>] {
        var seen: [String: Set<IPv4Address>] = [:]
        guard !networks.isEmpty, let domains = try? await hypervisor.domains() else { return [:] }
        for domain in domains where domain.power == .running && domain.uuid != relationship.vmUUID {
            let there = domain.nics.filter { $0.network.map(networks.contains) ?? false }
            guard !there.isEmpty, let known = try? await hypervisor.guestAddresses(uuid: domain.uuid) else { continue }
            for nic in there {
                guard let network = nic.network else { continue }
                seen[network, default: []].formUnion((known[nic.mac.lowercased()] ?? []).compactMap { IPv4Address($0) })
            }
        }
        return seen
    }

    /// Addresses that the vault has given to other VMs, by network.
    static func addressesGiven(
        besides id: String, at host: String, _ vault: any VaultReader
    ) throws -> [String: Set<IPv4Address>] {
        var given: [String: Set<IPv4Address>] = [:]
        for other in try vault.objects(Relationship.self).map(\.value) where other.id != id {
            let failedOver = other.owner == host ? other.placedNICs ?? [] : []
            let tested = other.target == host ? other.test?.nics ?? [] : []
            for nic in failedOver + tested {
                guard let network = nic.network, let address = nic.address?.address else { continue }
                given[network, default: []].insert(address)
            }
        }
        return given
    }

    /// Gives the VM's NICs their addresses at the target and hands them to its guest; what cannot be is a finding, no
    /// failure.
    ///
    /// A failover that has claimed ownership goes on: a VM at a wrong address is better than none.
    func addressAfterFailover(_ definition: inout DomainDefinition) async throws {
        definition.removeSeed()
        let settings = relationship.nicSettings ?? []
        let place: AddressPlan.Place = relationship.target == relationship.home ? .home : .failover
        let wishes = definition.nics.map { NICWish(original: $0.mac, mac: $0.mac, network: $0.network) }
        guard settings.contains(where: { place == .home ? $0.home != nil : $0.failover != nil }) else {
            let wasTold = relationship.placedNICs?.contains { $0.address != nil || $0.dhcp } ?? false
            let name = relationship.name
            try await record { job, relationship, _ in
                relationship.placedNICs = nil
                guard wasTold, place == .home else { return }
                Self.add(
                    [
                        "\(name) was given other addresses when it left and none for its way home: its guest "
                            + "keeps those until it is told otherwise (set_nic, home)"
                    ], to: &job)
            }
            return
        }
        let (id, host) = (relationship.id, relationship.target)
        let seen = await addressesSeen(
            at: try await hosts.hypervisor(host), in: Set(wishes.compactMap(\.network)))
        try await record { job, relationship, vault in
            let given = try Self.addressesGiven(besides: id, at: host, vault)
            let networks = try Self.addressed(wishes, seen: seen, given: given, vault)
            let plan = AddressPlan.place(wishes, for: place, settings: settings, networks: networks)
            relationship.placedNICs = plan.nics
            Self.add(plan.findings + plan.refusals.map { "\($0.sentence): \($0.hint)" }, to: &job)
        }
        let instance = "\(relationship.vmUUID)-e\(relationship.epoch)"
        do {
            try await seed(
                relationship.placedNICs ?? [], instance: instance, epoch: relationship.epoch, into: &definition)
        } catch let error as ReplicationError {
            let what = "the guest of \(relationship.name) could not be told its address: \(error.message)"
            try await record { job, _, _ in Self.add([what], to: &job) }
        }
    }

    /// What is known of the networks that NICs are to be connected to.
    static func addressed(
        _ wishes: [NICWish], seen: [String: Set<IPv4Address>], given: [String: Set<IPv4Address>],
        _ vault: any VaultReader
    ) throws -> [String: AddressedNetwork] {
        let known = try vault.objects(VMNetwork.self).map(\.value)
        var networks: [String: AddressedNetwork] = [:]
        for name in Set(wishes.compactMap(\.network)) {
            var network = AddressedNetwork(name: name)
            let described = known.filter { $0.name == name }
            // Networks of two sites may have one name: where they differ, the settings of the NIC must say all.
            if let only = described.first, described.count == 1 {
                let logical = try vault.object(LogicalNetwork.self, id: only.logicalNetwork)?.value
                network = AddressedNetwork(only, isolation: logical?.isolation ?? .none)
            }
            network.taken = (seen[name] ?? []).union(given[name] ?? [])
            networks[name] = network
        }
        return networks
    }

    /// Puts a drive with the addresses into the VM, when there are any to tell.
    func seed(
        _ nics: [PlacedNIC], instance: String, epoch: Int, into definition: inout DomainDefinition
    ) async throws {
        definition.removeSeed()
        guard let files = NoCloudData.files(instance: instance, nics: nics) else { return }
        let path = try await hosts.agent(relationship.target).writeSeed(
            GuestSeed(relationship: relationship.id, epoch: epoch, files: files))
        try definition.setSeed(path: path)
        let told = nics.compactMap { nic in nic.address.map { "\($0.address)" } ?? (nic.dhcp ? "DHCP" : nil) }
        let what =
            "\(relationship.name) finds \(told.joined(separator: " and ")) in its CD drive, where cloud-init reads it; "
            + "a guest without cloud-init keeps the address that it has"
        try await record { job, _, _ in Self.add([what], to: &job) }
    }

    /// Adds to what the job's caller is to know, each once.
    static func add(_ findings: [String], to job: inout Job) {
        guard !findings.isEmpty else { return }
        var all = job.facts["findings"].map { $0.split(separator: "\n").map(String.init) } ?? []
        for finding in findings where !all.contains(finding) { all.append(finding) }
        job.facts["findings"] = all.joined(separator: "\n")
    }
}
