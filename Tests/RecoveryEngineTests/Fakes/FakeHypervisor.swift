import Hypervisors
import SiteModel
import Synchronization

/// libvirt at one host of the world, as one engine sees it.
struct FakeHypervisor: Hypervisor {
    let world: FakeWorld
    let host: String
    let fuse: Fuse

    private func look<Result>(_ body: (FakeHost) throws -> Result) throws -> Result {
        try fuse.checkAlive()
        return try world.state.withLock { try body($0.host(host)) }
    }

    private func act<Result>(_ name: String, _ body: (inout WorldState) throws -> Result) async throws -> Result {
        try await fuse.effect("\(host).\(name)") {
            try world.change { state in
                _ = try state.host(host)
                return try body(&state)
            }
        }
    }

    func act(_ name: String, uuid: String, _ body: (inout FakeDomain) throws -> Void) async throws {
        try await act(name) { state in
            guard var domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            try body(&domain)
            state.hosts[host]?.domains[uuid] = domain
        }
    }

    private func act(
        _ name: String, uuid: String, _ body: (inout WorldState, inout FakeDomain) throws -> Void
    ) async throws {
        try await act(name) { state in
            guard var domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            try body(&state, &domain)
            state.hosts[host]?.domains[uuid] = domain
        }
    }

    private func unknown(_ uuid: String) -> HypervisorError {
        HypervisorError(.unknownDomain, "\(host) has no domain \(uuid)", hint: "define it")
    }

    func information() async throws -> HypervisorInformation {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let checks = try state.presentHost(host).checks
            return HypervisorInformation(
                hostName: host, hostUUID: host, libraryVersion: checks.libvirt, hypervisorVersion: checks.qemu)
        }
    }

    func networks() async throws -> [String] {
        try look { $0.networks.union($0.madeNetworks.keys).sorted() }
    }

    func networkDefinition(named name: String) async throws -> NetworkDefinition? {
        try look { $0.madeNetworks[name] }
    }

    func defineNetwork(_ definition: NetworkDefinition) async throws {
        _ = try definition.xml()
        try await act("define-network") { state in
            let present = state.hosts[host]?.madeNetworks[definition.name]
            let isForeign = state.hosts[host]?.networks.contains(definition.name) == true
            guard !isForeign, present == nil || present?.mark == definition.mark else {
                throw HypervisorError(.busy, "\(definition.name) is not ours", hint: "rename it")
            }
            if state.hosts[host]?.madeNetworks.values.contains(where: {
                $0.bridge == definition.bridge && $0.name != definition.name
            }) == true {
                throw HypervisorError(.failed, "bridge \(definition.bridge) is in use", hint: "name another")
            }
            state.hosts[host]?.madeNetworks[definition.name] = definition
        }
    }

    func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        try await act("remove-network") { state in
            guard let present = state.hosts[host]?.madeNetworks[name] else { return }
            guard present.mark == mark else {
                throw HypervisorError(.busy, "\(name) is not this test's", hint: "look at it")
            }
            let users = state.hosts[host]?.domains.values.filter { domain in
                domain.power.isActive && domain.definition.nics.contains { $0.network == name }
            }
            if users?.isEmpty == false { state.violate("network \(name) is taken away from a running VM") }
            state.hosts[host]?.madeNetworks[name] = nil
        }
    }

    func guestAddresses(uuid: String) async throws -> [String: [String]] {
        try look { $0.guestAddresses[uuid] ?? [:] }
    }

    func domains() async throws -> [Domain] {
        try look { host in host.domains.map { describe($0, $1, host) }.sorted { $0.name < $1.name } }
    }

    func domain(uuid: String) async throws -> Domain? {
        try look { host in host.domains[uuid].map { describe(uuid, $0, host) } }
    }

    func domain(named name: String) async throws -> Domain? { try await domains().first { $0.name == name } }

    private func describe(_ uuid: String, _ domain: FakeDomain, _ host: FakeHost) -> Domain {
        Domain(
            name: domain.definition.name, uuid: uuid, power: domain.power, autostart: domain.autostart, memoryMiB: 64,
            disks: domain.disks.map {
                DomainDisk(
                    target: $0.target, path: $0.path, format: $0.format,
                    isReadOnly: $0.isReadOnly || $0.device != "disk",
                    size: $0.path.flatMap { host.files[$0]?.size }, isShareable: $0.isShareable)
            },
            nics: domain.definition.nics)
    }

    func inactiveXML(uuid: String) async throws -> String {
        try look { host in
            guard let domain = host.domains[uuid] else { throw unknown(uuid) }
            return domain.definition.xml
        }
    }

    // MARK: Definition

    func define(xml: String) async throws {
        let definition = try DomainDefinition(xml: xml)
        try await act("define") { state in
            guard let uuid = definition.uuid else {
                throw HypervisorError(.invalidDefinition, "no uuid", hint: "give one")
            }
            var domain = state.hosts[host]?.domains[uuid] ?? FakeDomain(definition: definition, power: .off)
            domain.definition = definition
            state.hosts[host]?.domains[uuid] = domain
        }
    }

    func undefine(uuid: String) async throws {
        try await act("undefine") { state in
            guard let domain = state.hosts[host]?.domains[uuid] else { return }
            if domain.power.isActive { throw HypervisorError(.busy, "the VM is active", hint: "shut it down") }
            state.hosts[host]?.domains[uuid] = nil
        }
    }

    func setAutostart(uuid: String, _ on: Bool) async throws {
        try await act("autostart", uuid: uuid) { $0.autostart = on }
    }

    func setOwnership(uuid: String, _ ownership: Ownership) async throws {
        try await act("set-ownership", uuid: uuid) { try $0.definition.setOwnership(ownership) }
    }

    func removeOwnership(uuid: String) async throws {
        try await act("remove-ownership", uuid: uuid) { try $0.definition.setOwnership(nil) }
    }

    func ownership(uuid: String) async throws -> Ownership? {
        try look { host in
            guard let domain = host.domains[uuid] else { throw unknown(uuid) }
            return domain.definition.ownership
        }
    }

    // MARK: Power

    /// Nothing at a host keeps a VM from being started there: that it may is the engine's business.
    func start(uuid: String, paused: Bool) async throws {
        try await act("start") { state in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            if domain.power.isActive { return }
            state.checkStart(uuid, at: host)
            if state.hosts[host]?.startsFail == true {
                throw HypervisorError(.failed, "QEMU does not start", hint: "look at its log")
            }
            for network in domain.definition.nics.compactMap(\.network)
            where state.hosts[host]?.networks.contains(network) != true
                && state.hosts[host]?.madeNetworks[network] == nil
            {
                throw HypervisorError(.unknownNetwork, "\(host) has no network \(network)", hint: "define it")
            }
            for path in state.paths(vm: uuid, at: host) where state.hosts[host]?.files[path] == nil {
                throw HypervisorError(.failed, "\(path) is missing", hint: "restore it")
            }
            if paused { state.hosts[host]?.domains[uuid]?.power = .paused } else { state.run(uuid, at: host) }
        }
    }

    func resume(uuid: String) async throws {
        try await act("resume") { state in
            guard state.hosts[host]?.domains[uuid]?.power == .paused else { return }
            state.checkStart(uuid, at: host)
            state.run(uuid, at: host)
        }
    }

    func suspend(uuid: String) async throws {
        try await act("suspend", uuid: uuid) { state, domain in
            try state.checkEnds(host)
            if domain.power == .running { domain.power = .paused }
        }
    }

    func shutDown(uuid: String, limit: Duration) async throws -> Bool {
        try await act("shut-down") { state in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            if domain.ignoresShutdown && domain.power.isActive { return false }
            try state.checkEnds(host)
            state.end(uuid, at: host, clean: true)
            return true
        }
    }

    func destroy(uuid: String) async throws {
        try await act("destroy") { state in
            try state.checkEnds(host)
            state.end(uuid, at: host, clean: false)
        }
    }

    func setLinks(uuid: String, up: Bool) async throws {
        try await act("set-links", uuid: uuid) { $0.linksAreUp = up }
    }

    // MARK: Changed blocks

    func checkpoints(uuid: String) async throws -> [String] { try look { $0.domains[uuid]?.checkpoints ?? [] } }

    func createCheckpoint(uuid: String, name: String, disks: [String]) async throws {
        try await act("create-checkpoint") { try $0.addCheckpoint(name, to: uuid, at: host) }
    }

    func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws {
        try await act("delete-checkpoint") { state in
            let paths = state.paths(vm: uuid, at: host)
            if !metadataOnly {
                guard state.hosts[host]?.domains[uuid]?.power.isActive == true else {
                    throw HypervisorError(.unsupported, "the VM is off", hint: "start it")
                }
                for path in paths where state.hosts[host]?.files[path]?.bitmaps[name] == nil {
                    throw HypervisorError(.checkpointUnusable, "no bitmap \(name)", hint: "forget it")
                }
                for path in paths { state.hosts[host]?.files[path]?.bitmaps[name] = nil }
            }
            state.hosts[host]?.domains[uuid]?.checkpoints.removeAll { $0 == name }
        }
    }

    func beginBackup(uuid: String, _ request: BackupRequest) async throws {
        try await act("begin-backup") { state in
            guard let domain = state.hosts[host]?.domains[uuid] else { throw unknown(uuid) }
            if domain.backup != nil { throw HypervisorError(.busy, "a backup is under way", hint: "end it") }
            var backup = FakeBackup(request: request, frozen: [:], changed: [:])
            for disk in domain.disks where request.disks.contains(disk.target) {
                guard let path = disk.path, let file = state.hosts[host]?.files[path] else { continue }
                backup.frozen[disk.target] = state.content(path, at: host)
                guard let since = request.since, !request.whole.contains(disk.target) else { continue }
                guard domain.checkpoints.contains(since), let bitmap = file.bitmaps[since] else {
                    throw HypervisorError(.checkpointUnusable, "\(since) has no bitmap", hint: "compare instead")
                }
                backup.changed[disk.target] = bitmap
            }
            try state.addCheckpoint(request.checkpoint, to: uuid, at: host)
            state.hosts[host]?.domains[uuid]?.backup = backup
            if domain.isFrozen || domain.power == .paused {
                state.hosts[host]?.domains[uuid]?.begunWhileHeld.append(request.checkpoint)
            }
        }
    }

    func endBackup(uuid: String) async throws {
        try await act("end-backup") { $0.hosts[host]?.domains[uuid]?.backup = nil }
    }

    func backupIsActive(uuid: String) async throws -> Bool { try look { $0.domains[uuid]?.backup != nil } }

    func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws {
        try await act("commit-chain", uuid: uuid) { state, domain in
            guard domain.power.isActive else {
                throw HypervisorError(.unsupported, "the VM is off", hint: "start it")
            }
            guard let top = domain.disks.first(where: { $0.target == disk })?.path, top != base else { return }
            let chain = state.chain(top, at: host)
            guard let end = chain.firstIndex(of: base) else {
                throw HypervisorError(.failed, "\(base) is not beneath \(disk)", hint: "name a layer of its chain")
            }
            if state.hosts[host]?.unfoldable.contains(disk) == true {
                throw HypervisorError(.failed, "the block job of \(disk) failed", hint: "look at the disk's log")
            }
            // Content and bitmaps go down into the layer, which the VM writes from now on; the files above it stay
            // behind.
            for layer in chain[..<end].reversed() {
                guard let file = state.hosts[host]?.files[layer] else { continue }
                state.hosts[host]?.files[base]?.blocks.merge(file.blocks) { $1 }
                state.hosts[host]?.files[base]?.bitmaps.merge(file.bitmaps) { $0.union($1) }
            }
            let beneath = domain.disks.first { $0.target == disk }?.chain.drop { $0.path != base } ?? []
            try domain.definition.setDisk(
                disk, chain: beneath.isEmpty ? [DomainDefinition.Layer(path: base, format: "qcow2")] : Array(beneath))
        }
    }
}

extension WorldState {
    func host(_ id: String) throws -> FakeHost {
        let host = try presentHost(id)
        if host.ailments.contains(.hypervisorCallsFail) {
            throw HypervisorError(.failed, "libvirt of \(id) cannot say", hint: "look at its log")
        }
        return host
    }

    fileprivate func presentHost(_ id: String) throws -> FakeHost {
        guard let host = hosts[id], host.isReachable else {
            throw HypervisorError(.unreachable, "host \(id) does not answer", hint: "bring it back")
        }
        if host.ailments.contains(.hypervisorFails) {
            throw HypervisorError(.failed, "libvirt of \(id) cannot say", hint: "look at its log")
        }
        return host
    }

    func checkEnds(_ host: String) throws {
        guard hosts[host]?.endsFail == true else { return }
        throw HypervisorError(.busy, "QEMU does not let go of its disks", hint: "look at its log")
    }

    mutating func addCheckpoint(_ name: String, to vm: String, at host: String) throws {
        guard hosts[host]?.domains[vm]?.power.isActive == true else {
            throw HypervisorError(.unsupported, "the VM is off", hint: "start it")
        }
        guard hosts[host]?.domains[vm]?.checkpoints.contains(name) == false else {
            throw HypervisorError(.failed, "checkpoint \(name) exists", hint: "choose another name")
        }
        // QEMU adds no bitmap over one that lies in the file, whatever libvirt knows of it.
        for path in paths(vm: vm, at: host) where hosts[host]?.files[path]?.bitmaps[name] != nil {
            throw HypervisorError(.failed, "bitmap \(name) already exists in \(path)", hint: "choose another name")
        }
        hosts[host]?.domains[vm]?.checkpoints.append(name)
        for path in paths(vm: vm, at: host) { hosts[host]?.files[path]?.bitmaps[name] = [] }
    }
}
