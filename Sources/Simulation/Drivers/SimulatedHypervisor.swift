package import Hypervisors
internal import SiteModel

/// libvirt and QEMU at one host of a world; what they refuse is in docs/decisions/0003-libvirt-facts.md.
package struct SimulatedHypervisor: Hypervisor {
    let world: World
    let host: String
    /// The engine that asks; nil for a caller that does not die.
    var life: EngineLife?

    package init(world: World, host: String, life: EngineLife? = nil) {
        self.world = world
        self.host = host
        self.life = life
    }

    // MARK: Calls

    func look<Result: Sendable>(
        _ name: String, _ subject: String = "", _ body: (SimulatedHost) throws -> Result
    ) async throws -> Result {
        try await world.call(
            .hypervisor, name, at: host, about: subject, seconds: world.look { $0.speeds(host).look },
            by: life
        ) { state, _ in
            guard let host = state.hosts[host] else { throw unknown(subject) }
            return try body(host)
        }
    }

    private func lookAt<Result: Sendable>(
        _ name: String, _ uuid: String, _ body: (SimulatedDomain) throws -> Result
    ) async throws -> Result {
        try await look(name, uuid) { host in
            guard let domain = host.domains[uuid] else { throw unknown(uuid) }
            return try body(domain)
        }
    }

    func act<Result: Sendable>(
        _ name: String, _ uuid: String, takes seconds: KeyPath<HostSpeeds, Double> = \.define, times: Double = 1,
        _ body: (inout WorldState, Timestamp) throws -> Result
    ) async throws -> Result {
        try await world.call(
            .hypervisor, name, at: host, about: uuid,
            seconds: world.look { $0.speeds(host)[keyPath: seconds] } * times, by: life, body)
    }

    /// Changes a VM that must be there.
    private func actOn<Result: Sendable>(
        _ name: String, _ uuid: String, takes seconds: KeyPath<HostSpeeds, Double> = \.define,
        _ body: (inout WorldState, SimulatedDomain, Timestamp) throws -> Result
    ) async throws -> Result {
        try await act(name, uuid, takes: seconds) { state, now in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            return try body(&state, domain, now)
        }
    }

    func unknown(_ uuid: String) -> HypervisorError {
        HypervisorError(
            .unknownDomain, "\(host) has no VM \(uuid)",
            hint: "list the host's VMs: it may have been undefined or renamed")
    }

    // MARK: Inventory

    package func information() async throws -> HypervisorInformation {
        try await look("information") { host in
            HypervisorInformation(
                hostName: host.name, hostUUID: Self.hostUUID(host.name), libraryVersion: "9.0.0",
                hypervisorVersion: "7.2.22")
        }
    }

    static func hostUUID(_ name: String) -> String {
        var chance = SplitMix(seed: SplitMix.seed(name, 0))
        return chance.uuid()
    }

    package func networks() async throws -> [String] {
        try await look("networks") { $0.networks.union($0.madeNetworks.keys).sorted() }
    }

    package func domains() async throws -> [Domain] {
        try await look("domains") { host in
            host.domains.values.map { describe($0, host) }.sorted { ($0.name, $0.uuid) < ($1.name, $1.uuid) }
        }
    }

    package func domain(uuid: String) async throws -> Domain? {
        try await look("domain", uuid) { host in host.domains[uuid].map { describe($0, host) } }
    }

    package func domain(named name: String) async throws -> Domain? {
        try await look("domain", name) { host in
            host.domains.values.first { $0.name == name }.map { describe($0, host) }
        }
    }

    package func inactiveXML(uuid: String) async throws -> String {
        try await lookAt("inactive-xml", uuid) { $0.storedXML ?? $0.live?.xml ?? "" }
    }

    private func describe(_ domain: SimulatedDomain, _ host: SimulatedHost) -> Domain {
        return Domain(
            name: domain.name, uuid: domain.uuid, power: domain.power, autostart: domain.autostart,
            memoryMiB: domain.memoryMiB,
            disks: domain.disks.map { disk in
                DomainDisk(
                    target: disk.target, path: disk.path, format: disk.format,
                    isReadOnly: disk.isReadOnly || disk.device != "disk",
                    size: disk.path.flatMap { host.files[$0]?.size })
            }, nics: domain.nics)
    }

    // MARK: Definition

    package func define(xml: String) async throws {
        var definition = try DomainDefinition(xml: xml)
        guard !definition.hasNullNIC else {
            throw HypervisorError(
                .invalidDefinition, "VM '\(definition.name)' has a NIC of type null, which libvirt's QEMU cannot start",
                hint: "connect the NIC, or leave it unconnected with type ethernet")
        }
        let name = definition.name
        try await act("define", definition.uuid ?? name) { state, _ in
            let known = state.hosts[host]?.domains.values.first { $0.name == name }
            var chance = state.chance
            // As libvirt does: a definition without a UUID becomes a VM of its own.
            definition.complete(uuid: { chance.uuid() }, mac: { Self.mac(&chance) })
            state.chance = chance
            guard let uuid = definition.uuid else { throw unknown(name) }
            guard known == nil || known?.uuid == uuid else {
                throw HypervisorError(
                    .failed,
                    "could not define VM '\(name)': domain '\(name)' already exists with uuid \(known?.uuid ?? "")",
                    hint: "choose another name, or give the UUID of the one that is there")
            }
            if state.hosts[host]?.domains[uuid] == nil {
                state.hosts[host]?.domains[uuid] = SimulatedDomain(
                    uuid: uuid, definition: definition, seed: SplitMix.seed(host, state.seed))
                let guest = state.behaviour(of: uuid)
                state.hosts[host]?.domains[uuid]?.guest = guest
            } else {
                state.hosts[host]?.domains[uuid]?.stored = definition
            }
        }
    }

    static func mac(_ chance: inout SplitMix) -> String {
        let bytes = (0..<3).map { _ in
            let digits = String(chance.next(below: 256), radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }
        return (["52", "54", "00"] + bytes).joined(separator: ":")
    }

    package func undefine(uuid: String) async throws {
        try await act("undefine", uuid) { state, _ in
            guard let domain = state.hosts[host]?.domains[uuid] else { return }
            if domain.power.isActive {
                state.hosts[host]?.domains[uuid]?.stored = nil
                state.hosts[host]?.domains[uuid]?.checkpoints = []
                state.hosts[host]?.domains[uuid]?.autostart = false
            } else {
                state.hosts[host]?.domains[uuid] = nil
            }
        }
    }

    package func setAutostart(uuid: String, _ on: Bool) async throws {
        try await actOn("autostart", uuid) { state, _, _ in
            state.hosts[host]?.domains[uuid]?.autostart = on
            if on { state.checkAutostart(uuid, at: host) }
        }
    }

    package func setOwnership(uuid: String, _ ownership: Ownership) async throws {
        try await mark(uuid, with: ownership, as: "set-ownership")
    }

    package func removeOwnership(uuid: String) async throws { try await mark(uuid, with: nil, as: "remove-ownership") }

    private func mark(_ uuid: String, with ownership: Ownership?, as call: String) async throws {
        try await actOn(call, uuid) { state, domain, _ in
            if var stored = domain.stored {
                try stored.setOwnership(ownership)
                state.hosts[host]?.domains[uuid]?.stored = stored
            }
            if var live = domain.live {
                try live.setOwnership(ownership)
                state.hosts[host]?.domains[uuid]?.live = live
            }
        }
    }

    package func ownership(uuid: String) async throws -> Ownership? {
        try await lookAt("ownership", uuid) { ($0.stored ?? $0.live)?.ownership }
    }

    // MARK: Power

    package func start(uuid: String, paused: Bool) async throws {
        try await actOn("start", uuid, takes: \.start) { state, domain, now in
            if domain.power.isActive { return }
            state.checkStart(uuid, at: host)
            guard let current = state.hosts[host] else { return }
            for disk in domain.disks {
                for layer in disk.chain where current.files[layer.path] == nil {
                    throw HypervisorError(
                        .failed, "could not start VM \(uuid): Cannot access storage file '\(layer.path)'",
                        hint: "restore the file, or define the VM on another one")
                }
                guard let path = disk.path, disk.isWritableFile, current.isWritten(path) else { continue }
                throw HypervisorError(
                    .failed, "could not start VM \(uuid): '\(path)' is in use by another VM",
                    hint: "end the other VM first")
            }
            if let missing = domain.stored?.networkNames.first(where: {
                !current.networks.contains($0) && current.madeNetworks[$0] == nil
            }) {
                throw HypervisorError(
                    .unknownNetwork, "could not start VM \(uuid): no network with matching name '\(missing)'",
                    hint: "define and start the network at the host, or map to another one")
            }
            state.open(uuid, at: host, now)
            if paused { state.checkAlone(uuid, at: host) } else { state.run(uuid, at: host, now) }
        }
    }

    package func resume(uuid: String) async throws {
        try await actOn("resume", uuid, takes: \.look) { state, domain, now in
            if domain.power == .running { return }
            guard domain.power == .paused else {
                throw HypervisorError(.failed, "could not resume VM \(uuid): domain is not running", hint: "start it")
            }
            state.checkStart(uuid, at: host)
            state.run(uuid, at: host, now)
        }
    }

    package func suspend(uuid: String) async throws {
        try await actOn("suspend", uuid, takes: \.look) { state, domain, now in
            if domain.power == .paused { return }
            guard domain.power == .running else {
                throw HypervisorError(.failed, "could not suspend VM \(uuid): domain is not running", hint: "start it")
            }
            state.pause(uuid, at: host, now)
        }
    }

    /// The button is pressed again every five seconds: a press is lost while the guest boots, or while it stands still.
    package func shutDown(uuid: String, limit: Duration) async throws -> Bool {
        let pressInterval = 5.0
        let most = limit / .seconds(1)
        let end = world.clock.now.advanced(bySeconds: most)
        while true {
            let seconds = try await actOn("shut-down", uuid, takes: \.look) { state, domain, now -> Double? in
                guard domain.power.isActive else { return nil }
                let booted = domain.bootedAt.advanced(bySeconds: domain.guest.bootSeconds) <= now
                guard domain.power == .running, booted, !domain.guest.ignoresPowerButton else { return pressInterval }
                if !domain.goesDown {
                    state.hosts[host]?.domains[uuid]?.goesDown = true
                    let (world, host) = (world, host)
                    world.clock.schedule(after: domain.guest.shutDownSeconds) {
                        world.change { state in
                            guard state.hosts[host]?.domains[uuid]?.goesDown == true else { return }
                            state.endInOrder(uuid, at: host, world.clock.now)
                        }
                    }
                }
                return min(pressInterval, domain.guest.shutDownSeconds)
            }
            guard let seconds else { return true }
            let left = end.seconds(since: world.clock.now)
            guard left > 0 else { return false }
            try await world.clock.sleep(seconds: min(seconds, left))
        }
    }

    /// QEMU ends by SIGTERM: it closes its disks, so their bitmaps stay.
    package func destroy(uuid: String) async throws {
        try await actOn("destroy", uuid) { state, domain, now in
            if domain.power.isActive { state.end(uuid, at: host, .off, now) }
        }
    }

    package func setLinks(uuid: String, up: Bool) async throws {
        try await actOn("set-links", uuid) { state, domain, _ in
            if var stored = domain.stored {
                stored.setLinks(up: up)
                state.hosts[host]?.domains[uuid]?.stored = stored
            }
            if var live = domain.live {
                live.setLinks(up: up)
                state.hosts[host]?.domains[uuid]?.live = live
            }
        }
    }

    package func checkpoints(uuid: String) async throws -> [String] {
        try await lookAt("checkpoints", uuid) { $0.checkpoints.map(\.name) }
    }

    package func backupIsActive(uuid: String) async throws -> Bool {
        try await look("backup-is-active", uuid) { host in
            guard host.domains[uuid] != nil else { throw unknown(uuid) }
            return host.backups[uuid] != nil
        }
    }
}

extension WorldState {
    /// How the guest of a VM behaves: as it does wherever else it is known.
    func behaviour(of uuid: String) -> GuestBehaviour {
        hosts.values.sorted { $0.name < $1.name }.compactMap { $0.domains[uuid]?.guest }
            .first { $0 != GuestBehaviour() } ?? GuestBehaviour()
    }
}
