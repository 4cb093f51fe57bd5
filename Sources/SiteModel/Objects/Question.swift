/// What a script asks of a person, and what was answered.
package struct Question: SiteObject {
    package static let kind = "question"
    package var id: String
    package var name: String { id }
    /// The run that asks.
    package var run: String
    package var parent: String? { run }
    package var text: String
    /// What may be answered; empty where any text may.
    package var choices: [String]
    /// Who is asked, in words of the operator's own.
    package var role: String?
    package var askedAt: Timestamp
    /// When the run goes on without an answer.
    package var deadline: Timestamp?
    /// What counts as the answer then; nil for none.
    package var fallback: String?
    package var answer: Answer?
    /// When the run no longer waited for an answer, where it got none.
    package var withdrawnAt: Timestamp?

    /// What was answered, by whom, and when.
    package struct Answer: Codable, Hashable, Sendable {
        package var text: String
        package var by: String
        package var at: Timestamp

        package init(text: String, by: String, at: Timestamp) {
            self.text = text
            self.by = by
            self.at = at
        }
    }

    package init(
        id: String, run: String, text: String, choices: [String] = [], role: String? = nil, askedAt: Timestamp,
        deadline: Timestamp? = nil, fallback: String? = nil
    ) {
        self.id = id
        self.run = run
        self.text = text
        self.choices = choices
        self.role = role
        self.askedAt = askedAt
        self.deadline = deadline
        self.fallback = fallback
    }

    /// Whether somebody may still answer.
    package var isOpen: Bool { answer == nil && withdrawnAt == nil }
}
