/// Which process replicates for the vault, or did so last: one record in each vault.
///
/// That it still does is not in here: its lease says so.
package struct ReplicatorRecord: SiteObject {
    package static let kind = "replicator"

    package var id: String
    package var name: String { Self.kind }
    package var parent: String? { nil }
    /// Who holds the lease ("host:pid:uuid").
    package var holder: String
    package var startedAt: Timestamp
    /// When it stopped in good order; nil while it runs, and when it died.
    package var stoppedAt: Timestamp?

    package init(id: String, holder: String, startedAt: Timestamp, stoppedAt: Timestamp? = nil) {
        self.id = id
        self.holder = holder
        self.startedAt = startedAt
        self.stoppedAt = stoppedAt
    }
}
