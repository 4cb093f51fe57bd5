import BlockReplication
import Hypervisors
import SiteModel

/// A VM and the host that it belongs to.
struct VMPlace: Sendable {
    var name: String
    var relationship: Relationship?
    /// Id of the host.
    var host: String
}

// From what was seen to the facts that the tables judge.
extension SiteInspection {
    // MARK: Servers and pairs

    func judge(server: Server, _ record: InspectionRecord) -> [CheckFinding] {
        let clouds = record.clouds.filter { $0.server == server.id }
        let relationship = record.relationships.first { $0.name == server.managementVM }
        let cloud = record.items.first { item in item.id == relationship?.item }.flatMap { record.cloud($0.cloud) }
        let facts = ServerFacts(
            server: server,
            clouds: clouds.map { cloud in
                ServerFacts.CloudFacts(
                    name: cloud.name, hosts: cloud.hosts.count, isPaired: record.pair(of: cloud.id) != nil)
            }, servers: record.servers.count, managementRelationship: relationship,
            managementProtectedIn: cloud?.name)
        return ServerChecks.all.flatMap { $0.findings(facts, object: server.name) }
    }

    func judge(pair: CloudPair, _ record: InspectionRecord, _ surveys: [String: HostSurvey]) -> [CheckFinding] {
        func hosts(_ cloud: String) -> [PairFacts.HostFacts] {
            (record.cloud(cloud)?.hosts ?? []).compactMap { record.host($0) }.map { host in
                let survey = surveys[host.id]
                return PairFacts.HostFacts(
                    name: host.name, site: host.site,
                    libvirt: survey?.libvirt ?? .unknown("\(host.name) was not asked"),
                    networks: survey?.networks ?? .unknown("\(host.name) was not asked"),
                    activeNetworks: Self.activeNetworks(survey, host.name))
            }
        }
        let pairsOfCloud = [pair.primary, pair.recovery].map { cloud in
            (record.cloud(cloud)?.name ?? cloud, record.pairs.filter { $0.joins(cloud) }.count)
        }
        let facts = PairFacts(
            name: pair.name, pairsOfCloud: Dictionary(pairsOfCloud, uniquingKeysWith: max),
            policy: record.policies.first { $0.id == pair.policy }, source: hosts(pair.primary),
            target: hosts(pair.recovery), mappings: record.mappings(of: pair), unmapped: unmapped(pair, record, surveys)
        )
        return PairChecks.all.flatMap { $0.findings(facts, object: pair.name) }
    }

    /// Networks that protected VMs of a pair are on at their source and that lead nowhere.
    private func unmapped(
        _ pair: CloudPair, _ record: InspectionRecord, _ surveys: [String: HostSurvey]
    ) -> [String: String] {
        var unmapped: [String: String] = [:]
        for item in record.items where item.pair == pair.id {
            guard let relationship = record.relationships.first(where: { $0.id == item.relationship }),
                relationship.owner == relationship.source,
                let domain = surveys[relationship.owner]?.domains.value?.first(where: { $0.uuid == relationship.vmUUID }
                )
            else { continue }
            let plan = record.networkPlan(of: relationship)
            for network in domain.nics.compactMap(\.network) where plan.target(of: network) == nil {
                unmapped[network] = unmapped[network] ?? relationship.name
            }
        }
        return unmapped
    }

    private static func activeNetworks(_ survey: HostSurvey?, _ name: String) -> Seen<Set<String>> {
        switch survey?.capabilities {
        case .known(let capabilities): .known(capabilities.activeNetworks)
        case .unknown(let reason): .unknown(reason)
        case nil: .unknown("\(name) was not asked")
        }
    }

    // MARK: Hosts

    func judge(
        host: Host, _ record: InspectionRecord, _ surveys: [String: HostSurvey]
    ) async throws -> [CheckFinding] {
        guard let survey = surveys[host.id] else { return [] }
        let needed = record.storeNeeded(at: host.id)
        let shared = surveys.values.filter { other in
            other.host.id != host.id && survey.answers.value.map { $0.storeID == other.answers.value?.storeID } ?? false
        }
        let copies = Set(record.relationships.filter { $0.owner != host.id }.map(\.vmUUID))
        var facts = HostFacts(
            host: host, engineVersion: version, libvirt: survey.libvirt, capabilities: survey.capabilities,
            agent: survey.agent, answers: survey.answers, skew: survey.skew,
            clouds: record.clouds(of: host.id).map(\.name), vms: .unknown("libvirt of \(host.name) does not answer"),
            scratchNeeded: record.scratchNeeded(at: host.id), storeNeeded: needed.least,
            storeNeededAtMost: needed.most, storeSharedWith: shared.map(\.host.name).sorted(),
            links: try await links(of: host, record, survey), fenceProblem: fenceProblem(host))
        facts.agentIsTooOld = survey.agentIsTooOld
        if let domains = survey.domains.value {
            facts.vms = .known(domains.filter { !copies.contains($0.uuid) }.count)
        }
        return HostChecks.all.flatMap { $0.findings(facts, object: host.name) }
    }

    /// Tries each way that disks' content would go from here.
    private func links(
        of host: Host, _ record: InspectionRecord, _ survey: HostSurvey
    ) async throws -> [HostFacts.Link] {
        let peers = record.peers(of: host.id)
        var links = peers.map { peer in
            HostFacts.Link(
                peer: peer.name, address: peer.agentAddress,
                outcome: .unknown("'\(peer.agentAddress)', the address of \(peer.name), is no host:port"))
        }
        let probes = peers.enumerated().compactMap { index, peer in
            Self.probe(peer.agentAddress).map { (index, $0) }
        }
        if case .unknown(let reason) = survey.answers {
            for index in links.indices { links[index].outcome = .unknown(reason) }
            return links
        }
        for start in stride(from: 0, to: probes.count, by: AgentCheck.endpointLimit) {
            let part = probes[start..<min(start + AgentCheck.endpointLimit, probes.count)]
            let seen = try await see {
                try await engine.hosts.agent(host.id).check(AgentCheck(endpoints: part.map(\.1))).endpoints
            }
            for (place, entry) in part.enumerated() {
                switch seen {
                case .known(let outcomes) where place < outcomes.count:
                    links[entry.0].outcome = .known(outcomes[place])
                case .known: links[entry.0].outcome = .unknown("the agent of \(host.name) left answers out")
                case .unknown(let reason): links[entry.0].outcome = .unknown(reason)
                }
            }
        }
        return links
    }

    /// A greeting to an agent at "host:port".
    static func probe(_ address: String) -> EndpointProbe? {
        guard !address.hasPrefix("/"), let colon = address.lastIndex(of: ":"),
            let port = UInt16(address[address.index(after: colon)...])
        else { return nil }
        var host = String(address[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return EndpointProbe(host: host, port: port, service: .agent)
    }

    private func fenceProblem(_ host: Host) -> String? {
        if let agent = host.fenceAgent { return CommandFencing().problem(of: agent) }
        guard let program = host.fence.first else { return nil }
        if !program.hasPrefix("/") {
            return "'\(program)' is no absolute path, and is looked for wherever the engine was started"
        }
        return isExecutable(program) ? nil : "\(program) is not there, or may not be run"
    }

    // MARK: VMs

    /// VMs of clouds that are replicated from, which nobody replicates.
    func candidates(_ record: InspectionRecord, _ surveys: [String: HostSurvey]) -> [VMPlace] {
        let known = Set(record.relationships.flatMap { [$0.vmUUID, $0.test?.vmUUID].compactMap { $0 } })
        let hosts = Set(record.pairs.flatMap { record.cloud($0.primary)?.hosts ?? [] })
        return record.hosts.filter { hosts.contains($0.id) }.flatMap { host in
            (surveys[host.id]?.domains.value ?? []).filter { !known.contains($0.uuid) }
                .map { VMPlace(name: $0.name, relationship: nil, host: host.id) }
        }
    }

    /// The host that a VM's replica is at, or would be.
    func target(of place: VMPlace, _ record: InspectionRecord) -> String? {
        if let relationship = place.relationship {
            return relationship.owner == relationship.source ? relationship.target : nil
        }
        for cloud in record.clouds(of: place.host) {
            if let pair = record.pairs.first(where: { $0.primary == cloud.id }) {
                return record.cloud(pair.recovery)?.hosts.first
            }
        }
        return nil
    }

    func judge(
        _ places: [VMPlace], _ record: InspectionRecord, _ surveys: [String: HostSurvey]
    ) async throws -> [CheckFinding] {
        try await concurrently(places, width: 16) { place in
            let facts = try await self.facts(of: place, record, surveys)
            return VMChecks.all.flatMap { $0.findings(facts, object: place.name) }
        }.flatMap { $0 }
    }

    private func facts(
        of place: VMPlace, _ record: InspectionRecord, _ surveys: [String: HostSurvey]
    ) async throws -> VMFacts {
        let hostName = record.host(place.host)?.name ?? place.host
        let relationship = place.relationship
        var facts = VMFacts(
            name: place.name, host: hostName, relationship: relationship,
            policyExists: relationship.map { known in record.policies.contains { $0.id == known.policy } } ?? true,
            domain: domain(of: place, hostName, surveys), definition: .unknown("the VM was not found"),
            readiness: .unknown("the VM was not found"), images: .unknown("the VM was not found"),
            target: targetFacts(of: place, record, surveys),
            lastTest: relationship.flatMap { record.lastTests[$0.id] }, now: engine.dependencies.clock.now)
        guard let domain = facts.domain.value else {
            if case .unknown(let reason) = surveys[place.host]?.domains {
                facts.definition = .unknown(reason)
                facts.readiness = .unknown(reason)
                facts.images = .unknown(reason)
            }
            return facts
        }
        let hypervisor = try await engine.hosts.hypervisor(place.host)
        facts.definition = try await see { try DomainDefinition(xml: await hypervisor.inactiveXML(uuid: domain.uuid)) }
        facts.readiness = try await see { try await hypervisor.readiness(uuid: domain.uuid) }
        facts.images = try await images(of: domain, at: place.host, surveys)
        facts.networks = networks(of: domain, place, record)
        return facts
    }

    private func domain(of place: VMPlace, _ hostName: String, _ surveys: [String: HostSurvey]) -> Seen<Domain> {
        switch surveys[place.host]?.domains {
        case .known(let domains):
            let found = domains.first { domain in
                place.relationship.map { $0.vmUUID == domain.uuid } ?? (domain.name == place.name)
            }
            return found.map { .known($0) } ?? .unknown("host \(hostName) does not know the VM")
        case .unknown(let reason): return .unknown(reason)
        case nil: return .unknown("host \(hostName) was not asked")
        }
    }

    private func images(
        of domain: Domain, at host: String, _ surveys: [String: HostSurvey]
    ) async throws -> Seen<[String: ImageFacts]> {
        if case .unknown(let reason) = surveys[host]?.answers { return .unknown(reason) }
        let paths = domain.disks.filter { $0.format == "qcow2" && !$0.isReadOnly }.compactMap(\.path)
        return try await see {
            let read = try await engine.hosts.agent(host)
                .check(AgentCheck(images: Array(paths.prefix(AgentCheck.imageLimit)))).images
            return Dictionary(read.map { ($0.path, $0) }, uniquingKeysWith: { $1 })
        }
    }

    private func networks(of domain: Domain, _ place: VMPlace, _ record: InspectionRecord) -> [String: String?] {
        var plan: NetworkPlan?
        if let relationship = place.relationship {
            plan = record.networkPlan(of: relationship)
        } else if let pair = record.clouds(of: place.host).compactMap({ cloud in
            record.pairs.first { $0.primary == cloud.id }
        }).first {
            plan = NetworkPlan(from: pair.primary, to: pair.recovery, mappings: record.mappings)
        }
        var networks: [String: String?] = [:]
        for network in domain.nics.compactMap(\.network) { networks[network] = .some(plan?.target(of: network)) }
        return networks
    }

    private func targetFacts(
        of place: VMPlace, _ record: InspectionRecord, _ surveys: [String: HostSurvey]
    ) -> Seen<VMFacts.Target> {
        guard let id = target(of: place, record), let host = record.host(id) else {
            return .unknown(
                place.relationship == nil
                    ? "no cloud of its host is paired" : "the VM is failed over and runs at its target")
        }
        guard let survey = surveys[id] else { return .unknown("\(host.name) was not asked") }
        var target = VMFacts.Target(
            name: host.name, domains: survey.domains, networks: survey.networks,
            activeNetworks: Self.activeNetworks(survey, host.name),
            freeBytes: .unknown("the agent of \(host.name) does not answer"),
            freeMemoryMiB: .unknown("libvirt of \(host.name) does not say how much memory is free"))
        if let status = survey.agent.value { target.freeBytes = .known(status.freeBytes) }
        if let free = survey.capabilities.value?.freeMemoryMiB { target.freeMemoryMiB = .known(free) }
        return .known(target)
    }
}
