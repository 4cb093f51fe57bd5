package import SiteModel
import VaultStore

/// Which events are wanted.
package struct EventFilter: Sendable {
    /// Id of the object that they are about.
    package var object: String?
    /// The least severity.
    package var severity: Event.Severity?
    /// What their code begins with.
    package var code: String?
    package var since: Timestamp?

    package init(
        object: String? = nil, severity: Event.Severity? = nil, code: String? = nil, since: Timestamp? = nil
    ) {
        self.object = object
        self.severity = severity
        self.code = code
        self.since = since
    }

    func admits(_ event: Event) -> Bool {
        (severity.map { event.severity >= $0 } ?? true) && (code.map { event.code?.hasPrefix($0) == true } ?? true)
            && (since.map { event.at >= $0 } ?? true)
    }
}

extension RecoveryEngine {
    /// How far back a search goes.
    private static let searched = 10_000

    /// The newest events that are wanted, newest first, of the newest 10,000 (about the object, where one is named).
    package func events(_ filter: EventFilter, limit: Int) async throws -> [Event] {
        try await vault.read { vault in
            Array(try vault.events(about: filter.object, limit: Self.searched).filter(filter.admits).prefix(limit))
        }
    }
}
