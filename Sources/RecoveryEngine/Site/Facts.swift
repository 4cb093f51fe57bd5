import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// What the rules need to know of the world before an operation begins.
extension RecoveryEngine {
    /// What is known of a VM and its hosts.
    ///
    /// With `looking` nothing is about to be done: a copy of the vault that was promoted then does not tell the hosts that it is
    /// the vault, for they would refuse the one that they work with.
    func facts(
        for relationship: Relationship, item: ProtectedItem?, arguments: [String: String] = [:], looking: Bool = false
    ) async throws -> SiteFacts {
        var facts = try await recordedFacts(for: relationship, item: item, arguments: arguments)
        async let source = look(at: relationship.source, for: relationship.vmUUID, looking)
        async let target = look(at: relationship.target, for: relationship.vmUUID, looking)
        let seen = try await (source: source, target: target)
        facts.sourceReachable = seen.source.reachable
        facts.targetReachable = seen.target.reachable
        facts.sourceCanReceive = seen.source.freeBytes.map { $0 >= ScratchReserve.bytes(for: relationship.disks) }
        facts.sourceIntact = seen.source.reachable && seen.source.power.map { !$0.isActive } ?? false
        facts.runningAt = Set(
            [(relationship.source, seen.source), (relationship.target, seen.target)]
                .filter { $0.1.power?.isActive ?? false }.map(\.0))
        if let management = facts.management?.relationship {
            facts.management?.running = try await isRunning(management.name, at: [management.owner])
        } else if facts.management != nil {
            facts.management?.running = try await managementRunsAnywhere(for: item)
        }
        return facts
    }

    /// What the vault alone can tell.
    private func recordedFacts(
        for relationship: Relationship, item: ProtectedItem?, arguments: [String: String]
    ) async throws -> SiteFacts {
        try await vault.read { vault in
            var facts = SiteFacts()
            facts.policyExists = try vault.object(Policy.self, id: relationship.policy) != nil
            facts.sites = Dictionary(
                try vault.objects(Host.self).map { ($0.value.id, $0.value.site) }, uniquingKeysWith: { a, _ in a })
            let job = try relationship.activeJob.flatMap { try vault.object(Job.self, id: $0)?.value }
            if let job, job.state.isOpen {
                facts.activeOperation = job.operation
                facts.activeJobIsHeld = job.isHeld
                facts.activeJobIsOrphaned = try self.standing(of: job, vault)?.isOrphaned ?? false
            }
            if let point = arguments["point"], point != "latest", point != PointChoice.all {
                let named = try PointChoice.generation(point, of: relationship.id, in: vault) ?? point
                facts.chosenPointExists = try vault.objects(RecoveryPoint.self, parent: relationship.id)
                    .contains { Self.names(named, $0.value) }
            }
            facts.damage = try Self.damage(of: relationship, arguments, vault)
            facts.testNetwork = try Self.testNetwork(arguments, vault)
            facts.firstCopyExported = relationship.firstCopy?.exported != nil
            guard let item else { return facts }
            facts.cloudIsPaired = try vault.object(CloudPair.self, id: item.pair) != nil
            let server = try vault.object(Cloud.self, id: item.cloud)
                .flatMap { try vault.object(Server.self, id: $0.value.server)?.value }
            guard let managementVM = server?.managementVM else { return facts }
            facts.isManagementVM = managementVM == relationship.name
            facts.management = SiteFacts.ManagementVM(
                running: nil,
                relationship: try vault.object(Relationship.self, named: managementVM, parent: nil)?.value)
            return facts
        }
    }

    /// What is known to be wrong with the point that the operation would use.
    private static func damage(
        of relationship: Relationship, _ arguments: [String: String], _ vault: any VaultReader
    ) throws -> SiteFacts.DamageFacts? {
        guard arguments["accept_damage"]?.isEmpty ?? true else { return nil }
        let points = try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value)
            .sorted { $0.number < $1.number }
        guard points.contains(where: { $0.damage != nil }) else { return nil }
        let given = arguments["point"] ?? "latest"
        let wanted = try PointChoice.generation(given, of: relationship.id, in: vault) ?? given
        let chosen =
            wanted == "latest"
            ? points.last { $0.id == relationship.newestGeneration } : points.last { Self.names(wanted, $0) }
        guard let chosen, let damage = chosen.damage else { return nil }
        return SiteFacts.DamageFacts(
            number: chosen.number, text: damage.text, whole: points.last { $0.damage == nil }?.number)
    }

    /// Whether an operation's option names that point: by number, by identity, or as the newest of a kind.
    private static func names(_ wanted: String, _ point: RecoveryPoint) -> Bool {
        point.id == wanted || point.name == wanted
            || wanted == PointChoice.applicationConsistent && point.cause == .applicationConsistent
    }

    /// What the vault says of the network that a test names.
    ///
    /// Any network that a mapping knows counts, at whichever host: a name that means production at one site means no
    /// test at another.
    private static func testNetwork(
        _ arguments: [String: String], _ vault: any VaultReader
    ) throws -> SiteFacts.TestNetworkFacts? {
        guard case .existing(let name) = TestNetworkChoice(arguments["network"]) else { return nil }
        let mapped = try vault.objects(NetworkMapping.self).flatMap { [$0.value.name, $0.value.targetNetwork] }
        let direct = try vault.objects(Relationship.self).flatMap { relationship in
            relationship.value.networks.flatMap { [$0.key, $0.value] }
        }
        return SiteFacts.TestNetworkFacts(
            isProduction: (mapped + direct).contains(name), isForced: !(arguments["force"] ?? "").isEmpty)
    }

    /// What one host shows of a VM; it is reachable only when its hypervisor and its agent both answer.
    private struct Sight: Sendable {
        var reachable: Bool
        var power: PowerState?
        var freeBytes: UInt64?
    }

    private func look(at host: String, for vm: String, _ looking: Bool) async throws -> Sight {
        async let free = freeBytes(at: host, looking)
        guard let hypervisor = try await hosts.reachableHypervisor(host) else {
            _ = try await free
            return Sight(reachable: false)
        }
        do {
            let power = try await hypervisor.domain(uuid: vm)?.power
            let free = try await free
            return Sight(reachable: free != nil, power: power, freeBytes: free)
        } catch is HypervisorError {
            return Sight(reachable: false)
        }
    }

    /// Free space of the host's store; nil when its agent does not answer.
    private func freeBytes(at host: String, _ looking: Bool) async throws -> UInt64? {
        // The agent is told which copy of the vault asks: one that was superseded goes no further than this.
        let onlyLooks = looking ? try await vault.identity()?.promotion != nil : false
        guard let agent = onlyLooks ? try await hosts.agent(host) : try await hosts.reachableAgent(host) else {
            return nil
        }
        do {
            return try await agent.status().freeBytes
        } catch is ReplicationError {
            return nil
        }
    }

    private func managementRunsAnywhere(for item: ProtectedItem?) async throws -> Bool {
        guard let item else { return false }
        let (name, candidates) = try await vault.read { vault -> (String?, [String]) in
            let cloud = try vault.object(Cloud.self, id: item.cloud)?.value
            let server = try cloud.flatMap { try vault.object(Server.self, id: $0.server)?.value }
            return (server?.managementVM, try cloud.map { try vault.hostIDs(of: $0) } ?? [])
        }
        guard let name else { return false }
        return try await isRunning(name, at: candidates)
    }

    private func isRunning(_ vm: String, at candidates: [String]) async throws -> Bool {
        for host in candidates {
            if let hypervisor = try await hosts.reachableHypervisor(host),
                (try? await hypervisor.domain(named: vm))??.power == .running
            {
                return true
            }
        }
        return false
    }
}
