package import SiteModel

/// What an execution came to.
package struct Ending: Sendable {
    package enum Result: Sendable, Hashable {
        case succeeded
        /// It waits for a person.
        case stoodStill(RunPause)
        /// An error ended it.
        case failed(String, rule: String?)
        /// It did not end within ``Execution/longest`` of its own time.
        case endless

        /// Whether somebody is told that it did not go as it should.
        var isSilent: Bool { self == .succeeded }
    }

    package var result: Result
    /// Invariants that were broken, one sentence each.
    package var violations: [String]
    /// Where each VM runs and how its replication stands, by VM.
    package var vms: [String: String]
    /// Errors that the script has caught.
    package var caught: [CaughtError]
    /// Steps of the engine, and its calls to hosts.
    package var steps: Int
    package var calls: Int
    /// Seconds after the beginning at which jobs began.
    package var jobs: [Int]
    package var sites: [String]
}

/// An error of a step that the script went on after.
package struct CaughtError: Sendable, Hashable {
    package var function: String
    package var message: String
    package var rule: String?
    package var position: String?
}
