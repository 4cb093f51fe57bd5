/// Whether a VM's recovery has been tried lately (reference 5.2, status buckets).
package enum TestStanding: Hashable, Sendable {
    /// It was never tried, or longer ago than half a year.
    case recommended
    /// A test and its clean-up both succeeded, not too long ago.
    case passed
    /// It cannot be tried now; why, in a few words.
    case notApplicable(String)

    /// Seconds after which a test is due again: half a year (reference 5.2).
    package static let goodFor = 182 * 86_400.0

    package var word: String {
        switch self {
        case .recommended: "recommended"
        case .passed: "passed"
        case .notApplicable: "not-applicable"
        }
    }
}

extension Relationship {
    /// Where the VM stands with its tests.
    package func testStanding(now: Timestamp) -> TestStanding {
        switch state {
        case .testing: return .notApplicable("a test is running")
        case .unprotected: return .notApplicable("not protected")
        case .firstCopy, .firstCopyPending: return .notApplicable("the first copy is not whole")
        case .failingOver, .failingOverPlanned: return .notApplicable("a failover is under way")
        case .failedOver, .committed, .reversing: return .notApplicable("failed over")
        case .protected, .paused, .error, .resyncRequired, .resynchronizing, .resyncPaused: break
        }
        guard let at = lastTestFailoverAt, now.seconds(since: at) < TestStanding.goodFor else { return .recommended }
        return .passed
    }
}
