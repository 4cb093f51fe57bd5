/// How replication of a VM stands (reference 7.1 and 7.2).
package enum ReplicationHealth: String, Codable, Hashable, Sendable, CaseIterable, Comparable {
    /// There is nothing to judge: the VM is not replicated.
    case notApplicable = "not-applicable"
    case normal
    case warning
    case critical

    private var rank: Int {
        switch self {
        case .notApplicable: 0
        case .normal: 1
        case .warning: 2
        case .critical: 3
        }
    }

    /// By how bad it is: the worst of several is their maximum.
    package static func < (a: ReplicationHealth, b: ReplicationHealth) -> Bool { a.rank < b.rank }

    /// As an event's severity.
    package var severity: Event.Severity {
        switch self {
        case .notApplicable, .normal: .info
        case .warning: .warning
        case .critical: .critical
        }
    }
}

/// Which of the two sides of a relationship.
package enum ReplicationSide: String, Codable, Hashable, Sendable, CaseIterable {
    case source, target
}
