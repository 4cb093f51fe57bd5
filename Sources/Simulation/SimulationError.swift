/// Why a simulation cannot be made or cannot go on.
package struct SimulationError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// All that runs waits, and for nothing that will come.
        case stuck
        /// Something waited for what is no part of the simulation.
        case outside
        /// A world runs one body at a time.
        case alreadyRuns
        /// The world has nothing of that name.
        case unknown
        /// A site's description breaks a rule.
        case invalidSite
    }

    package let code: Code
    package let message: String
    /// What to do about it.
    package let hint: String

    package init(_ code: Code, _ message: String, hint: String) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    package var description: String { "\(message) (\(hint))" }

    static let stuck = SimulationError(
        .stuck, "the simulated work waits for what will never come",
        hint: "look for a task that waits for another thread, or for a condition that nobody makes true")

    static let alreadyRuns = SimulationError(
        .alreadyRuns, "this world runs something already", hint: "wait for its end, or make a second world")

    static func outside(_ count: Int) -> SimulationError {
        SimulationError(
            .outside, "\(count) times the simulated work was woken from outside the simulation",
            hint: "give its tasks the world's executor, and let them wait for the world's clock and vault alone")
    }

    static func unknown(_ kind: String, _ name: String, known: [String]) -> SimulationError {
        SimulationError(
            .unknown, "the simulated world has no \(kind) '\(name)'",
            hint: "it has: \(known.sorted().joined(separator: ", "))")
    }
}
