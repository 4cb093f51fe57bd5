import BlockReplication
package import SiteModel
import VaultStore

/// The vault's own settings, registration keys, and the servers that register.
extension RecoveryEngine {
    /// Which versions of servers work with this program.
    package static let versionSupport = VersionSupport(
        current: Version(AgentService.version) ?? Version(0, 0, 0))

    // MARK: The vault

    /// The vault's record of itself; nil when it never made one.
    package func vaultRecord() async throws -> VaultRecord? {
        try await vault.read { try $0.objects(VaultRecord.self).first?.value }
    }

    /// Gives the vault a name or a goal, or says whether it asks for keys; what is nil stays.
    @discardableResult
    package func ensureVault(
        name: String? = nil, goal: ProtectionGoal? = nil, requiresKey: Bool? = nil
    ) async throws -> VaultRecord {
        let (id, now) = (dependencies.identifiers.next(), dependencies.clock.now)
        return try await vault.write { vault in
            let present = try vault.objects(VaultRecord.self).first
            var wanted = present?.value ?? VaultRecord(id: id, createdAt: now)
            wanted.name = name ?? wanted.name
            wanted.goal = goal ?? wanted.goal
            wanted.requiresKey = requiresKey ?? wanted.requiresKey
            try Self.check(wanted, "vault '\(wanted.name)'")
            if wanted.goal != present?.value.goal { try Self.checkGoal(wanted.goal, vault) }
            guard var present else { return try vault.insert(wanted).value }
            guard wanted != present.value else { return wanted }
            present.value = wanted
            return try vault.update(present).value
        }
    }

    private static func checkGoal(_ goal: ProtectionGoal, _ vault: any VaultReader) throws {
        for pair in try vault.objects(CloudPair.self).map(\.value) {
            guard let primary = try vault.object(Cloud.self, id: pair.primary)?.value,
                let recovery = try vault.object(Cloud.self, id: pair.recovery)?.value,
                let refusal = Guards.checkPairing(primary, with: recovery, existing: [], goal: goal)
            else { continue }
            // A cloud that has lost its hosts since is no matter of the goal.
            if refusal.rule == RuleBook.goalOfTheVault { throw refused(refusal) }
        }
    }

    // MARK: Keys

    /// Issues a registration key, good for five days, and writes its file (rights 0600, never over another file).
    @discardableResult
    package func issueKey(to path: String) async throws -> RegistrationKey {
        try Self.check([FieldCheck.path(path, "file")].compactMap { $0 }, "registration key")
        let record = try await ensureVault()
        let secret = dependencies.randomBytes(32).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        let key = RegistrationKey(
            id: dependencies.identifiers.next(), vault: record.id, hash: KeyFile.hash(of: secret),
            issuedAt: dependencies.clock.now)
        // First the file: a key without one could never be used, and never be told from one that is.
        try KeyFile(vault: record.id, key: key.id, secret: secret, expiresAt: key.expiresAt).write(to: path)
        let now = dependencies.clock.now
        try await vault.write { vault in
            try vault.insert(key)
            try vault.append(
                Event(
                    at: now, severity: .info, object: key.id, text: "registration key \(key.id) was issued",
                    code: "key-issued", topic: .setup))
        }
        return key
    }

    package func revokeKey(_ id: String) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard var key = try vault.object(RegistrationKey.self, id: id) else {
                let known = try vault.objects(RegistrationKey.self).map(\.value.id)
                throw EngineError(
                    .unknown, "the vault has no registration key \(FieldCheck.shown(id))",
                    hint: known.isEmpty ? "it has issued none" : "it has: \(known.joined(separator: ", "))")
            }
            guard key.value.revokedAt == nil else { return }
            key.value.revokedAt = now
            try vault.update(key)
            try vault.append(
                Event(
                    at: now, severity: .info, object: id, text: "registration key \(id) was revoked",
                    code: "key-revoked", topic: .setup))
        }
    }

    // MARK: Servers

    /// What a server says of itself when it registers; what is nil stays as it was.
    package struct Registration: Sendable {
        package var name: String
        package var managementVM: String?
        package var version: String?
        /// Name of its cluster role, for a server on several nodes, and the active node.
        package var role: String?
        package var node: String?
        /// Path of the file with its registration key.
        package var keyFile: String?

        package init(
            name: String, managementVM: String? = nil, version: String? = nil, role: String? = nil,
            node: String? = nil, keyFile: String? = nil
        ) {
            self.name = name
            self.managementVM = managementVM
            self.version = version
            self.role = role
            self.node = node
            self.keyFile = keyFile
        }
    }

    /// Registers a management server.
    ///
    /// `managementVM` names the VM that it runs in, if it runs in one.
    @discardableResult
    package func ensureServer(name: String, managementVM: String?) async throws -> Server {
        try await register(Registration(name: name, managementVM: managementVM))
    }

    /// Registers a server on its active node, or brings what is known of it up to date.
    @discardableResult
    package func register(_ registration: Registration) async throws -> Server {
        let shown = try registration.keyFile.map(KeyFile.read)
        let (id, now) = (dependencies.identifiers.next(), dependencies.clock.now)
        return try await vault.write { vault in
            let present = try vault.object(Server.self, named: registration.name, parent: nil)
            let wanted = try Self.server(registration, present: present?.value, id: id, key: shown?.key, now: now)
            try Self.check(wanted, "server '\(wanted.name)'")
            let record = try vault.objects(VaultRecord.self).first?.value
            let key = try shown.flatMap { try vault.object(RegistrationKey.self, id: $0.key) }
            if let refusal = Guards.checkRegistration(
                of: wanted, present: present?.value, vault: record, hasKey: shown != nil,
                keyProblem: shown.flatMap { Self.problem($0, key?.value, record, now) }, support: Self.versionSupport)
            {
                throw Self.refused(refusal)
            }
            if var key, !key.value.usedBy.contains(wanted.name) {
                key.value.usedBy.append(wanted.name)
                try vault.update(key)
            }
            guard var present else { return try vault.insert(wanted).value }
            guard wanted != present.value else { return wanted }
            present.value = wanted
            return try vault.update(present).value
        }
    }

    private static func server(
        _ registration: Registration, present: Server?, id: String, key: String?, now: Timestamp
    ) throws -> Server {
        var server =
            present ?? Server(id: id, name: registration.name, managementVM: nil, registeredAt: now, key: key)
        server.managementVM = registration.managementVM ?? server.managementVM
        server.version = registration.version ?? server.version
        server.role = registration.role ?? server.role
        if present != nil, let key { server.key = key }
        guard let name = registration.node else { return server }
        guard let version = server.version else {
            throw EngineError(
                .invalid, "server '\(server.name)': node '\(name)' registers without a version",
                hint: "give version = \"\(versionSupport.current)\"", object: server.name)
        }
        var nodes = server.nodes ?? []
        if let active = nodes.first(where: \.active), active.name != name {
            // The role moved: the node that registers is the active one now.
            for index in nodes.indices { nodes[index].active = nodes[index].name == name }
        }
        if let index = nodes.firstIndex(where: { $0.name == name }) {
            nodes[index].version = version
            nodes[index].active = true
        } else {
            nodes.insert(ServerNode(name: name, version: version, active: true, joinedAt: now), at: 0)
        }
        server.nodes = nodes.filter(\.active) + nodes.filter { !$0.active }
        return server
    }

    private static func problem(
        _ shown: KeyFile, _ key: RegistrationKey?, _ vault: VaultRecord?, _ now: Timestamp
    ) -> RegistrationKeyProblem? {
        guard shown.vault == vault?.id else { return .otherVault }
        guard let key, key.hash == KeyFile.hash(of: shown.secret) else { return .unknown }
        return key.problem(at: now)
    }

    /// Takes a passive node into a server that is registered; again after it was updated.
    @discardableResult
    package func join(node name: String, version: String, to server: String) async throws -> Server {
        let now = dependencies.clock.now
        return try await vault.write { vault in
            let present = try vault.object(Server.self, named: server, parent: nil)
            let node = ServerNode(name: name, version: version, active: false, joinedAt: now)
            if let refusal = Guards.checkJoin(
                of: node, to: present?.value, named: server, support: Self.versionSupport)
            {
                throw Self.refused(refusal)
            }
            guard var present, var nodes = present.value.nodes else {
                throw Self.refused(RuleBook.activeNodeFirst, server)
            }
            if let index = nodes.firstIndex(where: { $0.name == name }) {
                guard !nodes[index].active else {
                    throw EngineError(
                        .invalid, "server '\(server)': '\(name)' is its active node",
                        hint: "register it with vault:server", object: server)
                }
                nodes[index].version = version
            } else {
                nodes.append(node)
            }
            present.value.nodes = nodes
            try Self.check(present.value, "server '\(server)'")
            return try vault.update(present).value
        }
    }

    /// Notes a sign of life of a server, and of the node that gives it.
    @discardableResult
    package func heartbeat(of server: String, node: String? = nil) async throws -> Server {
        let now = dependencies.clock.now
        return try await vault.write { vault in
            guard var present = try vault.object(Server.self, named: server, parent: nil) else {
                throw EngineError(.unknown, "the vault has no server '\(server)'", hint: "register it first")
            }
            if let node {
                guard let index = present.value.nodes?.firstIndex(where: { $0.name == node }) else {
                    throw EngineError(
                        .unknown, "server '\(server)' has no node '\(node)'", hint: "let it join first", object: server)
                }
                present.value.nodes?[index].lastHeartbeat = now
            }
            present.value.lastHeartbeat = now
            return try vault.update(present).value
        }
    }
}
