/// Why a job failed: what happened, what may have brought it about, and what to do (reference 1.15).
package struct JobFailure: Codable, Hashable, Sendable {
    /// Stable word for the fault ("unreachable", "checksum-mismatch").
    package var kind: String
    package var message: String
    /// The recommended action.
    package var hint: String?
    /// What may have brought it about, the likeliest first.
    package var causes: [String]?
    /// The stage that failed.
    package var stage: String?
    package var at: Timestamp?

    package init(
        kind: String, message: String, hint: String?, causes: [String]? = nil, stage: String? = nil,
        at: Timestamp? = nil
    ) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.causes = causes
        self.stage = stage
        self.at = at
    }
}
