import Hypervisors
import SiteModel

/// One site of a `FakeWorld`, as its hypervisor shows it.
struct FakeHypervisor: Hypervisor {
    let world: FakeWorld
    let site: String

    private func site<Result>(_ body: (inout FakeWorld.Site) throws -> sending Result) throws -> sending Result {
        try world.change(site) { site in
            guard site.isUp else { throw HypervisorError(.unreachable, "site \(self.site) does not answer") }
            return try body(&site)
        }
    }

    private func domain(_ uuid: String, _ guest: FakeWorld.Guest) throws -> Domain {
        let definition = try DomainDefinition(xml: guest.xml)
        return Domain(
            name: guest.name, uuid: uuid, power: guest.power, autostart: guest.autostart, memoryMiB: 96,
            disks: definition.disks.map {
                DomainDisk(target: $0.target, path: $0.path, format: $0.format, isReadOnly: false, size: 1 << 20)
            }, nics: definition.nics)
    }

    func information() async throws -> HypervisorInformation {
        try site { _ in
            HypervisorInformation(hostName: site, hostUUID: site, libraryVersion: "0", hypervisorVersion: "0")
        }
    }

    func networks() async throws -> [String] { try site { $0.networks } }

    func networkDefinition(named name: String) async throws -> NetworkDefinition? { try site { $0.made[name] } }
    func defineNetwork(_ definition: NetworkDefinition) async throws {
        try site { $0.made[definition.name] = definition }
    }
    func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        try site { $0.made[name] = nil }
    }

    func domains() async throws -> [Domain] {
        try site { try $0.guests.map { try domain($0.key, $0.value) } }
    }

    func domain(uuid: String) async throws -> Domain? {
        try site { try $0.guests[uuid].map { try domain(uuid, $0) } }
    }

    func domain(named name: String) async throws -> Domain? { try await domains().first { $0.name == name } }

    func inactiveXML(uuid: String) async throws -> String { try site { $0.guests[uuid]?.xml ?? "" } }

    func define(xml: String) async throws {
        let definition = try DomainDefinition(xml: xml)
        try site { $0.guests[definition.uuid ?? ""] = FakeWorld.Guest(name: definition.name, xml: xml) }
    }

    func undefine(uuid: String) async throws { try site { $0.guests[uuid] = nil } }
    func setAutostart(uuid: String, _ on: Bool) async throws { try site { $0.guests[uuid]?.autostart = on } }
    func setOwnership(uuid: String, _ ownership: Ownership) async throws {
        try site { $0.guests[uuid]?.ownership = ownership }
    }
    func ownership(uuid: String) async throws -> Ownership? { try site { $0.guests[uuid]?.ownership } }

    func start(uuid: String, paused: Bool) async throws { try site { $0.start(uuid) } }
    func resume(uuid: String) async throws {}
    func suspend(uuid: String) async throws {}

    func shutDown(uuid: String, limit: Duration) async throws -> Bool {
        try site { site in
            if let guest = site.guests[uuid], guest.power.isActive { site.powerOffs[guest.name] = guest.records }
            site.stop(uuid)
            return true
        }
    }

    func destroy(uuid: String) async throws { try site { $0.stop(uuid) } }
    func setLinks(uuid: String, up: Bool) async throws {}

    func checkpoints(uuid: String) async throws -> [String] { try site { $0.guests[uuid]?.checkpoints ?? [] } }
    func createCheckpoint(uuid: String, name: String, disks: [String]) async throws {
        try site { $0.guests[uuid]?.checkpoints.append(name) }
    }
    func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws {
        try site { $0.guests[uuid]?.checkpoints.removeAll { $0 == name } }
    }
    func beginBackup(uuid: String, _ request: BackupRequest) async throws {
        try site { $0.guests[uuid]?.checkpoints.append(request.checkpoint) }
    }
    func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {}
    func letGo(uuid: String, from hold: GuestHold) async throws -> Bool { true }
    func endBackup(uuid: String) async throws {}
    func backupIsActive(uuid: String) async throws -> Bool { false }
    func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws {}
}
