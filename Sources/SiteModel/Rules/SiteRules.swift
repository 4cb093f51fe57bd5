// What may be registered, joined, mapped and removed: pure answers from the vault's objects.

extension SetupRefusal {
    init(_ rule: Rule, _ object: String, _ detail: String? = nil) {
        self.init(rule: rule, object: object, detail: detail)
    }
}

extension Guards {
    // MARK: Servers

    /// The refusal to register a server, or nil when it may.
    ///
    /// `present` is the server of that name that the vault has; `keyProblem` what is wrong with the key that was shown.
    package static func checkRegistration(
        of server: Server, present: Server?, vault: VaultRecord?, hasKey: Bool,
        keyProblem: RegistrationKeyProblem?, support: VersionSupport
    ) -> SetupRefusal? {
        if let keyProblem {
            return SetupRefusal(RuleBook.registrationKeyRefused, server.name, keyProblem.sentence)
        }
        if present == nil, vault?.requiresKey == true, !hasKey {
            return SetupRefusal(RuleBook.registrationKeyNeeded, server.name)
        }
        if server.nodes.map({ !$0.isEmpty }) ?? false, server.role.map({ $0 != server.name }) ?? true {
            return SetupRefusal(
                RuleBook.clusterRoleName, server.name,
                server.role.map { "its role is \($0)" } ?? "it has nodes and names no role")
        }
        return server.version.flatMap { checkVersion($0, of: server.name, support) }
    }

    /// The refusal to take a node in, or nil when it may join; a node that is there already joins again after an update.
    package static func checkJoin(
        of node: ServerNode, to server: Server?, named name: String, support: VersionSupport
    ) -> SetupRefusal? {
        guard let server, let active = server.nodes?.first(where: \.active) else {
            return SetupRefusal(
                RuleBook.activeNodeFirst, name,
                server == nil ? "no server of that name is registered" : "the server is registered without nodes")
        }
        if node.active, node.name != active.name {
            return SetupRefusal(RuleBook.activeNodeFirst, name, "its active node is \(active.name)")
        }
        if !node.active, node.version != active.version {
            return SetupRefusal(
                RuleBook.oneVersionOnAllNodes, name,
                "\(node.name) has \(node.version), \(active.name) has \(active.version)")
        }
        return checkVersion(node.version, of: name, support)
    }

    private static func checkVersion(_ text: String, of name: String, _ support: VersionSupport) -> SetupRefusal? {
        let status = support.status(of: text)
        guard !status.isUsable else { return nil }
        return SetupRefusal(
            RuleBook.versionNotUsable, name, "it has \(text) (\(status.rawValue)), the vault \(support.current)")
    }

    // MARK: Clouds and clusters

    /// The refusal of a pair for what the clouds are, beside the rules of `checkPair`.
    package static func checkPairing(
        _ primary: Cloud, with recovery: Cloud, existing: [CloudPair], goal: ProtectionGoal
    ) -> SetupRefusal? {
        for cloud in [primary, recovery] where cloud.hosts.isEmpty && (cloud.clusters ?? []).isEmpty {
            return SetupRefusal(RuleBook.cloudNeedsAHost, cloud.name)
        }
        if existing.contains(where: { $0.primary == primary.id && !$0.joins(recovery.id) }) {
            return SetupRefusal(RuleBook.unpairBeforePairingAnew, primary.name)
        }
        let servers = primary.server == recovery.server ? ProtectionGoal.oneServer : .twoServers
        guard goal == .anyServers || goal == servers else {
            return SetupRefusal(RuleBook.goalOfTheVault, primary.name, "the goal is \(goal.rawValue)")
        }
        return nil
    }

    /// The refusal of what a cloud's hosts are to be, or nil when it may have them.
    ///
    /// `clouds` and `clusters` are the vault's as they are to be, `before` the hosts that the cloud had; `replicated` are
    /// the relationships of its pair that are not unprotected.
    package static func checkHosts(
        of cloud: Cloud, among clouds: [Cloud], clusters: [HostCluster], isPaired: Bool, before: [String],
        replicated: [Relationship], hostName: (String) -> String
    ) -> SetupRefusal? {
        let hosts = Set(cloud.allHosts(in: clusters))
        for other in clouds where other.id != cloud.id {
            if let host = other.allHosts(in: clusters).first(where: hosts.contains) {
                return SetupRefusal(
                    RuleBook.hostInOneCloud, cloud.name, "host \(hostName(host)) is in cloud \(other.name)")
            }
        }
        if isPaired, hosts.isEmpty { return SetupRefusal(RuleBook.cloudNeedsAHost, cloud.name, "it is paired") }
        for host in before where !hosts.contains(host) {
            let held = replicated.filter { [$0.source, $0.target].contains(host) }.map(\.name)
            guard !held.isEmpty else { continue }
            return SetupRefusal(
                RuleBook.hostHoldsVMs, cloud.name,
                "host \(hostName(host)) still holds VM \(listed(held.sorted()))")
        }
        return nil
    }

    /// The refusal to take a pair apart, or nil when it may be; `items` are those of its VMs that are protected.
    package static func checkUnpairing(_ pair: CloudPair, protected items: [String]) -> SetupRefusal? {
        guard !items.isEmpty else { return nil }
        return SetupRefusal(RuleBook.unprotectBeforeUnpairing, pair.name, "protected: \(listed(items))")
    }

    /// The refusal of a cluster whose host is in another one, or nil.
    package static func checkCluster(
        _ cluster: HostCluster, others: [HostCluster], hostName: (String) -> String
    ) -> SetupRefusal? {
        for other in others where other.id != cluster.id {
            if let host = cluster.hosts.first(where: other.hosts.contains) {
                return SetupRefusal(
                    RuleBook.clusterNeedsOneName, cluster.name, "\(hostName(host)) is in cluster \(other.name)")
            }
        }
        return nil
    }

    // MARK: Networks

    /// The refusal of a target network, or nil; `logical` is nil for a network that the vault knows nothing of.
    package static func checkTarget(
        network: String, of cloud: Cloud, logical: LogicalNetwork?
    ) -> SetupRefusal? {
        guard let logical, !logical.clouds.contains(cloud.id) else { return nil }
        return SetupRefusal(
            RuleBook.targetNetworkNotAssociated, network,
            "logical network \(logical.name) is not associated with cloud \(cloud.name)")
    }

    // MARK: Taking away

    /// The refusal to remove something, or nil when nothing refers to it; `users` are words for what does.
    package static func checkRemoval(of name: String, users: [String]) -> SetupRefusal? {
        users.isEmpty ? nil : SetupRefusal(RuleBook.stillInUse, name, "used by \(listed(users))")
    }

    /// The refusal to unregister a server, or nil when nothing is left to do before; `left` is in the order to do it in.
    package static func checkUnregistration(of server: String, left: [String]) -> SetupRefusal? {
        left.isEmpty ? nil : SetupRefusal(RuleBook.unregisterInOrder, server, "left: \(listed(left))")
    }

    package static func checkVaultDeletion(of vault: String, left: [String]) -> SetupRefusal? {
        left.isEmpty ? nil : SetupRefusal(RuleBook.vaultNotEmpty, vault, "it has \(listed(left))")
    }

    /// A few of many, so that a message stays one.
    private static func listed(_ words: [String]) -> String {
        let most = 8
        guard words.count > most else { return words.joined(separator: ", ") }
        return words.prefix(most).joined(separator: ", ") + " and \(words.count - most) more"
    }
}
