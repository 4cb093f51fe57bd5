import BlockReplication
import Hypervisors
package import SiteModel
package import VaultStore

/// Setting a site up: each call makes the vault say what was asked, and does nothing when it already does.
extension RecoveryEngine {
    /// - Throws: `EngineError` of kind `invalid` with field, value and what is allowed.
    @discardableResult
    package func ensureHost(_ wanted: Host) async throws -> Host {
        try Self.check(wanted, "host '\(wanted.name)'")
        return try await ensure(wanted) { $0.id = $1.id }
    }

    /// - Throws: `EngineError` of kind `invalid` naming each value that table 1.10 of the reference does not allow.
    @discardableResult
    package func ensurePolicy(_ wanted: Policy) async throws -> Policy {
        try Self.check(wanted, "policy '\(wanted.name)'")
        return try await ensure(wanted) { $0.id = $1.id }
    }

    /// Inserts an object, or brings the one of that name up to what is wanted; `adopt` gives it the identity that it has,
    /// and `check` has the last word, in the same transaction.
    func ensure<Object: SiteObject>(
        _ wanted: Object, check: @escaping @Sendable (Object, any VaultReader) throws -> Void = { _, _ in },
        adopt: @escaping @Sendable (inout Object, Object) -> Void
    ) async throws -> Object {
        try await vault.write { vault in
            guard var present = try vault.object(Object.self, named: wanted.name, parent: wanted.parent) else {
                try check(wanted, vault)
                return try vault.insert(wanted).value
            }
            var wanted = wanted
            adopt(&wanted, present.value)
            guard wanted != present.value else { return wanted }
            try check(wanted, vault)
            present.value = wanted
            return try vault.update(present).value
        }
    }

    /// Refuses a value that says itself what is wrong with it.
    static func check(_ object: some Checkable, _ what: String) throws {
        try check(object.violations, what)
    }

    static func check(_ violations: [FieldViolation], _ what: String) throws {
        guard !violations.isEmpty else { return }
        throw EngineError(
            .invalid, "\(what): \(violations.map(\.sentence).joined(separator: " "))",
            hint: "change \(violations.map(\.field).joined(separator: ", ")); nothing was changed", object: what)
    }

    /// A set-up step that a rule forbids.
    static func refused(_ rule: Rule, _ object: String, _ detail: String? = nil) -> EngineError {
        EngineError(
            .refused, "\(object): \(rule.sentence)" + (detail.map { " (\($0))" } ?? ""), hint: rule.hint, rule: rule.id,
            object: object)
    }

    static func refused(_ refusal: SetupRefusal) -> EngineError {
        refused(refusal.rule, refusal.object, refusal.detail)
    }
}

extension VaultReader {
    /// Every host of a cloud, each once: its own, then those of its clusters.
    package func hostIDs(of cloud: Cloud) throws -> [String] {
        guard let ids = cloud.clusters, !ids.isEmpty else { return cloud.hosts }
        return cloud.allHosts(in: try objects(HostCluster.self).map(\.value))
    }
}
