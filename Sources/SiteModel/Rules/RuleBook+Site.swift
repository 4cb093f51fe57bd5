// Rules about registering servers, joining clouds, mapping networks, and taking things away again.

extension RuleBook {
    static let site: [Rule] = [
        registrationKeyNeeded, registrationKeyRefused, activeNodeFirst, oneVersionOnAllNodes, clusterRoleName,
        versionNotUsable, goalOfTheVault, cloudNeedsAHost, hostInOneCloud, hostHoldsVMs,
        clusterNeedsOneName, targetNetworkNotAssociated,
        unprotectBeforeUnpairing, unpairBeforePairingAnew, stillInUse, unregisterInOrder, vaultNotEmpty,
    ]

    package static let registrationKeyNeeded = Rule(
        id: "registration-key-needed",
        sentence: "A vault that asks for registration keys takes a new server only with one.",
        source: "site-recovery 1.2",
        hint: "Issue a key with vault:registration_key, bring its file to the server, and register with it.")

    package static let registrationKeyRefused = Rule(
        id: "registration-key-refused",
        sentence: "A registration key is good for five days, for the vault that issued it, until it is revoked.",
        source: "site-recovery 1.2",
        hint: "Issue a new key in this vault and register with that.")

    package static let activeNodeFirst = Rule(
        id: "active-node-first",
        sentence: "A server on several nodes is registered once, on its active node; the others join it after that.",
        source: "site-recovery 2.4 rule 4",
        hint: "Register the active node first, then join the others under the server's name.")

    package static let oneVersionOnAllNodes = Rule(
        id: "one-version-on-all-nodes",
        sentence: "All nodes of a server run the same version.",
        source: "site-recovery 2.4 rule 4",
        hint: "Bring this node to the active node's version and join it then.")

    package static let clusterRoleName = Rule(
        id: "cluster-role-name",
        sentence: "A server on several nodes goes by the name of its cluster role.",
        source: "site-recovery 1.3",
        hint: "Register it under the role's name, so that the name stays when another node becomes active.")

    package static let versionNotUsable = Rule(
        id: "version-not-usable",
        sentence: "A server registers and works only with a version that this vault's program works with.",
        source: "site-recovery 1.3",
        hint: "Install the version of Perilune that has the vault open.")

    package static let goalOfTheVault = Rule(
        id: "goal-of-the-vault",
        sentence: "The clouds of a pair are on as many servers as the vault's goal says.",
        source: "site-recovery 1.1",
        hint: "Pair other clouds, or change the vault's goal with vault:settings.")

    package static let cloudNeedsAHost = Rule(
        id: "cloud-needs-a-host",
        sentence: "A cloud is paired only when it has a host, and keeps one as long as it is paired.",
        source: "site-recovery 1.4",
        hint: "Give the cloud a host or a host cluster; one that is to be emptied is taken out of its pair first.")

    package static let hostInOneCloud = Rule(
        id: "host-in-one-cloud",
        sentence: "A host is in one cloud at most.",
        source: "site-recovery 1.4",
        hint: "Take the host out of the other cloud first: name the hosts that that one keeps.")

    package static let hostHoldsVMs = Rule(
        id: "host-holds-vms",
        sentence:
            "A host leaves a cloud only when no replicated VM of the cloud's pair runs there or has its points there.",
        source: "site-recovery 2.4 rule 10",
        hint: "Unprotect the VM that the message names first, or leave its host in the cloud.")

    package static let clusterNeedsOneName = Rule(
        id: "host-in-one-cluster",
        sentence: "A host is in one cluster at most.",
        source: "site-recovery 1.5",
        hint: "Take the host out of the other cluster first.")

    package static let targetNetworkNotAssociated = Rule(
        id: "target-network-not-associated",
        sentence: "A network is a target only for clouds that its logical network is associated with.",
        source: "site-recovery 1.8",
        hint: "Associate the logical network with the cloud, or map to another network.")

    package static let unprotectBeforeUnpairing = Rule(
        id: "unprotect-before-unpairing",
        sentence: "A pair is taken apart only when none of its VMs is protected.",
        source: "site-recovery 1.4",
        hint: "Unprotect the VMs that the message names, then take the pair apart.")

    package static let unpairBeforePairingAnew = Rule(
        id: "unpair-before-pairing-anew",
        sentence: "The other cloud of a pair is not exchanged: the pair is taken apart and made anew.",
        source: "site-recovery 1.4",
        hint: "Take the pair apart with cloud:unpair, then pair the cloud with the other one.")

    package static let stillInUse = Rule(
        id: "still-in-use",
        sentence: "What something else refers to is not removed.",
        source: "site-recovery 2.4 rule 10",
        hint: "Remove what the message names first.")

    package static let unregisterInOrder = Rule(
        id: "unregister-in-order",
        sentence:
            "A server is unregistered when its VMs are unprotected, its mappings removed and its clouds taken out of "
            + "their pairs.",
        source: "site-recovery 2.4 rule 10",
        hint: "Do what the message names, in that order, and unregister the server then.")

    package static let vaultNotEmpty = Rule(
        id: "vault-not-empty",
        sentence: "A vault is deleted only when it has no server, no host and no replicated VM.",
        source: "site-recovery 1.1",
        hint: "Unregister its servers and remove its hosts first, then give perilune vault delete again.")
}
