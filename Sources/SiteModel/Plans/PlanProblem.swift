/// What is wrong with a plan: where, and in one sentence what was given and what is allowed.
package struct PlanProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The place, as scripts write it ("groups[2].after[1].timeout"); empty for the plan as a whole.
    package let field: String
    package let sentence: String
    /// What to do about it.
    package let hint: String?
    /// Id of the rule that it breaks, where it is one of order.
    package let rule: String?

    package init(_ field: String, _ sentence: String, hint: String? = nil, rule: String? = nil) {
        self.field = field
        self.sentence = sentence
        self.hint = hint
        self.rule = rule
    }

    package var description: String { field.isEmpty ? sentence : "\(field): \(sentence)" }
}
