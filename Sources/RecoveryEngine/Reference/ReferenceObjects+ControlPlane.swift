import SiteModel

// Sections 1.1 to 1.4 of the collected facts: vault, key, server, cloud.

extension ReferenceObjects {
    static let controlPlane: [ReferenceObject] = [
        ReferenceObject(
            "1.1", "Vault",
            here:
                "One SQLite file on the machine where the engine runs, shipped to a second place if one is named; any number of processes share it.",
            [
                ReferencePart(
                    "name", lua: ["vault:settings{name}", "vault_settings.name"], model: ["VaultRecord.name"],
                    "`\(VaultRecord.defaultName)` until it is given one."),
                ReferencePart(
                    "protection goal: one server or two", lua: ["vault:settings{goal}", "vault_settings.goal"],
                    model: ["VaultRecord.goal"],
                    "\(words(ProtectionGoal.allCases.map(\.rawValue))); `any` by default. Pairs that do not fit are refused: rule `goal-of-the-vault`."
                ),
                ReferencePart(
                    "one vault, many servers", lua: ["vault:server", "vault:servers"], model: ["Server.name"],
                    "No limit of its own; see [limits](#limits-that-are-lifted)."),
                ReferencePart(
                    "health of the vault: errors and counts", lua: ["vault:health", "vault_health.critical"],
                    "The worst of all its VMs, with counts; also as Prometheus text."),
                ReferencePart(
                    "only metadata reaches the service",
                    "The same by construction: disks go from agent to agent, and no service is there."),
                ReferencePart(
                    "deleted only when it is empty",
                    "`perilune vault delete`, a command alone: the vault holds the journal of every script that could ask for it. Rule `vault-not-empty`."
                ),
                ReferencePart(
                    "subscription, resource group, region",
                    "No meaning here: nobody rents the vault out. Where it lies is the operator's choice."),
            ]),
        ReferenceObject(
            "1.2", "Registration key",
            here:
                "A file that only its owner may read. Asked for only where the vault says so: who may write the vault could write a server into it anyway.",
            [
                ReferencePart(
                    "issued by one vault, for it alone", lua: ["vault:registration_key", "vault:registration_keys"],
                    model: ["RegistrationKey.vault", "RegistrationKey.hash"],
                    "The vault keeps the SHA-256 of its secret, never the secret."),
                ReferencePart(
                    "valid for five days", lua: ["registration_key.expires", "registration_key.state"],
                    model: ["RegistrationKey.lifetime", "RegistrationKey.expiresAt"],
                    "\(Int(RegistrationKey.lifetime / 86_400)) days, for any number of servers."),
                ReferencePart(
                    "not revocable", lua: ["vault:revoke_key"], model: ["RegistrationKey.revokedAt"],
                    "More: it can be revoked; servers that came with it stay."),
                ReferencePart(
                    "always needed", lua: ["vault:settings{requires_key}", "vault:server{key}"],
                    model: ["VaultRecord.requiresKey"], "Off by default: rule `registration-key-needed`."),
            ]),
        ReferenceObject(
            "1.3", "Management server with its provider",
            here:
                "A name in the vault under which clouds, networks and storage classes are kept. No plug-in runs in it: the engine does its work.",
            [
                ReferencePart(
                    "friendly name", lua: ["server.name", "vault:server{name}"], model: ["Server.name"],
                    "Unique. Of a server on several nodes it is the name of the cluster role: rule `cluster-role-name`."
                ),
                ReferencePart(
                    "provider version and its status", lua: ["server.version", "server.version_status"],
                    model: ["Server.version", "VersionStatus.updateRequired"],
                    "\(words(VersionStatus.allCases.map(\.rawValue))). Told by the server; rule `version-not-usable`."),
                ReferencePart(
                    "date on which a version expires", "Left out: versions here do not expire by themselves."),
                ReferencePart(
                    "last heartbeat, connection status",
                    lua: ["server.last_heartbeat", "server.connection", "server:heartbeat"],
                    model: ["Server.lastHeartbeat", "Server.heartbeatLimit", "ConnectionStatus.disconnected"],
                    "Disconnected after \(Int(Server.heartbeatLimit / 60)) minutes without one."),
                ReferencePart(
                    "nodes of a clustered server, one version on all",
                    lua: ["server.nodes", "server.role", "server:join"],
                    model: ["Server.nodes", "Server.role"],
                    "The active node registers first: rules `active-node-first`, `one-version-on-all-nodes`."),
                ReferencePart(
                    "the machine that it runs on", lua: ["server.vm", "vault:server{vm}"],
                    model: ["Server.managementVM"],
                    "The VM's name, where it runs in one: that VM is replicated by the hosts alone."),
                ReferencePart(
                    "clouds synchronized with the service, all or each",
                    "Left out: the vault is where clouds are made, so there is nothing to synchronize."),
                ReferencePart(
                    "proxy, and its credentials",
                    "Left out for registering, which leaves the machine for nowhere. Endpoint checks know proxies: `perilune doctor --endpoints`."
                ),
                ReferencePart(
                    "set-up stops the service", "Left out: nothing is installed into the server."),
                ReferencePart(
                    "encryption certificate for data at rest", "Without meaning for a second site in the original too."),
                ReferencePart(
                    "count of protected items, health errors", lua: ["server:check", "vault:health"],
                    "Asked when wanted, instead of kept."),
                ReferencePart(
                    "taken out in an order", lua: ["server:unregister", "server:unregistration_steps"],
                    "Rule `unregister-in-order` names what is left."),
            ]),
        ReferenceObject(
            "1.4", "Cloud and pairing of clouds",
            here: "A named group of hosts on one server. A pair joins two, of one server or of two, under a policy.",
            [
                ReferencePart(
                    "name, server", lua: ["cloud.name", "server:cloud"], model: ["Cloud.name", "Cloud.server"],
                    "Unique on its server."),
                ReferencePart(
                    "host groups in it, one at least", lua: ["cloud.hosts", "cloud.clusters"],
                    model: ["Cloud.hosts", "Cloud.clusters"],
                    "Hosts and clusters by themselves, in order of preference; pairing needs one: rule `cloud-needs-a-host`."
                ),
                ReferencePart(
                    "capability profile",
                    "Left out: there is one kind of hypervisor. `host:check` says what a host can do."),
                ReferencePart(
                    "pairing: source, target, policy", lua: ["cloud:pair", "cloud.paired_with", "cloud.policy"],
                    model: ["CloudPair.primary", "CloudPair.recovery", "CloudPair.policy"],
                    "One pair for a cloud, as either side: rule `one-pair-per-cloud`."),
                ReferencePart(
                    "state and health of the pairing", lua: ["cloud.pairing", "cloud.unready"],
                    model: ["CloudPair.state", "CloudPair.unready", "PairingState.incomplete"],
                    "`incomplete` while a host does not answer; those are named."),
                ReferencePart(
                    "a new target means unpairing first", lua: ["cloud:unpair"],
                    "Rules `unpair-before-pairing-anew`, `unprotect-before-unpairing`."),
                ReferencePart(
                    "pairing configures every host", lua: ["cloud:pair"],
                    "Hosts are asked, and need no configuration: an agent runs there already."),
                ReferencePart(
                    "one host version for a policy",
                    "No meaning here. `qemu-alike` warns of a target that is older than a source."),
            ]),
    ]

    static func words(_ words: [String]) -> String { words.map { "`\($0)`" }.joined(separator: ", ") }
}
