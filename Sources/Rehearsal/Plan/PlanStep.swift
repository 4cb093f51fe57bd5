import SiteModel

/// One call that a planned script makes.
package struct PlanStep: Sendable, Encodable {
    /// Task and ordinal ("0.2#3").
    package var step: String
    /// The function's public name ("vm:failover").
    package var function: String
    /// What it is called on; nil for a module's function.
    package var object: String?
    /// The arguments that were given, in Lua's words.
    package var arguments: String
    /// Where the script calls it.
    package var position: String?
    /// Whether it changes anything.
    package var changes: Bool
    /// Whether another answer would lead the script another way: it looks at the world, or asks a person.
    package var isProbe: Bool
    /// What was taken for its answer, without the call being made; nil where it was made in the simulation.
    package var assumed: String?
    /// What changed by it, a sentence each.
    package var effects: [String] = []
    /// What it failed with; nil when it went well.
    package var failure: PlanFailure?
    /// Seconds from the plan's beginning, in the simulation.
    package var beganSeconds: Double
    package var endedSeconds: Double
    /// Seconds that it takes as expected, and from where that is known.
    package var expectedSeconds: Double
    package var expectation: Expectation
    /// Seconds from the plan's beginning at which it is expected to begin.
    package var expectedAtSeconds: Double

    package enum Expectation: String, Sendable, Encodable {
        /// The median of this vault's own jobs of that kind on this VM.
        case vmHistory = "history of this VM"
        /// The median of this vault's own jobs of that kind.
        case vaultHistory = "history of this vault"
        case simulated
    }

    /// The task that makes it ("0.2").
    package var task: String { String(step.prefix { $0 != "#" }) }
}

/// Why a step would not be done.
package struct PlanFailure: Sendable, Encodable, Equatable {
    package var message: String
    /// The rule that refuses it; nil where none does.
    package var rule: String?
    package var hint: String?
}

extension PlanStep {
    /// Puts the steps on one time line of expected durations: each begins when all that had ended before it has ended.
    ///
    /// The waits between are the simulation's.
    static func lay(out steps: inout [PlanStep]) {
        struct Ended {
            var at: Double
            var expected: Double
        }
        let order = steps.indices.sorted { steps[$0].beganSeconds < steps[$1].beganSeconds }
        var byEnd = steps.indices.sorted { steps[$0].endedSeconds < steps[$1].endedSeconds }[...]
        var (last, latest) = (0.0, 0.0)
        for index in order {
            while let next = byEnd.first, steps[next].endedSeconds <= steps[index].beganSeconds, next != index {
                byEnd = byEnd.dropFirst()
                last = steps[next].endedSeconds
                latest = max(latest, steps[next].expectedAtSeconds + steps[next].expectedSeconds)
            }
            steps[index].expectedAtSeconds = latest + max(0, steps[index].beganSeconds - last)
        }
    }
}
