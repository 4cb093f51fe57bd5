/// How much of what is over a vault keeps: a vault that replicates for years stays as large as what it protects.
///
/// A thousand VMs that copy every 30 s end three million jobs a day, and each tells of itself in two events or more.
package struct HistoryLimits: Sendable, Hashable {
    /// Days after which whatever is over goes.
    package var days = 90
    /// Newest events that are kept whatever they tell.
    package var events = 100_000
    /// Warnings and critical events that are kept beside those, the newest ones.
    package var warnings = 100_000
    /// Cycles that succeeded, of one VM.
    package var cyclesOfVM = 100
    /// Other jobs that are over, of one VM.
    package var jobsOfVM = 1000
    /// Runs of scripts that are over.
    package var runs = 1000
    /// Runs that are over, of one plan.
    package var runsOfPlan = 100

    package static let standard = HistoryLimits()
    /// Seconds from one pruning to the next.
    package static let interval = 3600.0

    package init() {}
}

/// What one pruning removed.
package struct PrunedHistory: Sendable, Hashable {
    package var jobs = 0
    package var events = 0
    /// Of scripts, and of plans.
    package var runs = 0
}
