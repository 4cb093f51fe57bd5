/// A rule that can forbid an operation: stable id, one sentence, its source, and what to do instead.
package struct Rule: Hashable, Sendable, Codable {
    /// Stable id ("commit-before-reverse").
    ///
    /// Scripts and tests match on it.
    package let id: String
    /// What the rule says, in one sentence.
    package let sentence: String
    /// Section of the reference that it comes from.
    package let source: String
    /// What to do instead.
    package let hint: String

    package init(id: String, sentence: String, source: String, hint: String) {
        self.id = id
        self.sentence = sentence
        self.source = source
        self.hint = hint
    }
}

/// An operation that a rule forbids: nothing was changed.
package struct Refusal: Error, Hashable, Sendable {
    package let rule: Rule
    package let operation: Operation
    /// Name of the object that refused.
    package let object: String
    package let state: ReplicationState

    package init(rule: Rule, operation: Operation, object: String, state: ReplicationState) {
        self.rule = rule
        self.operation = operation
        self.object = object
        self.state = state
    }
}
