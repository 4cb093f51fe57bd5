/// When a cycle's point is to be application-consistent: the first cycle after the policy's interval.
///
/// A try that failed counts as one: a guest without an agent is not asked again at every cycle.
package enum ApplicationTurn {
    package static func isDue(_ policy: Policy, lastTry: Timestamp?, now: Timestamp) -> Bool {
        guard let hours = policy.applicationConsistentHours else { return false }
        guard let lastTry else { return true }
        // A clock that was put back must not put the next one off for ever.
        return lastTry > now || now.seconds(since: lastTry) >= Double(hours) * 3600
    }
}
