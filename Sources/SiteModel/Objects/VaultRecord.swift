/// The vault's record of itself (reference 1.1): one in each vault.
package struct VaultRecord: SiteObject {
    package static let kind = "vault"
    /// The name under which a vault's record is kept while nobody has given it one.
    package static let defaultName = "vault"

    package var id: String
    package var name: String
    package var parent: String? { nil }
    package var goal: ProtectionGoal
    /// Whether a new server registers only with a registration key.
    package var requiresKey: Bool
    package var createdAt: Timestamp

    package init(
        id: String, name: String = defaultName, goal: ProtectionGoal = .anyServers, requiresKey: Bool = false,
        createdAt: Timestamp
    ) {
        self.id = id
        self.name = name
        self.goal = goal
        self.requiresKey = requiresKey
        self.createdAt = createdAt
    }
}

/// What the vault is set up for: how many management servers take part.
package enum ProtectionGoal: String, Codable, Hashable, Sendable, CaseIterable {
    /// Both clouds of every pair are on one server.
    case oneServer = "one-server"
    /// The clouds of every pair are on two servers.
    case twoServers = "two-servers"
    /// Either; what a vault is until somebody says more.
    case anyServers = "any"
}

extension VaultRecord: Checkable {
    package var violations: [FieldViolation] { [FieldCheck.name(name)].compactMap { $0 } }
}
