/// A management server: owns clouds.
///
/// It may itself run in a VM, which hosts replicate directly, and on several nodes, of which one is active.
package struct Server: SiteObject {
    package static let kind = "server"
    /// Seconds without a heartbeat after which a server counts as disconnected.
    package static let heartbeatLimit: Double = 300

    package var id: String
    /// The friendly name; of a server on several nodes, the name of its cluster role.
    package var name: String
    package var parent: String? { nil }
    /// Name of the VM in which the server runs; nil when it does not run in one.
    package var managementVM: String?
    /// The version that the server itself has told; nil before it told any.
    package var version: String?
    /// When it last gave a sign of life; nil when it never did.
    package var lastHeartbeat: Timestamp?
    package var registeredAt: Timestamp?
    /// Id of the registration key that it registered with; nil when the vault's own holder registered it.
    package var key: String?
    /// Name of the cluster role that the server runs as; nil when it is no cluster's.
    package var role: String?
    /// The nodes, the active one first; nil for a server that runs on one machine.
    package var nodes: [ServerNode]?

    package init(
        id: String, name: String, managementVM: String?, version: String? = nil, registeredAt: Timestamp? = nil,
        key: String? = nil, role: String? = nil, nodes: [ServerNode]? = nil
    ) {
        self.id = id
        self.name = name
        self.managementVM = managementVM
        self.version = version
        self.registeredAt = registeredAt
        self.key = key
        self.role = role
        self.nodes = nodes
    }

    package func connection(at now: Timestamp) -> ConnectionStatus {
        guard let lastHeartbeat else { return .neverSeen }
        return now.seconds(since: lastHeartbeat) < Self.heartbeatLimit ? .connected : .disconnected
    }
}

/// One machine of a server that runs on several.
package struct ServerNode: Codable, Hashable, Sendable {
    package var name: String
    package var version: String
    package var active: Bool
    package var joinedAt: Timestamp
    package var lastHeartbeat: Timestamp?

    package init(name: String, version: String, active: Bool, joinedAt: Timestamp) {
        self.name = name
        self.version = version
        self.active = active
        self.joinedAt = joinedAt
    }
}

/// Whether a server gives signs of life.
package enum ConnectionStatus: String, Codable, Hashable, Sendable, CaseIterable {
    case connected, disconnected
    /// It has never given one.
    case neverSeen = "never-seen"
}

extension Server: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name), managementVM.flatMap { FieldCheck.text($0, "vm") }]
        found.append(role.flatMap { FieldCheck.name($0, "role") })
        for text in [version].compactMap({ $0 }) + (nodes ?? []).map(\.version) where Version(text) == nil {
            found.append(
                FieldViolation(
                    "version", given: FieldCheck.shown(text), allowed: "a version such as \"0.1.0\""))
        }
        for node in nodes ?? [] { found.append(FieldCheck.name(node.name, "node")) }
        found.append(FieldCheck.distinct((nodes ?? []).map(\.name), "node"))
        return found.compactMap { $0 }
    }
}
