import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

/// The agent at one host of the world, as one engine sees it.
struct FakeAgent: Agent {
    let world: FakeWorld
    let host: String
    let fuse: Fuse

    func look<Result>(_ body: (FakeHost) throws -> Result) throws -> Result {
        try fuse.checkAlive()
        return try world.state.withLock { try body($0.agentHost(host)) }
    }

    func act<Result>(
        _ name: String, _ relationship: String, _ body: (inout FakeStore, inout WorldState) throws -> Result
    ) async throws -> Result {
        try await fuse.effect("\(host).\(name)") {
            try world.change { state in
                var store = try state.agentHost(host).stores[relationship] ?? FakeStore()
                let result = try body(&store, &state)
                state.hosts[host]?.stores[relationship] = store
                return result
            }
        }
    }

    func status() async throws -> AgentStatus {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let host = try state.answeringHost(self.host)
            return AgentStatus(
                site: self.host, version: "1", processID: 1, store: "/store",
                freeBytes: UInt64(host.freeBlocks) * blockSize)
        }
    }

    // MARK: Ownership

    func recordOwnership(_ record: OwnershipRecord) async throws {
        try await act("record-ownership", record.relationship) { store, state in
            if state.hosts[host]?.damagedRecords.contains(record.relationship) == true {
                throw ReplicationError(.damaged, "the record cannot be read", hint: "remove it")
            }
            if let vault = record.vault {
                try state.hosts[host]?.vaults[vault.id]?.admit(vault)
                state.hosts[host]?.vaults[vault.id] = vault
            }
            if let present = store.ownership {
                guard record.epoch > present.epoch || (record.epoch == present.epoch && record.owner == present.owner)
                else {
                    throw ReplicationError(.staleEpoch, "epoch \(record.epoch) is over", hint: "look at the vault")
                }
            }
            store.ownership = record
            state.hosts[host]?.unconfirmed.remove(record.relationship)
        }
    }

    func ownership(relationship: String) async throws -> OwnershipRecord? {
        try look { $0.stores[relationship]?.ownership }
    }

    func standings() async throws -> [OwnershipStanding] {
        try look { host in
            host.stores.sorted { $0.key < $1.key }.compactMap { relationship, store in
                if host.damagedRecords.contains(relationship) {
                    return OwnershipStanding(
                        fault: UnreadableRecord(
                            relationship: relationship, message: "the record cannot be read", hint: "remove it"))
                }
                return store.ownership.map {
                    OwnershipStanding(record: $0, isConfirmed: !host.unconfirmed.contains(relationship))
                }
            }
        }
    }

    func forgetOwnership(relationship: String) async throws {
        try await act("forget-ownership", relationship) { store, _ in (store.ownership, store.growing) = (nil, nil) }
    }
}

extension WorldState {
    func agentHost(_ id: String) throws -> FakeHost {
        let host = try answeringHost(id)
        if host.ailments.contains(.agentCallsHang) {
            throw ReplicationError(.timedOut, "the agent of \(id) does not come to an end", hint: "look at its disk")
        }
        return host
    }

    fileprivate func answeringHost(_ id: String) throws -> FakeHost {
        guard let host = hosts[id], host.isReachable else {
            throw ReplicationError(.disconnected, "the agent of \(id) does not answer", hint: "start it")
        }
        if host.ailments.contains(.agentHangs) {
            throw ReplicationError(.timedOut, "the agent of \(id) does not come to an end", hint: "look at its disk")
        }
        return host
    }
}
