import Foundation
import SiteModel

/// The agent at one host, on a folder of its own: what `AgentServer` serves and tests call directly.
package final class AgentService: Agent {
    /// What changes with releases; shown by `status`.
    package static let version = "0.1.0"
    /// Extents in one answer; a longer list is made shorter by joining near neighbours.
    static let extentLimit = 30_000

    let site: String
    let store: String
    let stores: PointStores
    let records: OwnershipRecords
    let vaults: KeptVaults
    let incoming: IncomingPoints
    /// One change at a time to each relationship.
    let gate = Gate()
    let limits: AgentLimits
    /// Where senders reach this host's data listener.
    let dataAddress: String
    let security: DataSecurity
    /// What all transfers from here share.
    let pace: SendingPace
    let storeID: String
    /// Looks at the hook by which libvirt asks before it starts a VM; nil where nobody has said how.
    let startHook: (@Sendable () -> StartHookFacts)?

    /// Makes the service; `address` is where senders reach this host's data listener.
    ///
    /// `runtime` is a folder that a reboot empties: what lies there is known since the boot. Without one it lies in the
    /// store, and a reboot is not noticed. `startHook` is asked at each check: what stands in the hook is its installer's to
    /// know.
    package init(
        site: String, store: String, runtime: String? = nil, address: String, security: DataSecurity = .local,
        limits: AgentLimits = AgentLimits(), startHook: (@Sendable () -> StartHookFacts)? = nil
    ) throws {
        guard store.hasPrefix("/") else {
            throw ReplicationError(
                .invalidArgument, "the store \(store) is no absolute path", hint: "give the folder's whole path")
        }
        self.site = site
        self.store = store
        self.startHook = startHook
        dataAddress = address
        self.security = security
        pace = SendingPace(limits.sending)
        self.limits = limits
        // QEMU, which may run under a user of its own, passes through these to the images that it is given.
        try makeFolder(store, rights: 0o711)
        try makeFolder(store + "/points", rights: 0o711)
        try ExportFolders.make(in: store)
        storeID = try StoreIdentity.ensure(in: store)
        records = try OwnershipRecords(store: store, runtime: runtime)
        vaults = try KeptVaults(store: store)
        stores = PointStores(root: store + "/points")
        // A point that failed holds space and a name: both are given back at once, off the connection's thread.
        incoming = IncomingPoints(limits, security) { point in
            Task { await Self.throwAway(point) }
        }
    }

    package func status() async throws -> AgentStatus {
        var space = statvfs()
        guard statvfs(store, &space) == 0 else {
            throw ReplicationError.system("asking for the free space of the store", path: store, errno: errno)
        }
        return AgentStatus(
            site: site, version: Self.version, processID: getpid(), store: store,
            freeBytes: UInt64(space.f_bavail) * UInt64(space.f_frsize))
    }

    package func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        let interrupt = try Interrupt()
        return try await onThread("agent-probe", interrupt: interrupt) {
            try HTTPGet.run(request, interrupt: interrupt)
        }
    }

    /// Ends all transfers that come in, and throws away what came.
    package func stop() async {
        for point in incoming.all {
            await Self.end(point, ReplicationError.agentStopping)
        }
        await stores.closeAll()
    }

    // MARK: Ownership

    package func recordOwnership(_ record: OwnershipRecord) async throws {
        if let vault = record.vault { try await attend(vault) }
        try await gate.pass(record.relationship) {
            try await changing { [records] in try records.write(record) }
            if let store = try await stores.existing(record.relationship), await store.manifest.epoch <= record.epoch {
                try await store.claim(owner: record.owner, epoch: record.epoch)
            }
        }
    }

    package func ownership(relationship: String) async throws -> OwnershipRecord? {
        try records.read(relationship)
    }

    package func standings() async throws -> [OwnershipStanding] { try records.standings() }

    package func forgetOwnership(relationship: String) async throws {
        try await gate.pass(relationship) {
            try await dropGrowing(relationship)
            // First, for who finds the one without the other: points that nobody may start a VM from, and a record that is over.
            if let store = try await stores.existing(relationship) {
                try await store.release(at: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
            }
            try await changing { [records] in try records.remove(relationship) }
        }
    }

    /// Changes the host's records on a thread of its own: another process may hold their lock for seconds.
    func changing(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await onThread("agent-records", body)
    }

    // MARK: The vault

    package func attend(_ vault: VaultStanding) async throws {
        try await changing { [vaults] in try vaults.attend(vault) }
    }

    package func keepVault(_ part: VaultPart) async throws {
        try await changing { [vaults] in try vaults.keep(part) }
    }

    // MARK: Incoming points

    /// Stops whatever receives the point and throws away what came.
    static func end(_ point: IncomingPoint, _ reason: ReplicationError) async {
        // The thread waits for connections to end, which the interrupt makes short.
        try? await onThread("agent-stop") { point.stop(reason) }
        try? await point.draft.abandon()
    }

    /// After a failure: the first one stays the reason that sealing is refused with.
    private static func throwAway(_ point: IncomingPoint) async {
        await end(point, ReplicationError.givenUp)
    }

    /// The ticket of a point, for the sender.
    func ticket(_ point: IncomingPoint) -> PointTicket {
        PointTicket(
            relationship: point.relationship, generation: point.generation, token: Hexadecimal.encode(point.token),
            address: dataAddress, isEncrypted: security.isEncrypted)
    }
}

extension ReplicationError {
    /// The agent is being ended in good order.
    static var agentStopping: ReplicationError {
        ReplicationError(
            .disconnected, "the agent is being stopped", hint: "start it again and begin the cycle again")
    }
}
