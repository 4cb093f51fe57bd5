// Rules about how servers, clouds, pairs and policies are set up.

extension RuleBook {
    static let setup: [Rule] = [
        policyRequired, pairRequired, onePairPerCloud, twoCloudsOnOneServer, managementVMOutsideClouds,
        onboardBetweenItsClouds,
    ]

    package static let policyRequired = Rule(
        id: "policy-required",
        sentence: "A VM is protected under a policy.",
        source: "site-recovery 2.4 rule 3",
        hint: "Create a policy and name it in the pair, or with the protect operation of a VM outside the clouds.")

    package static let pairRequired = Rule(
        id: "pair-required",
        sentence: "A VM is protected through its cloud, and the cloud must be paired.",
        source: "site-recovery 2.3, row Unprotected",
        hint: "Pair the cloud with the one that shall receive its VMs.")

    package static let onePairPerCloud = Rule(
        id: "one-pair-per-cloud",
        sentence: "A cloud is in one pair at most.",
        source: "site-recovery 1.4",
        hint: "Use another cloud, or remove the pair that exists once none of its VMs is protected.")

    package static let twoCloudsOnOneServer = Rule(
        id: "two-clouds-on-one-server",
        sentence: "A pair joins two clouds, so a single management server needs two: one primary, one secondary.",
        source: "site-recovery 2.4 rule 2",
        hint: "Create a second cloud with the hosts of the other site and pair with that.")

    package static let managementVMOutsideClouds = Rule(
        id: "management-vm-outside-clouds",
        sentence:
            "The management server's own VM is replicated by the hosts directly and belongs to no cloud.",
        source: "site-recovery 2.4 rule 6",
        hint: "Replicate it as the server's own VM (host:vm, then vm:replicate), not as a member of the cloud.")

    package static let onboardBetweenItsClouds = Rule(
        id: "onboard-between-its-clouds",
        sentence:
            "A VM that hosts already replicate is taken into a cloud only from a host of that cloud to a host of its "
            + "partner, under their policy.",
        source: "site-recovery 2.4 rule 8",
        hint: "Add its hosts to the two clouds and replicate it under the pair's policy; or unprotect it first.")
}
