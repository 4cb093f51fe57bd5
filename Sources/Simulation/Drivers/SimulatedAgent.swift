package import BlockReplication
internal import Hypervisors
package import SiteModel

/// The agent at one host of a world, with the points below its store.
package struct SimulatedAgent: Agent {
    let world: World
    let host: String
    /// The engine that asks; nil for a caller that does not die.
    var life: EngineLife?

    package init(world: World, host: String, life: EngineLife? = nil) {
        self.world = world
        self.host = host
        self.life = life
    }

    func act<Result: Sendable>(
        _ name: String, _ relationship: String, seconds: Double? = nil,
        _ body: (inout WorldState, Timestamp) throws -> Result
    ) async throws -> Result {
        try await world.call(
            .agent, name, at: host, about: relationship, seconds: seconds ?? world.look { $0.speeds(host).look },
            by: life,
            body)
    }

    /// Changes a relationship's store, which must be there.
    func actOnStore<Result: Sendable>(
        _ name: String, _ relationship: String,
        _ body: (inout SimulatedStore, inout WorldState, Timestamp) throws -> Result
    ) async throws -> Result {
        try await act(name, relationship) { state, now in
            guard var store = state.hosts[host]?.stores[relationship] else { throw noStore(relationship) }
            state.hosts[host]?.stores[relationship] = nil
            defer { state.hosts[host]?.stores[relationship] = store }
            return try body(&store, &state, now)
        }
    }

    func noStore(_ relationship: String) -> ReplicationError {
        ReplicationError(
            .notFound, "\(host) keeps nothing of relationship \(relationship)",
            hint: "make a first copy, or look at the other host")
    }

    func noPoint(_ generation: String) -> ReplicationError {
        ReplicationError(
            .notFound, "there is no recovery point \(generation)", hint: "choose one of the points that are listed")
    }

    package func status() async throws -> AgentStatus {
        try await act("status", "") { state, _ in
            guard let host = state.hosts[host] else { throw noStore("") }
            return AgentStatus(
                site: host.site, version: "0.1.0", processID: 1, store: host.store, freeBytes: host.freeBytes)
        }
    }

    // MARK: Ownership

    package func recordOwnership(_ record: OwnershipRecord) async throws {
        try await act("record-ownership", record.relationship) { state, _ in
            if let vault = record.vault { try state.hosts[host]?.admit(vault) }
            if let present = state.hosts[host]?.ownership[record.relationship] {
                guard record.epoch > present.epoch || (record.epoch == present.epoch && record.owner == present.owner)
                else {
                    throw ReplicationError(
                        .staleEpoch,
                        "epoch \(record.epoch) of owner \(record.owner) is not valid here: the record names"
                            + " \(present.owner) at epoch \(present.epoch)",
                        hint: "another failover has happened: read the present owner from the vault and act on that")
                }
                guard record.vmUUID == present.vmUUID else {
                    throw ReplicationError(
                        .invalidArgument, "relationship \(record.relationship) belongs to another VM",
                        hint: "forget the relationship at this host before the name is used for another VM")
                }
            }
            state.hosts[host]?.ownership[record.relationship] = record
            // Whoever writes a record knows: it holds until the host's next boot.
            state.hosts[host]?.confirmed.insert(record.relationship)
            if let store = state.hosts[host]?.stores[record.relationship], store.epoch <= record.epoch {
                state.hosts[host]?.stores[record.relationship]?.epoch = record.epoch
                state.hosts[host]?.stores[record.relationship]?.owner = record.owner
            }
            state.checkAutostart(record.vmUUID, at: host)
        }
    }

    package func ownership(relationship: String) async throws -> OwnershipRecord? {
        try await act("ownership", relationship) { state, _ in state.hosts[host]?.ownership[relationship] }
    }

    // MARK: Looking at points

    package func points(relationship: String) async throws -> [PointSummary] {
        try await act("points", relationship) { state, _ in
            state.hosts[host]?.stores[relationship]?.points.map(\.summary) ?? []
        }
    }

    package func domainXML(relationship: String, generation: String) async throws -> String {
        try await act("domain-xml", relationship) { state, _ in
            guard let store = state.hosts[host]?.stores[relationship] else { throw noStore(relationship) }
            guard let point = store.point(generation) else { throw noPoint(generation) }
            return point.xml
        }
    }

    package func extentsNewer(relationship: String, than generation: String) async throws -> [String: [ByteRange]] {
        try await act("extents-newer", relationship) { state, _ in
            guard let store = state.hosts[host]?.stores[relationship] else { throw noStore(relationship) }
            let known =
                store.layers.map { ($0.generation, $0.summary.number, $0.extents) }
                + store.retired.map { ($0.generation, $0.number, $0.extents) }
            guard let number = known.first(where: { $0.0 == generation })?.1 else {
                throw ReplicationError(
                    .notFound, "nothing is known of generation \(generation)",
                    hint: "compare the disks by hash: what changed since then cannot be told from maps")
            }
            var newer: [String: Set<Int>] = [:]
            for disk in store.disks { newer[disk.target] = [] }
            for layer in known where layer.1 > number {
                for (target, granules) in layer.2 { newer[target, default: []].formUnion(granules) }
            }
            let sizes = Dictionary(uniqueKeysWithValues: store.disks.map { ($0.target, $0.size) })
            return newer.reduce(into: [:]) { $0[$1.key] = SimulatedFile.ranges($1.value, size: sizes[$1.key] ?? 0) }
        }
    }

    package func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? {
        try await act("changed-extents", image.path) { state, _ in
            guard let current = state.hosts[host], let file = current.files[image.path] else {
                throw ReplicationError(
                    .notFound, "\(image.path) does not exist at \(host)", hint: "restore the file, or name another")
            }
            guard !current.isWritten(image.path) else {
                throw ReplicationError(
                    .busy, "\(image.path) is open for writing", hint: "shut the VM down before its file is read")
            }
            return file.changes(since: bitmap).map { SimulatedFile.ranges($0, size: file.size) }
        }
    }

    // MARK: Guests

    /// The guest of this world answers as the lab's does: what it has written, and how much of that it found at boot.
    package func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        try await act("probe", request.host) { state, now in
            let none = ReplicationError(
                .timedOut, "no answer from \(request.host):\(request.port)",
                hint: "see that the guest runs and serves that port")
            guard let current = state.hosts[host] else { throw none }
            let peers = state.hosts.values.filter { $0.site == current.site && $0.isUp }.sorted { $0.name < $1.name }
            for peer in peers {
                let found = peer.domains.values.first { domain in
                    domain.guest.address == request.host && domain.power == .running
                        && domain.live?.nics.contains { $0.linkIsUp && $0.network != nil } == true
                }
                guard let found else { continue }
                let upSeconds = now.seconds(since: found.bootedAt)
                guard upSeconds >= found.guest.bootSeconds else { break }
                state.settle(found.uuid, at: peer.name, now)
                let written = state.mark(found.uuid, at: peer.name)
                let errors = state.hosts[peer.name]?.domains[found.uuid]?.writeErrors ?? 0
                let error = errors > 0 ? "\(errors) writes failed" : ""
                return HTTPProbeResult(
                    status: request.path == "/" ? 200 : 404,
                    body: """
                        {"host":"\(found.name)","records":\(written.writes),"boot_records":\(found.began?.writes ?? 0),\
                        "intact":\(errors == 0),"error":"\(error)","up_s":\(upSeconds)}
                        """)
            }
            throw none
        }
    }
}
