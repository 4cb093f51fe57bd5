// The rules one by one, in the order of the collected facts (section 2.4), each in words of our own.

extension ReferenceRules {
    static let deployment: [ReferenceRule] = [
        ReferenceRule(
            1, "Sites are set up in an order: networks, hosts and servers, mappings, policy, protection, test.",
            rules: ["pair-required", "policy-required", "not-protected", "cloud-needs-a-host"],
            here:
                "Each step names what it stands on, so a step taken too early is refused with the step that is missing."
        ),
        ReferenceRule(
            2, "One management server needs two clouds; two servers need one each.",
            rules: ["two-clouds-on-one-server"], checks: ["clouds-present", "clouds-paired"],
            here: "A pair joins two clouds, of one server or of two."),
        ReferenceRule(
            3, "A policy exists before a VM is protected.", rules: ["policy-required"], checks: ["policy-present"],
            here: "A pair names its policy; protection takes it from there."),
        ReferenceRule(
            4, "On a cluster the active node registers first, and all nodes have one version.",
            rules: ["active-node-first", "one-version-on-all-nodes"],
            here: "`server:join` takes the other nodes in."),
        ReferenceRule(
            5, "VMs are on a network before networks are mapped.", checks: ["nics-on-networks", "vm-network-mapped"],
            here:
                "A mapping is made only between networks that hosts have; a NIC without a mapping comes up unconnected."
        ),
        ReferenceRule(
            6, "The management server's own VM is in no protected cloud.", rules: ["management-vm-outside-clouds"],
            checks: ["management-vm-outside-clouds"], here: "The hosts replicate it directly (`vm:replicate`)."),
        ReferenceRule(
            7, "A host without a management server takes no part.",
            here:
                "Lifted: hosts alone replicate a VM below the vault's clouds, which is how a management server is kept. A cloud "
                + "still protects only VMs of its own hosts."),
        ReferenceRule(
            8,
            "A VM that the hosts replicate already is taken over only between hosts of the two clouds, with like settings.",
            rules: ["onboard-between-its-clouds"], here: "`vm:protect` takes its relationship and points as they are."),
        ReferenceRule(
            9, "A replica on a cluster is made highly available first.",
            here:
                "No meaning here: a replica is no VM before its failover, only points in a store. Where it runs after that is "
                + "placed anew each time."),
        ReferenceRule(
            10, "A server is taken away in an order: protection, mappings, policies, then the server.",
            rules: ["unregister-in-order", "unprotect-before-unpairing", "still-in-use", "host-holds-vms"],
            here: "`server:unregister` names what is left, in that order, and leaves nothing behind."),
    ]

    static let failover: [ReferenceRule] = [
        ReferenceRule(
            11, "No failover happens by itself.",
            here: "The replicator makes points, first copies and resyncs that are due, and nothing else."),
        ReferenceRule(
            12, "A planned failover needs whole first copies, a VM that is shut down, and a source that can receive.",
            rules: ["first-copy-incomplete", "shutdown-needed", "source-must-receive"],
            here: "The engine shuts the VM down itself, and starts it again when it gives the failover up."),
        ReferenceRule(
            13, "A planned failover sends the last changes and loses nothing.", rules: ["both-sites-needed"],
            here: "Its stages `shut-down-source` and `copy` come before ownership changes."),
        ReferenceRule(
            14, "An unplanned failover needs nothing of the primary site.", rules: ["target-needed"],
            here: "It needs the target, and certainty that the source is down."),
        ReferenceRule(
            15, "Shutting the source down before an unplanned failover is tried, and is no condition.",
            rules: ["source-must-be-down"],
            here:
                "Stricter: if the source answers, the VM is ended there; if it does not, a fence or the operator's word is needed. "
                + "Last changes are sent by a planned failover, not by an unplanned one."),
        ReferenceRule(
            16, "Both copies never run at once.", rules: ["source-must-be-down", "one-writable-copy"],
            checks: ["runs-once"], here: "The owner and its epoch are kept in the vault and at both hosts."),
        ReferenceRule(
            17, "An unplanned failover ends replication from the source; later changes there are lost.",
            rules: ["failover-needs-commit", "operation-in-progress"],
            here:
                "A copy under way is ended. What the source wrote later stays in its disks until the reverse is committed."
        ),
        ReferenceRule(
            18, "A failover in progress is never cancelled.",
            rules: ["never-cancel-a-failover", "target-must-be-down"],
            here:
                "It is driven to its end, or given up before ownership is claimed, by its own stages. One whose target is "
                + "lost on the way is undone, on evidence that the target is down."),
        ReferenceRule(
            19, "The latest point is taken; another can be chosen until the commit, if the policy keeps some.",
            rules: ["change-point-after-failover", "recovery-point-unknown", "recovery-point-damaged"],
            here: "The point may be named with the failover too. Commit drops the others."),
        ReferenceRule(
            20, "Commit comes before reverse, and is final.", rules: ["commit-before-reverse"],
            here: "The same after a planned failover."),
        ReferenceRule(
            21, "Reverse needs the primary site back, with what it had.", rules: ["both-sites-needed"],
            here: "A host that is gone for good is left by unprotecting, and protecting anew towards another."),
        ReferenceRule(
            22, "A reverse after an unplanned failover makes a first copy, or compares with the old disks.",
            here:
                "Better: it sends the union of what both sides wrote since they parted; where that is not known, blocks are "
                + "compared by hash. Never everything."),
        ReferenceRule(
            23, "Reverse protects the VM again; it stays where it runs.", rules: ["reverse-first"],
            here: "Only the direction changes: source and target change places, the owner stays."),
        ReferenceRule(
            24, "Failback is a planned failover back, its commit, and a reverse.",
            rules: ["failover-needs-commit", "commit-before-reverse"],
            here: "The same operations in the other direction; no operation of its own."),
        ReferenceRule(
            25, "Where items are active on both sides, the operator chooses the direction.",
            rules: ["one-writable-copy"],
            here:
                "Each VM has one owner, which says its direction: nothing is left to choose. A copy that runs without owning is "
                + "shown, and refuses all that would build on it."),
        ReferenceRule(
            26, "Points from before a disk was shrunk cannot be used.", checks: ["disks-as-recorded"],
            here:
                "A disk that was resized stops replication (state `error`) until it has its size again or the VM is protected "
                + "anew: no point is ever made over another geometry."),
        ReferenceRule(
            27,
            "Test, planned and unplanned failover work in both directions, between servers and between clouds of one.",
            here: "One table for both directions: docs/rules.md."),
        ReferenceRule(
            28, "A replica is not replicated further.", rules: ["already-protected"],
            here: "A VM has one relationship."),
        ReferenceRule(
            29, "A VM that is moved to a host outside the set-up loses its protection.", checks: ["vm-present"],
            here: "The next cycle says where it is now and stops replication (state `error`), its points kept."),
        ReferenceRule(
            30, "Two operations on one object exclude each other.", rules: ["operation-in-progress"],
            here: "A job has its VM until it ends; only what must end a copy may."),
    ]

    static let controlPlane: [ReferenceRule] = [
        ReferenceRule(
            31, "In an outage the management server's VM comes first, by the hosts, and is seen running.",
            rules: ["management-server-first"], checks: ["management-vm-replicated"],
            here: "Its relationship asks no rule of the vault's clouds."),
        ReferenceRule(
            32, "On return the management server is back home and protected before workloads are reversed.",
            rules: ["management-server-home-first"], here: "Asked of `reverse` towards the server's home site."),
        ReferenceRule(
            33, "The management server's database is recovered before it.",
            here: "No such database: the vault is one file, opened on the machine where the engine runs."),
        ReferenceRule(
            34, "A stretched management cluster needs its database replicated at the second site.",
            checks: ["vault-file-system"],
            here:
                "No such cluster: a vault is opened by processes of one machine, and a network file system is refused."),
    ]
}
