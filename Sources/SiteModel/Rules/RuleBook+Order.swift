// Rules of order: which operation may follow which. They depend on the state alone.

extension RuleBook {
    static let order: [Rule] = [
        notProtected, alreadyProtected, firstCopyIncomplete, noFirstCopyOutstanding, firstCopyExported,
        operationInProgress,
        neverCancelAFailover, paused, notPaused, replicationInError, pauseBeforeResync, resyncFirst, noResyncRunning,
        noVerificationRunning,
        testInProgress, noTestToCleanUp, changePointAfterFailover, failoverNeedsCommit, commitBeforeReverse,
        reverseFirst,
        nothingToUndo, nothingToCommit, nothingToReverse,
    ]

    package static let notProtected = Rule(
        id: "not-protected",
        sentence: "A VM that is not replicated can only be protected.",
        source: "site-recovery 2.3, row Unprotected",
        hint: "Protect the VM first and wait for its first copy.")

    package static let alreadyProtected = Rule(
        id: "already-protected",
        sentence: "A VM has one relationship, so it cannot be protected twice.",
        source: "site-recovery 2.3, row Unprotected; 2.4 rule 28",
        hint: "Nothing needs to be done to protect it. To protect it elsewhere, unprotect it first.")

    package static let firstCopyIncomplete = Rule(
        id: "first-copy-incomplete",
        sentence: "Until the first copy is whole there is no recovery point to fail over to, test or update.",
        source: "site-recovery 2.3, row IR running; 2.4 rule 12",
        hint: "Wait for the first copy to end, or start it if it is outstanding; status shows how far it is.")

    package static let noFirstCopyOutstanding = Rule(
        id: "no-first-copy-outstanding",
        sentence: "A first copy can be started, imported or cancelled only while it is outstanding.",
        source: "site-recovery 2.3, row IR pending",
        hint: "The first copy is done. To compare and copy everything again, pause and then resync.")

    package static let firstCopyExported = Rule(
        id: "first-copy-exported",
        sentence: "A first copy that was exported can no longer be cancelled.",
        source: "site-recovery 2.3, row IR pending",
        hint: "Import the exported copy at the target, or unprotect the VM to give it up.")

    package static let operationInProgress = Rule(
        id: "operation-in-progress",
        sentence: "One operation at a time works on a VM.",
        source: "site-recovery 2.4 rule 30",
        hint:
            "Wait for the running job to end; status names it. A job whose process died is taken up by perilune replicate, or "
            + "by the same operation given again.")

    package static let neverCancelAFailover = Rule(
        id: "never-cancel-a-failover",
        sentence:
            "A failover is never cancelled half-way: it is driven to its end, or back, by its own stages.",
        source: "site-recovery 2.4 rule 18",
        hint:
            "Wait until the failover has ended; then undo it, change its recovery point, or commit it. If its target is "
            + "lost and the source is whole, undo it with target = \"fence\" or \"declared lost\".")

    package static let paused = Rule(
        id: "paused",
        sentence: "Replication of this VM is paused.",
        source: "site-recovery 2.3, row Suspended",
        hint: "Resume replication first. If the source is lost, an unplanned failover works while paused.")

    package static let notPaused = Rule(
        id: "not-paused",
        sentence: "Only replication that is paused or has failed can be resumed.",
        source: "site-recovery 2.3, rows Suspended and Error",
        hint: "Replication is running; nothing needs to be done. For a new point now, sync.")

    package static let replicationInError = Rule(
        id: "replication-in-error",
        sentence: "Replication of this VM has stopped with an error that a person must look at.",
        source: "site-recovery 2.3, row Error",
        hint: "Read the error in status, mend its cause and resume. If the source is lost, fail over unplanned.")

    package static let pauseBeforeResync = Rule(
        id: "pause-before-resync",
        sentence: "A resync compares whole disks, so it is begun only on replication that is paused.",
        source: "site-recovery 2.3, row Protected; 7.5",
        hint: "Pause replication, then resync. A plain sync is enough for a new recovery point.")

    package static let resyncFirst = Rule(
        id: "resync-first",
        sentence: "The two sides have diverged, so they are resynchronized before anything builds on them.",
        source: "site-recovery 2.3, rows Resync required and Resynchronizing",
        hint: "Resync and let it end. If the source is lost, an unplanned failover to the last point works now.")

    package static let noResyncRunning = Rule(
        id: "no-resync-running",
        sentence: "Only a resync that is under way can be paused or cancelled.",
        source: "site-recovery 2.3, row Resynchronizing",
        hint: "Nothing needs to be done. To hold replication back, pause it.")

    package static let noVerificationRunning = Rule(
        id: "no-verification-running",
        sentence: "Only a verification that is under way can be cancelled.",
        source: "site-recovery 2.3, row Resynchronizing",
        hint: "Nothing needs to be done.")

    package static let testInProgress = Rule(
        id: "test-in-progress",
        sentence: "While a test VM exists, the only way on is to clean it up.",
        source: "site-recovery 2.3, row Test failover active",
        hint: "Clean up the test (clean-up-test), then repeat the operation.")

    package static let noTestToCleanUp = Rule(
        id: "no-test-to-clean-up",
        sentence: "There is no test VM to clean up.",
        source: "site-recovery 2.3, row Test failover active",
        hint: "Nothing needs to be done.")

    package static let changePointAfterFailover = Rule(
        id: "change-point-after-failover",
        sentence: "The recovery point can be changed only after a failover and before its commit.",
        source: "site-recovery 2.4 rule 19",
        hint: "Fail over first and choose the point then, or name the point with the failover.")

    package static let failoverNeedsCommit = Rule(
        id: "failover-needs-commit",
        sentence: "A failover stays open until it is committed or undone.",
        source: "site-recovery 2.3, row Commit pending",
        hint: "Look at the VM; then commit, change its recovery point, or undo the failover.")

    package static let commitBeforeReverse = Rule(
        id: "commit-before-reverse",
        sentence: "A failover is committed before replication is reversed.",
        source: "site-recovery 2.4 rule 20",
        hint: "Check that the VM is right, commit the failover, then reverse.")

    package static let reverseFirst = Rule(
        id: "reverse-first",
        sentence: "After a committed failover replication is stopped until it is reversed.",
        source: "site-recovery 2.3, row Committed; 2.4 rule 23",
        hint: "When the other site is back, reverse; then everything is possible in the new direction.")

    package static let nothingToUndo = Rule(
        id: "nothing-to-undo",
        sentence: "Only a failover that is not yet committed can be undone.",
        source: "site-recovery 2.3, row Commit pending",
        hint: "After a commit the way back is: reverse, planned failover, commit.")

    package static let nothingToCommit = Rule(
        id: "nothing-to-commit",
        sentence: "There is no open failover to commit.",
        source: "site-recovery 2.3, row Commit pending",
        hint: "Nothing needs to be done; status shows which operations come next.")

    package static let nothingToReverse = Rule(
        id: "nothing-to-reverse",
        sentence: "Only a committed failover can be reversed.",
        source: "site-recovery 2.3, row Committed",
        hint: "To change the direction, run a planned failover, commit it, and then reverse.")
}
