import Hypervisors
package import SiteModel

/// One object to be inspected.
package enum InspectionTarget: Hashable, Sendable {
    case vault
    case server(Server)
    case pair(CloudPair)
    case host(Host)
    /// A VM, and the ids of the hosts that may have it.
    case vm(String, on: [String])
}

extension SiteInspection {
    /// What is meant by these words: "vault", a name, or a name after its kind ("host:a1").
    ///
    /// A name that several objects have means all of them.
    /// - Throws: `EngineError` of kind `unknown` for a name that nothing has, with the nearest one.
    package func targets(named words: [String]) async throws -> [InspectionTarget] {
        let record = try await InspectionRecord.read(engine.vault)
        var targets: [InspectionTarget] = []
        for word in words {
            let found = try await self.targets(for: word, record)
            targets += found.filter { !targets.contains($0) }
        }
        return targets
    }

    private func targets(for word: String, _ record: InspectionRecord) async throws -> [InspectionTarget] {
        let parts = word.split(separator: ":", maxSplits: 1).map(String.init)
        let kind = parts.count == 2 ? CheckedKind(rawValue: parts[0]) : nil
        let name = kind == nil ? word : parts[1]
        func wants(_ other: CheckedKind) -> Bool { kind == nil || kind == other }
        var found: [InspectionTarget] = []
        if word == "vault" { found.append(.vault) }
        if wants(.server) { found += record.servers.filter { $0.name == name }.map { .server($0) } }
        if wants(.pair) {
            found += record.pairs.filter { pair in
                pair.name == name || [pair.primary, pair.recovery].contains { record.cloud($0)?.name == name }
            }.map { .pair($0) }
        }
        if wants(.host) { found += record.hosts.filter { $0.name == name }.map { .host($0) } }
        if wants(.vm) { found += try await vms(named: name, record, mustBe: kind == .vm || found.isEmpty) }
        guard found.isEmpty else { return found }
        let known =
            ["vault"] + record.servers.map(\.name) + record.pairs.map(\.name) + record.hosts.map(\.name)
            + record.relationships.map(\.name)
        throw EngineError(
            .unknown, "there is no \(kind?.rawValue ?? "object") '\(name)' to check",
            hint: Nearest.suggestion(for: name, among: known).map { "did you mean '\($0)'?" }
                ?? "there are: \(known.joined(separator: ", "))", object: name)
    }

    /// A VM of that name: one that is replicated, or one that a host has.
    private func vms(
        named name: String, _ record: InspectionRecord, mustBe: Bool
    ) async throws -> [InspectionTarget] {
        if let known = record.relationships.first(where: { $0.name == name }) {
            return [.vm(name, on: [known.source, known.target])]
        }
        // Hosts are asked only when the name means nothing else.
        guard mustBe else { return [] }
        let surveys = try await survey(record.hosts, deeply: true)
        return record.hosts.filter { host in
            surveys[host.id]?.domains.value?.contains { $0.name == name } ?? false
        }.prefix(1).map { .vm(name, on: [$0.id]) }
    }

    /// Inspects one object; the vault itself is judged by `VaultChecks`.
    package func look(at target: InspectionTarget) async throws -> [CheckFinding] {
        switch target {
        case .vault: []
        case .server(let server): try await self.server(server)
        case .pair(let pair): try await self.pair(pair)
        case .host(let host): try await self.host(host)
        case .vm(let name, let hosts): try await vm(named: name, on: hosts)
        }
    }
}
