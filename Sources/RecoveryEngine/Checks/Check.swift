// A check: what must hold of an object, who judges it, and what came of it.

/// The kind of object that a check looks at.
package enum CheckedKind: String, Codable, Hashable, Sendable, CaseIterable {
    case vault, server, pair, host, vm, endpoint
}

/// A check as data: what it says, where it comes from, and what to do where it does not hold.
package struct CheckDefinition: Codable, Hashable, Sendable {
    /// Stable id ("clock-skew"); scripts and monitoring match on it.
    package let id: String
    package let kind: CheckedKind
    /// What holds where the check passes, in one sentence.
    package let sentence: String
    /// Row of the reference's section 3 that it restates, or what else it comes from.
    package let source: String
    /// What to do, unless the judgement knows it better.
    package let fix: String

    package init(_ id: String, _ kind: CheckedKind, _ sentence: String, source: String, fix: String) {
        self.id = id
        self.kind = kind
        self.sentence = sentence
        self.source = source
        self.fix = fix
    }
}

/// How a check came out.
package enum CheckVerdict: String, Codable, Hashable, Sendable, CaseIterable {
    case ok
    /// Recovery works; something will hurt, or is not as it should be.
    case warn
    /// Protection or recovery will not work, or cannot be trusted.
    case fail
    /// Not looked at, and the reason is said.
    case skipped
}

/// What a judge says of the facts.
package struct Judgement: Hashable, Sendable {
    package var verdict: CheckVerdict
    /// What was found: the cause, where the verdict is not ok.
    package var cause: String
    /// What to do here, where it is more than the check's own words.
    package var fix: String?
    /// Which of several things it is about: a disk, a peer, a network.
    package var about: String?

    package static func ok(_ found: String, about: String? = nil) -> Judgement {
        Judgement(verdict: .ok, cause: found, fix: nil, about: about)
    }

    package static func warn(_ cause: String, fix: String? = nil, about: String? = nil) -> Judgement {
        Judgement(verdict: .warn, cause: cause, fix: fix, about: about)
    }

    package static func fail(_ cause: String, fix: String? = nil, about: String? = nil) -> Judgement {
        Judgement(verdict: .fail, cause: cause, fix: fix, about: about)
    }

    package static func skipped(_ reason: String, about: String? = nil) -> Judgement {
        Judgement(verdict: .skipped, cause: reason, fix: nil, about: about)
    }
}

/// A check and its judge: a pure function of facts that somebody else gathered.
package struct Check<Facts: Sendable>: Sendable {
    package let definition: CheckDefinition
    /// At least one judgement; several where several things are looked at.
    let judge: @Sendable (Facts) -> [Judgement]

    init(
        _ id: String, _ kind: CheckedKind, _ sentence: String, source: String, fix: String,
        judge: @escaping @Sendable (Facts) -> Judgement
    ) {
        self.init(id, kind, sentence, source: source, fix: fix, each: { [judge($0)] })
    }

    init(
        _ id: String, _ kind: CheckedKind, _ sentence: String, source: String, fix: String,
        each: @escaping @Sendable (Facts) -> [Judgement]
    ) {
        definition = CheckDefinition(id, kind, sentence, source: source, fix: fix)
        judge = each
    }

    /// What the check finds in these facts about the object of that name.
    func findings(_ facts: Facts, object: String) -> [CheckFinding] {
        judge(facts).map { CheckFinding(definition, object: object, $0) }
    }
}

/// One line of a report: a check, the object that it looked at, and how it came out.
package struct CheckFinding: Codable, Hashable, Sendable {
    package var check: String
    package var kind: CheckedKind
    package var object: String
    package var about: String?
    package var verdict: CheckVerdict
    package var sentence: String
    /// What was found; the reason, where the check was skipped.
    package var cause: String
    /// What to do; nil where there is nothing to do.
    package var fix: String?

    init(_ definition: CheckDefinition, object: String, _ judgement: Judgement) {
        check = definition.id
        kind = definition.kind
        self.object = object
        about = judgement.about
        verdict = judgement.verdict
        sentence = definition.sentence
        cause = judgement.cause
        let isTrouble = judgement.verdict == .warn || judgement.verdict == .fail
        fix = isTrouble ? judgement.fix ?? definition.fix : nil
    }
}

/// A fact that somebody tried to learn.
package enum Seen<Value: Sendable>: Sendable {
    case known(Value)
    /// Why it is not known: a sentence without its stop.
    case unknown(String)

    package var value: Value? { if case .known(let value) = self { value } else { nil } }

    /// Judges the fact; a check on one that is not known is skipped, with the reason.
    func judged(_ judge: (Value) -> Judgement) -> Judgement {
        switch self {
        case .known(let value): judge(value)
        case .unknown(let reason): .skipped(reason)
        }
    }

    func judged(_ judge: (Value) -> [Judgement]) -> [Judgement] {
        switch self {
        case .known(let value): judge(value)
        case .unknown(let reason): [.skipped(reason)]
        }
    }
}

extension Seen: Equatable where Value: Equatable {}
extension Seen: Hashable where Value: Hashable {}
