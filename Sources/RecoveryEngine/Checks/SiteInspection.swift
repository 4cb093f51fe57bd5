import BlockReplication
import Hypervisors
package import SiteModel
package import VaultStore

/// Looks whether everything that protection and recovery need is there; changes nothing.
///
/// Facts are gathered from vault, hypervisors and agents, all hosts at once; then the tables judge them.
package struct SiteInspection: Sendable {
    let engine: RecoveryEngine
    /// What agents must be of.
    let version: String
    /// Whether a file of this machine may be run.
    let isExecutable: @Sendable (String) -> Bool

    package init(
        engine: RecoveryEngine, version: String = Self.ownVersion,
        isExecutable: @escaping @Sendable (String) -> Bool = LocalFiles.isExecutable
    ) {
        self.engine = engine
        self.version = version
        self.isExecutable = isExecutable
    }

    /// The version that agents of this program say.
    package static var ownVersion: String { AgentService.version }

    // MARK: Everything

    /// All servers, pairs, hosts and replicated VMs; with `candidates` also VMs of paired clouds that are not replicated.
    package func everything(candidates: Bool = false) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        let surveys = try await survey(record.hosts, deeply: true)
        var findings = record.servers.flatMap { judge(server: $0, record) }
        for pair in record.pairs { findings += judge(pair: pair, record, surveys) }
        findings += try await concurrently(record.hosts, width: 16) { host in
            try await self.judge(host: host, record, surveys)
        }.flatMap { $0 }
        var places = record.relationships.map { VMPlace(name: $0.name, relationship: $0, host: $0.owner) }
        if candidates { places += self.candidates(record, surveys) }
        return findings + (try await judge(places, record, surveys))
    }

    // MARK: One object

    package func server(_ server: Server) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        let hosts = record.hosts.filter { host in
            record.clouds.contains { $0.server == server.id && $0.hosts.contains(host.id) }
        }
        let pairs = record.pairs.filter { pair in
            record.clouds.contains { $0.server == server.id && pair.joins($0.id) }
        }
        let others = pairs.flatMap { pair in
            [pair.primary, pair.recovery].flatMap { record.cloud($0)?.hosts ?? [] }
        }
        let asked = record.hosts.filter { host in hosts.contains(host) || others.contains(host.id) }
        let surveys = try await survey(asked, deeply: true)
        return judge(server: server, record) + pairs.flatMap { judge(pair: $0, record, surveys) }
    }

    package func host(_ host: Host) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        // The others are asked which store they write.
        var surveys = try await survey(record.hosts.filter { $0.id != host.id }, deeply: false)
        surveys.merge(try await survey([host], deeply: true)) { $1 }
        return try await judge(host: host, record, surveys)
    }

    package func pair(_ pair: CloudPair) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        let ids = [pair.primary, pair.recovery].flatMap { record.cloud($0)?.hosts ?? [] }
        let surveys = try await survey(record.hosts.filter { ids.contains($0.id) }, deeply: true)
        return judge(pair: pair, record, surveys)
    }

    /// A VM: its replication's, where it is replicated, else the first of that name on these hosts.
    ///
    /// - Throws: `EngineError` of kind `unknown` when none of the hosts has it.
    package func vm(named name: String, on hosts: [String]) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        let known = record.relationships.first { relationship in
            relationship.name == name && (hosts.contains(relationship.source) || hosts.contains(relationship.target))
        }
        let place: VMPlace
        if let known {
            place = VMPlace(name: name, relationship: known, host: known.owner)
        } else {
            let (_, host) = try await engine.find(vm: name, on: hosts, where: "the hosts asked")
            place = VMPlace(name: name, relationship: nil, host: host)
        }
        let ids = [place.host, target(of: place, record)].compactMap { $0 }
        let surveys = try await survey(record.hosts.filter { ids.contains($0.id) }, deeply: true)
        return try await judge([place], record, surveys)
    }

    /// Facts of the vault, for `VaultChecks.judge`.
    package func vaultFacts(place: VaultPlace?, standardLibrary: String?) async throws -> VaultFacts {
        let record = try await InspectionRecord.read(engine.vault)
        var facts = VaultFacts(
            place: place, hosts: record.hosts.map(\.name), servers: record.servers.count,
            standardLibrary: standardLibrary, replicated: record.relationships.count,
            replicator: try await engine.replicatorStanding(), now: engine.dependencies.clock.now)
        facts.superseded = try await engine.vault.identity()?.refusal(place?.path).map { ($0.message, $0.hint) }
        return facts
    }

    // MARK: Endpoints

    /// Every endpoint from this machine, which does the servers' work, and from each host's agent.
    package func endpoints(_ plan: EndpointPlan) async throws -> [CheckFinding] {
        let record = try await InspectionRecord.read(engine.vault)
        let probes = plan.groups.flatMap { $0.endpoints.map(\.probe) }
        let servers = record.servers.map(\.name)
        let place = servers.isEmpty ? "this machine" : "this machine (for \(listed(servers)))"
        async let here = EndpointProber.run(probes)
        let there = try await concurrently(record.hosts, width: 16) { host in
            (host, try await self.probe(probes, from: host))
        }
        var findings = judge(plan, await here.map { .known($0) }, from: place)
        for (host, outcomes) in there { findings += judge(plan, outcomes, from: "host \(host.name)") }
        return findings
    }

    private func probe(_ probes: [EndpointProbe], from host: Host) async throws -> [Seen<EndpointOutcome>] {
        var outcomes: [Seen<EndpointOutcome>] = []
        for start in stride(from: 0, to: probes.count, by: AgentCheck.endpointLimit) {
            let part = Array(probes[start..<min(start + AgentCheck.endpointLimit, probes.count)])
            let answer = try await see {
                try await engine.hosts.agent(host.id).check(AgentCheck(endpoints: part)).endpoints
            }
            switch answer {
            case .known(let seen) where seen.count == part.count: outcomes += seen.map { .known($0) }
            case .known: outcomes += part.map { _ in .unknown("the agent of \(host.name) left answers out") }
            case .unknown(let reason): outcomes += part.map { _ in .unknown("the agent of \(host.name): \(reason)") }
            }
        }
        return outcomes
    }

    private func judge(_ plan: EndpointPlan, _ outcomes: [Seen<EndpointOutcome>], from place: String) -> [CheckFinding]
    {
        let now = engine.dependencies.clock.now
        let all = plan.groups.flatMap { group in group.endpoints.map { (group, $0) } }
        return zip(all, outcomes).flatMap { entry, outcome in
            let facts = EndpointFacts(group: entry.0, endpoint: entry.1, outcome: outcome, now: now)
            return EndpointChecks.all.flatMap { $0.findings(facts, object: place) }
        }
    }

    // MARK: Surveys

    func survey(_ hosts: [Host], deeply: Bool) async throws -> [String: HostSurvey] {
        let surveys = try await concurrently(hosts, width: 32) { host in
            try await HostSurvey.make(of: host, deeply: deeply, engine)
        }
        return Dictionary(surveys.map { ($0.host.id, $0) }, uniquingKeysWith: { $1 })
    }

    /// Works on all elements, some at a time; results are in the order of the elements.
    func concurrently<Element: Sendable, Result: Sendable>(
        _ elements: [Element], width: Int, _ work: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results = [Result?](repeating: nil, count: elements.count)
            for (index, element) in elements.enumerated() {
                if index >= width, let (place, result) = try await group.next() { results[place] = result }
                group.addTask { (index, try await work(element)) }
            }
            for try await (place, result) in group { results[place] = result }
            return results.compactMap { $0 }
        }
    }
}
