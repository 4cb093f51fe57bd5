import Hypervisors
import SiteModel

/// A hypervisor in the hands of one job's driver: looking is free, changing needs the lease.
struct LeasedHypervisor: Hypervisor {
    let wrapped: any Hypervisor
    let lease: JobLease

    func information() async throws -> HypervisorInformation {
        try await wrapped.information()
    }

    func networks() async throws -> [String] {
        try await wrapped.networks()
    }

    func networkDefinition(named name: String) async throws -> NetworkDefinition? {
        try await wrapped.networkDefinition(named: name)
    }

    func defineNetwork(_ definition: NetworkDefinition) async throws {
        try await lease.require()
        try await wrapped.defineNetwork(definition)
    }

    func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        try await lease.require()
        try await wrapped.removeNetwork(named: name, mark: mark)
    }

    func guestAddresses(uuid: String) async throws -> [String: [String]] {
        try await wrapped.guestAddresses(uuid: uuid)
    }

    func capabilities() async throws -> HypervisorCapabilities {
        try await wrapped.capabilities()
    }

    func readiness(uuid: String) async throws -> GuestReadiness {
        try await wrapped.readiness(uuid: uuid)
    }

    func domains() async throws -> [Domain] {
        try await wrapped.domains()
    }

    func domain(uuid: String) async throws -> Domain? {
        try await wrapped.domain(uuid: uuid)
    }

    func domain(named name: String) async throws -> Domain? {
        try await wrapped.domain(named: name)
    }

    func inactiveXML(uuid: String) async throws -> String {
        try await wrapped.inactiveXML(uuid: uuid)
    }

    func define(xml: String) async throws {
        try await lease.require()
        try await wrapped.define(xml: xml)
    }

    func undefine(uuid: String) async throws {
        try await lease.require()
        try await wrapped.undefine(uuid: uuid)
    }

    func setAutostart(uuid: String, _ on: Bool) async throws {
        try await lease.require()
        try await wrapped.setAutostart(uuid: uuid, on)
    }

    func setOwnership(uuid: String, _ ownership: Ownership) async throws {
        try await lease.require()
        try await wrapped.setOwnership(uuid: uuid, ownership)
    }

    func removeOwnership(uuid: String) async throws {
        try await lease.require()
        try await wrapped.removeOwnership(uuid: uuid)
    }

    func ownership(uuid: String) async throws -> Ownership? {
        try await wrapped.ownership(uuid: uuid)
    }

    func start(uuid: String, paused: Bool) async throws {
        try await lease.require()
        try await wrapped.start(uuid: uuid, paused: paused)
    }

    func resume(uuid: String) async throws {
        try await lease.require()
        try await wrapped.resume(uuid: uuid)
    }

    func suspend(uuid: String) async throws {
        try await lease.require()
        try await wrapped.suspend(uuid: uuid)
    }

    func shutDown(uuid: String, limit: Duration) async throws -> Bool {
        try await lease.require()
        return try await wrapped.shutDown(uuid: uuid, limit: limit)
    }

    func destroy(uuid: String) async throws {
        try await lease.require()
        try await wrapped.destroy(uuid: uuid)
    }

    func setLinks(uuid: String, up: Bool) async throws {
        try await lease.require()
        try await wrapped.setLinks(uuid: uuid, up: up)
    }

    func checkpoints(uuid: String) async throws -> [String] {
        try await wrapped.checkpoints(uuid: uuid)
    }

    func createCheckpoint(uuid: String, name: String, disks: [String]) async throws {
        try await lease.require()
        try await wrapped.createCheckpoint(uuid: uuid, name: name, disks: disks)
    }

    func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws {
        try await lease.require()
        try await wrapped.deleteCheckpoint(uuid: uuid, name: name, metadataOnly: metadataOnly)
    }

    func beginBackup(uuid: String, _ request: BackupRequest) async throws {
        try await lease.require()
        try await wrapped.beginBackup(uuid: uuid, request)
    }

    func endBackup(uuid: String) async throws {
        try await lease.require()
        try await wrapped.endBackup(uuid: uuid)
    }

    func backupIsActive(uuid: String) async throws -> Bool {
        try await wrapped.backupIsActive(uuid: uuid)
    }

    func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {
        try await lease.require()
        try await wrapped.hold(uuid: uuid, as: hold, limit: limit)
    }

    /// Needs no lease: whoever has held a guest lets it go, whatever has become of the job.
    func letGo(uuid: String, from hold: GuestHold) async throws -> Bool {
        try await wrapped.letGo(uuid: uuid, from: hold)
    }

    func apart() async throws -> any Hypervisor {
        LeasedHypervisor(wrapped: try await wrapped.apart(), lease: lease)
    }

    func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws {
        try await lease.require()
        try await wrapped.commitChain(uuid: uuid, disk: disk, into: base, limit: limit)
    }
}
