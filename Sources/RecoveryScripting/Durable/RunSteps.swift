import LuaHost
package import RecoveryEngine
import VaultStore

/// The steps of a run, as its journal has them.
package enum RunSteps {
    /// One step.
    package struct Step: Encodable, Sendable {
        /// Task and ordinal ("0.2#3").
        package var step: String
        package var function: String
        /// Whether it may have changed the world.
        package var isEffect: Bool
        package var isOver: Bool
        /// One line; nil when it went well, and while it is under way.
        package var error: String?
        /// The rule that refused it, and where the script called it; of a step with an error.
        package var rule: String?
        package var position: String?

        /// In a word or a line.
        package var outcome: String { error ?? (isOver ? "done" : "begun") }
    }

    /// Reads them in the order in which they were begun, or were over where they have no beginning of their own.
    package static func read(of run: String, in engine: RecoveryEngine) async throws -> [Step] {
        var (steps, places): ([Step], [String: Int]) = ([], [:])
        func place(_ step: String, _ function: String, isEffect: Bool) -> Int {
            if let place = places[step] { return place }
            places[step] = steps.count
            steps.append(Step(step: step, function: function, isEffect: isEffect, isOver: false))
            return steps.count - 1
        }
        for row in try await engine.vault.read({ try $0.journal(of: run, after: 0, limit: .max) }) {
            for line in row.entries {
                switch try JournalEntry(line) {
                case .began(let step, let function, _):
                    let place = place(step, function, isEffect: true)
                    (steps[place].isOver, steps[place].error) = (false, nil)
                case .finished(let result):
                    let place = place(result.step, result.function, isEffect: false)
                    steps[place].isOver = true
                    let error = result.error?.error
                    steps[place].error = error?.message
                    (steps[place].rule, steps[place].position) = (error?.rule, error?.where.map { "\($0)" })
                case .decided(let decision):
                    guard let place = places[decision.step] else { continue }
                    steps[place].error =
                        "\(decision.choice.rawValue), said \(decision.by)" + (decision.reason.map { ": \($0)" } ?? "")
                default: break
                }
            }
        }
        return steps
    }
}
