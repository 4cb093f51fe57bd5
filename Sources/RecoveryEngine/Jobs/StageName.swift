package import SiteModel

/// The stages that operations are made of.
///
/// Raw values are what the vault keeps and people read.
package enum StageName: String, Sendable, CaseIterable {
    /// Look at the VM, its disks and both hosts, and write the first ownership record.
    case prepare
    /// Bring one whole point to the target.
    case copy
    /// Write the first copy into a folder at the source, for carrying.
    case exportFirstCopy = "export-first-copy"
    /// Take a carried first copy in as the first point.
    case importFirstCopy = "import-first-copy"
    /// End what a copy has begun at both sites, so that nothing of it goes on.
    case endCopy = "end-copy"
    /// Compare both sides whole at the instant of a new point.
    case verify
    /// Read stored points and compare them with what was written.
    case checkPoints = "check-points"
    /// Forget what the new point makes dead: old checkpoints, points beyond the policy's number.
    case prune

    /// Make sure that the source no longer runs the VM.
    case fenceSource = "fence-source"
    case shutDownSource = "shut-down-source"
    /// Choose the point and throw away what is half received.
    case settlePoint = "settle-point"
    case claimOwnership = "claim-ownership"
    case define
    case connect
    case start
    case confirm

    /// Make sure that a target that does not answer no longer runs the VM.
    case fenceTarget = "fence-target"
    /// Stop the failed-over VM and throw its disks' overlay away.
    case withdraw
    case returnOwnership = "return-ownership"
    case startSource = "start-source"

    case dropPoints = "drop-points"

    /// Make sure that the former owner does not run the VM, and record there who owns it.
    case quietFormerOwner = "quiet-former-owner"
    case adoptDisks = "adopt-disks"
    case turnRound = "turn-round"
    /// Fold the chain that failovers grew under the running VM.
    case flatten

    /// Decide all of the test and write it down.
    case prepareTest = "prepare-test"
    case createTest = "create-test"
    case confirmTest = "confirm-test"
    case removeTest = "remove-test"

    case release
}

/// Which stages an operation goes through, in order.
///
///     unplanned failover:  fence-source -> settle-point -> claim-ownership -> define -> connect -> start -> confirm
///                          '----- may be given up ----'    '------------- is driven to its end -------------'
package enum StagePlan {
    /// `firstCopy` is how the VM's first copy is made, and matters to `protect` alone.
    package static func stages(
        of operation: Operation, from origin: ReplicationState, firstCopy: Policy.FirstCopy = .now
    ) -> [StageName] {
        switch operation {
        case .protect where firstCopy == .scheduled: [.prepare]
        case .protect where firstCopy == .offline: [.prepare, .exportFirstCopy]
        case .protect, .startFirstCopy: [.prepare, .copy, .prune]
        case .importFirstCopy: [.importFirstCopy, .prune]
        case .sync, .resync: [.copy, .prune]
        case .verify: [.verify, .prune]
        case .verifyPoint: [.checkPoints]
        // One point shows all that changed meanwhile; a resync that was held is taken up by comparing anew.
        case .resume: [.copy, .prune]
        case .pause: [.endCopy]
        case .plannedFailover:
            [.shutDownSource, .copy, .settlePoint, .claimOwnership, .define, .connect, .start, .confirm]
        case .unplannedFailover:
            [.fenceSource, .settlePoint, .claimOwnership, .define, .connect, .start, .confirm]
        case .changePoint:
            [.settlePoint, .withdraw, .claimOwnership, .define, .connect, .start, .confirm]
        case .undo: [.fenceTarget, .returnOwnership, .withdraw, .startSource]
        case .commit: [.dropPoints]
        case .reverse: [.quietFormerOwner, .adoptDisks, .turnRound, .copy, .prune, .flatten]
        case .testFailover: [.settlePoint, .prepareTest, .createTest, .confirmTest]
        case .cleanUpTest: [.removeTest]
        case .unprotect: [.release]
        case .cancelVerify, .cancelFirstCopy, .pauseResync, .cancelResync: [.endCopy]
        }
    }

    /// Whether a job that has begun this stage can only be driven on: giving up would leave the VM with two owners or
    /// none.
    ///
    /// `claimed` tells whether the new ownership is in the vault: a failover that only meant to claim it can still be
    /// given up.
    package static func isFinal(_ stage: StageName, in operation: Operation, claimed: Bool) -> Bool {
        switch operation {
        case .unplannedFailover, .plannedFailover:
            claimed && [.claimOwnership, .define, .connect, .start, .confirm].contains(stage)
        case .changePoint: stage != .settlePoint
        case .undo: claimed
        case .unprotect, .commit: true
        case .reverse: [.turnRound, .copy, .prune, .flatten].contains(stage)
        default: false
        }
    }
}
