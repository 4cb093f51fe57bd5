/// What changes the state of a relationship or a protected item (reference 2.2).
package enum Operation: String, Codable, Hashable, Sendable, CaseIterable {
    case protect
    case startFirstCopy = "start-first-copy"
    case importFirstCopy = "import-first-copy"
    case cancelFirstCopy = "cancel-first-copy"
    /// One cycle now: a new recovery point.
    case sync
    /// Makes a point, compares both sides whole at its instant, and makes another point of what differs.
    case verify
    /// Reads stored points and compares them with what was written.
    case verifyPoint = "verify-point"
    /// Ends a verification that runs.
    case cancelVerify = "cancel-verify"
    case pause
    case resume
    case resync
    case pauseResync = "pause-resync"
    case cancelResync = "cancel-resync"
    case testFailover = "test-failover"
    case cleanUpTest = "clean-up-test"
    case plannedFailover = "planned-failover"
    case unplannedFailover = "unplanned-failover"
    case changePoint = "change-point"
    /// Back to where the VM ran before a failover that is not yet committed.
    case undo
    case commit
    case reverse
    case unprotect
}

extension Operation {
    /// Whether bringing disk content to the other side is most of it: it may take hours, and begun anew it loses nothing.
    package var isCopy: Bool {
        switch self {
        case .protect, .startFirstCopy, .importFirstCopy, .sync, .verify, .verifyPoint, .resume, .resync, .reverse: true
        default: false
        }
    }

    /// Whether a failure of the operation may say something of replication itself: it makes a point out of the source.
    package var copies: Bool {
        switch self {
        case .sync, .resume, .resync, .plannedFailover: true
        default: false
        }
    }
}
