// Rules that ask what is so at the sites: who is up, who writes, which points exist.

extension RuleBook {
    static let facts: [Rule] = [
        managementServerFirst, managementServerHomeFirst, bothSitesNeeded, targetNeeded, recoveryPointUnknown,
        recoveryPointDamaged,
        sourceMustBeDown, targetMustBeDown, shutdownNeeded, sourceMustReceive, sourceNotIntact, oneWritableCopy,
        testOutsideProduction,
        productionNetworkNeedsPrimaryOff,
    ]

    package static let managementServerFirst = Rule(
        id: "management-server-first",
        sentence:
            "The management server's own VM must be seen running before any operation on the VMs it manages, except those "
            + "that end a test or a copy; unprotecting a VM is one while its owner answers.",
        source: "site-recovery 2.4 rule 31",
        hint:
            "Start the management server's VM, or fail it over where its host is lost; check that it runs, then repeat this "
            + "operation.")

    package static let managementServerHomeFirst = Rule(
        id: "management-server-home-first",
        sentence:
            "The management server's own VM is back home and protected again before workloads are reversed.",
        source: "site-recovery 2.4 rule 32",
        hint: "For the management server's VM: reverse, planned failover, commit, reverse. Then reverse the workloads.")

    package static let bothSitesNeeded = Rule(
        id: "both-sites-needed",
        sentence: "Copying between the sites, and every step back to the source, needs both sites to be reachable.",
        source: "site-recovery 2.4 rules 13 and 21",
        hint:
            "Bring the other site back; doctor shows what does not answer. If the source is lost, fail over unplanned.")

    package static let targetNeeded = Rule(
        id: "target-needed",
        sentence: "The host that holds the recovery points must be reachable.",
        source: "site-recovery 2.4 rule 14",
        hint: "Start libvirt and the agent at the target host; doctor shows which of them does not answer.")

    package static let recoveryPointUnknown = Rule(
        id: "recovery-point-unknown",
        sentence: "The chosen recovery point does not exist at the target.",
        source: "site-recovery 2.4 rule 19",
        hint: "Choose one of the points that status lists, or \"latest\".")

    package static let recoveryPointDamaged = Rule(
        id: "recovery-point-damaged",
        sentence: "A recovery point that is known to be damaged is not used unless that is asked for.",
        source: "site-recovery 2.4 rule 19",
        hint:
            "Choose a point of which nothing bad is known; the refusal names one. Or verify the VM: what is wrong is sent "
            + "again, as a new point.")

    package static let sourceMustBeDown = Rule(
        id: "source-must-be-down",
        sentence:
            "An unplanned failover needs the source to be proven down, or declared lost by the operator.",
        source: "site-recovery 2.4 rules 15 and 16",
        hint: "Mend the fence and repeat; or make sure by hand that the source cannot run, and declare it lost.")

    package static let targetMustBeDown = Rule(
        id: "target-must-be-down",
        sentence:
            "An undo while the target does not answer needs it to be proven down, or declared lost by the operator.",
        source: "site-recovery 2.4 rule 18",
        hint: "Bring the target back; or have it fenced (target = \"fence\"); or make sure by hand that the copy there "
            + "cannot run, and undo with target = \"declared lost\".")

    package static let shutdownNeeded = Rule(
        id: "shutdown-needed",
        sentence: "A planned failover goes on only when the VM at the source has shut down.",
        source: "site-recovery 2.4 rule 12",
        hint: "The guest ignored the shutdown. Shut it down from inside, or allow it to be powered off, and repeat.")

    package static let sourceMustReceive = Rule(
        id: "source-must-receive",
        sentence: "A planned failover leaves a host that can be the target of the way back.",
        source: "site-recovery 2.4 rule 12",
        hint: "Free space in the store of the host that it is replicated from; doctor shows how much is needed.")

    package static let sourceNotIntact = Rule(
        id: "source-not-intact",
        sentence: "A failover can be undone only when the source and its disks are known to be whole.",
        source: "site-recovery 2.3, row Commit pending",
        hint:
            "Bring the source back, and end a copy that runs or is suspended there; or commit, and go back later by reverse "
            + "and planned failover."
    )

    package static let oneWritableCopy = Rule(
        id: "one-writable-copy",
        sentence: "A VM runs at one site only: the copy that receives must be off.",
        source: "site-recovery 2.4 rules 16 and 25",
        hint: "Shut down the copy that is not the owner; status names the owner. Keep its disks.")

    package static let testOutsideProduction = Rule(
        id: "test-outside-production",
        sentence: "A test is not connected to a network that network mappings use.",
        source: "site-recovery 5.1",
        hint: "Take network = \"create\", \"none\" or an isolated network; or give force with the reason, "
            + "while the primary VM is off.")

    package static let productionNetworkNeedsPrimaryOff = Rule(
        id: "production-network-needs-primary-off",
        sentence: "A test in a production network needs the primary VM to be shut down.",
        source: "site-recovery 5.1",
        hint:
            "Shut the VM down at its source for as long as the test lasts; all that the test writes is lost at its end."
    )
}
