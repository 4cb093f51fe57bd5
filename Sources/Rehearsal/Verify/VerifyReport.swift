import SiteModel

/// What exploring a script has shown.
package struct VerifyReport: Sendable {
    /// A way in which the script goes wrong, with the shortest sequence that leads there.
    package struct Finding: Sendable, Hashable {
        package enum Kind: String, Sendable, Hashable {
            /// It does not run through though nothing goes wrong.
            case fails = "fails-undisturbed"
            /// A rule refuses what it asks for, though nothing goes wrong, and it goes on.
            case refused = "goes-on-after-refusal"
            /// Something came about that must never be.
            case invariant = "broken-invariant"
            /// It says that it succeeded, and has left something else than it leaves undisturbed.
            case swallowed = "swallows-errors"
            /// It does not come to an end.
            case endless = "endless"
        }

        package var kind: Kind
        /// One sentence.
        package var sentence: String
        package var sequence: [Disturbance]
        /// What the script caught on the way, and what is otherwise than undisturbed.
        package var details: [String]

        /// Whether the script is at fault; a refusal that it has asked for may be meant.
        package var isViolation: Bool { kind != .refused }
    }

    package let script: String
    package let undisturbed: Ending
    package private(set) var findings: [Finding] = []
    /// By kind: how many there are, and how many were tried.
    package var planned: [String: Int] = [:]
    package private(set) var tried: [String: Int] = [:]
    /// How executions ended, by word.
    package private(set) var endings: [String: Int] = [:]
    package var seconds = 0.0

    package var executions: Int { 1 + tried.values.reduce(0, +) }
    package var violations: [Finding] { findings.filter(\.isViolation) }

    init(script: String, undisturbed: Ending) {
        self.script = script
        self.undisturbed = undisturbed
        endings[Self.word(undisturbed.result)] = 1
        for sentence in undisturbed.violations {
            findings.append(Finding(kind: .invariant, sentence: sentence, sequence: [], details: []))
        }
        switch undisturbed.result {
        case .succeeded: break
        case .stoodStill(let pause):
            let place = pause.position.map { "\($0): " } ?? ""
            findings.append(
                Finding(
                    kind: .fails, sentence: place + pause.message + (pause.rule.map { " [\($0)]" } ?? ""), sequence: [],
                    details: []))
        case .failed(let message, _):
            findings.append(Finding(kind: .fails, sentence: message, sequence: [], details: []))
        case .endless:
            findings.append(Finding(kind: .endless, sentence: "it does not come to an end", sequence: [], details: []))
        }
        for error in undisturbed.caught {
            guard let rule = error.rule else { continue }
            let place = error.position.map { "\($0): " } ?? ""
            let sentence = "\(place)\(error.function) is refused by \(rule), and the script goes on"
            if !findings.contains(where: { $0.sentence == sentence }) {
                findings.append(Finding(kind: .refused, sentence: sentence, sequence: [], details: [error.message]))
            }
        }
    }

    /// Takes up what an execution came to.
    mutating func note(_ disturbances: [Disturbance], _ ending: Ending) {
        for disturbance in disturbances { tried[disturbance.kind, default: 0] += 1 }
        endings[Self.word(ending.result), default: 0] += 1
        for sentence in ending.violations where !undisturbed.violations.contains(sentence) {
            add(
                Finding(
                    kind: .invariant, sentence: sentence, sequence: disturbances, details: Self.words(ending.caught)))
        }
        if case .endless = ending.result {
            add(
                Finding(
                    kind: .endless, sentence: "it does not come to an end", sequence: disturbances,
                    details: Self.words(ending.caught)))
        }
        guard ending.result == .succeeded, undisturbed.result == .succeeded else { return }
        let other = ending.vms.keys.sorted().filter { ending.vms[$0] != undisturbed.vms[$0] }
        guard !other.isEmpty else { return }
        let new = ending.caught.filter { !undisturbed.caught.contains($0) }
        let what = new.first.map { "the error of \($0.function)" } ?? "what went wrong"
        let sentence =
            "it says that it succeeded, whatever became of \(other.joined(separator: ", ")): \(what) is swallowed"
        let states = other.map {
            "\($0) \(ending.vms[$0] ?? ""); undisturbed it \(undisturbed.vms[$0] ?? "is not there")"
        }
        add(Finding(kind: .swallowed, sentence: sentence, sequence: disturbances, details: states + Self.words(new)))
    }

    /// Keeps the shortest sequence of each finding, of two as short the one that comes first.
    private mutating func add(_ finding: Finding) {
        guard let index = findings.firstIndex(where: { $0.kind == finding.kind && $0.sentence == finding.sentence })
        else {
            return findings.append(finding)
        }
        let (old, new) = (findings[index].sequence, finding.sequence)
        let oldKey = (old.count, old.map(\.description).joined())
        if (new.count, new.map(\.description).joined()) < oldKey { findings[index] = finding }
    }

    private static func words(_ caught: [CaughtError]) -> [String] {
        caught.map { "caught: \($0.function): \($0.message)" }
    }

    private static func word(_ result: Ending.Result) -> String {
        switch result {
        case .succeeded: "succeeded"
        case .stoodStill: "stood still, waiting for a person"
        case .failed: "failed with an error"
        case .endless: "came to no end"
        }
    }
}
