import BlockReplication
import Hypervisors
package import SiteModel
import VaultStore

/// Setting a site up: each call makes the vault say what was asked, and does nothing when it already does.
extension RecoveryEngine {
    @discardableResult
    package func ensureHost(_ wanted: Host) async throws -> Host {
        try await ensure(wanted) { $0.id = $1.id }
    }

    /// Registers a management server.
    ///
    /// `managementVM` names the VM that it runs in, if it runs in one.
    @discardableResult
    package func ensureServer(name: String, managementVM: String?) async throws -> Server {
        try await ensure(Server(id: dependencies.identifiers.next(), name: name, managementVM: managementVM)) {
            $0.id = $1.id
        }
    }

    @discardableResult
    package func ensureCloud(name: String, server: String, hosts: [String]) async throws -> Cloud {
        try await ensure(Cloud(id: dependencies.identifiers.next(), name: name, server: server, hosts: hosts)) {
            $0.id = $1.id
        }
    }

    /// - Throws: `EngineError` of kind `invalid` naming each value that table 1.10 of the reference does not allow.
    @discardableResult
    package func ensurePolicy(_ wanted: Policy) async throws -> Policy {
        let violations = wanted.violations
        guard violations.isEmpty else {
            throw EngineError(
                .invalid, "policy '\(wanted.name)': \(violations.map { "\($0)" }.joined(separator: "; "))",
                object: wanted.name)
        }
        // Allowed by the table and not built yet: better refused than taken and not kept.
        let missing = [
            ("first_copy = \"\(wanted.firstCopy.rawValue)\"", wanted.firstCopy != .now),
            ("app_consistent", wanted.applicationConsistentHours != nil), ("compression", wanted.compression),
        ].filter(\.1).map(\.0)
        guard missing.isEmpty else {
            throw EngineError(
                .invalid,
                "policy '\(wanted.name)': this version does not have \(missing.joined(separator: ", "))",
                hint: "leave it out: the first copy is made now, points are crash-consistent, data travels as it is",
                object: wanted.name)
        }
        return try await ensure(wanted) { $0.id = $1.id }
    }

    /// Joins two clouds under a policy.
    ///
    /// A cloud is in one pair at most.
    @discardableResult
    package func ensurePair(primary: Cloud, recovery: Cloud, policy: Policy) async throws -> CloudPair {
        let id = dependencies.identifiers.next()
        return try await vault.write { vault in
            let pairs = try vault.objects(CloudPair.self)
            if var same = pairs.first(where: { $0.value.primary == primary.id && $0.value.recovery == recovery.id }) {
                if same.value.policy != policy.id {
                    same.value.policy = policy.id
                    same = try vault.update(same)
                }
                return same.value
            }
            if let refusal = Guards.checkPair(primary, with: recovery, existing: pairs.map(\.value)) {
                throw Self.refused(refusal.rule, refusal.object)
            }
            return try vault.insert(
                CloudPair(
                    id: id, name: "\(primary.name) -> \(recovery.name)", primary: primary.id, recovery: recovery.id,
                    policy: policy.id)
            ).value
        }
    }

    /// Maps a network of one cloud to a network of the other; both must exist on a host of their cloud.
    @discardableResult
    package func ensureNetworkMapping(
        cloud: Cloud, network: String, targetCloud: Cloud, targetNetwork: String
    ) async throws -> NetworkMapping {
        for (cloud, network) in [(cloud, network), (targetCloud, targetNetwork)] {
            var present: Set<String> = []
            for host in cloud.hosts { present.formUnion(try await hosts.hypervisor(host).networks()) }
            guard present.contains(network) else {
                let nearest = Nearest.suggestion(for: network, among: Array(present))
                throw EngineError(
                    .unknown, "cloud \(cloud.name) has no network '\(network)'",
                    hint: nearest.map { "did you mean '\($0)'?" }
                        ?? "it has: \(present.sorted().joined(separator: ", "))",
                    object: cloud.name)
            }
        }
        let wanted = NetworkMapping(
            id: dependencies.identifiers.next(), sourceNetwork: network, sourceCloud: cloud.id,
            targetCloud: targetCloud.id, targetNetwork: targetNetwork)
        return try await ensure(wanted) { $0.id = $1.id }
    }

    /// Inserts an object, or brings the one of that name up to what is wanted; `adopt` gives it the identity that it has.
    private func ensure<Object: SiteObject>(
        _ wanted: Object, adopt: @escaping @Sendable (inout Object, Object) -> Void
    ) async throws -> Object {
        try await vault.write { vault in
            guard var present = try vault.object(Object.self, named: wanted.name, parent: wanted.parent) else {
                return try vault.insert(wanted).value
            }
            var wanted = wanted
            adopt(&wanted, present.value)
            guard wanted != present.value else { return wanted }
            present.value = wanted
            return try vault.update(present).value
        }
    }

    /// A set-up step that a rule forbids.
    static func refused(_ rule: Rule, _ object: String) -> EngineError {
        EngineError(.refused, "\(object): \(rule.sentence)", hint: rule.hint, rule: rule.id, object: object)
    }
}
