/// Something that happened, for people to read later.
package struct Event: Codable, Hashable, Sendable {
    package enum Severity: String, Codable, Sendable { case info, warning, critical }

    package var at: Timestamp
    package var severity: Severity
    /// Id of the object that it is about.
    package var object: String?
    package var text: String
    /// Stable word for what happened ("point-whole"); nil in events that are told apart by their text alone.
    package var code: String?
    /// What it is about.
    package var topic: Topic?
    /// What may have brought it about, and what to do: of failures.
    package var causes: [String]?
    package var recommendation: String?

    /// What an event is about (reference 1.16).
    package enum Topic: String, Codable, Sendable, CaseIterable { case vm, server, job, setup, script }

    package init(
        at: Timestamp, severity: Severity, object: String?, text: String, code: String? = nil, topic: Topic? = nil,
        causes: [String]? = nil, recommendation: String? = nil
    ) {
        self.at = at
        self.code = code
        self.topic = topic
        self.causes = causes
        self.recommendation = recommendation
        self.severity = severity
        self.object = object
        self.text = text
    }
}
