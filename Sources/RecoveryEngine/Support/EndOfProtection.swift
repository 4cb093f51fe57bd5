import Hypervisors

extension Hypervisor {
    /// Takes all of replication out of a VM, which is its host's again and starts with it if it is to.
    ///
    /// The host's record is gone by then: with one, the VM must not start by itself. A VM that carries another relationship's
    /// mark is replicated by that one, and left as it is.
    func endProtection(of uuid: String, relationship: String, startsWithHost: Bool) async throws {
        if let mark = try await ownership(uuid: uuid), mark.relationship != relationship { return }
        try await endBackup(uuid: uuid)
        try await discardCheckpoints(uuid: uuid, keeping: nil)
        try await removeOwnership(uuid: uuid)
        if startsWithHost { try await setAutostart(uuid: uuid, true) }
    }
}
