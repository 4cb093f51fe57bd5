import LuaHost
import Testing

/// One script that misbehaves, and what must become of it.
struct HostileCase: Sendable, CustomTestStringConvertible {
    enum Verdict: Sendable {
        /// Runs until a budget ends it, whichever is set: instructions or time.
        case endedByBudget
        /// Fails with an error of this kind.
        case fails(LuaError.Kind)
        /// Fails with an error whose text has this in it.
        case failsSaying(String)
        /// Is refused where it can be caught: the script itself returns these.
        case gives([LuaValue])
        /// Returns a text with this in it.
        case returnsText(String)
    }

    /// The row of the table of hostile cases, 1 to 25.
    let number: Int
    let what: String
    let source: String
    let verdict: Verdict
    /// How much later than the deadline the end may come: what one instruction or one call may take.
    let lateness: Duration
    /// Instructions that the script may take; fewer where each does a thousand times what others do.
    let fuel: UInt64

    init(
        _ number: Int, _ what: String, _ source: String, _ verdict: Verdict, lateness: Duration = .milliseconds(250),
        fuel: UInt64 = 10_000_000
    ) {
        (self.number, self.what, self.source, self.verdict) = (number, what, source, verdict)
        (self.lateness, self.fuel) = (lateness, fuel)
    }

    var testDescription: String { "\(number): \(what)" }

    static let all = loops + calls + memory + recursion + language + host + escapes
}
