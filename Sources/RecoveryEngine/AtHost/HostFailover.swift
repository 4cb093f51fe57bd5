package import BlockReplication
package import Hypervisors
package import SiteModel

/// Brings a VM up at the host that holds its points, with no vault: how the management server's own VM comes up first.
///
/// It works from the manifest beside the points, the domain XML in them and the host's own ownership record. It claims ownership
/// at the host, one epoch further, and leaves there what it did: a later vault finds that and takes it over. Given again after
/// it broke off, it goes on where it stood.
package struct HostFailover: Sendable {
    /// How it is known that the source is down.
    package enum Source: Sendable, Hashable {
        case declaredLost
        /// The fence command that the record beside the points names for the source's host.
        case recordedFence
        case fence([String])
    }

    package struct Outcome: Sendable, Hashable {
        package var host: String
        package var epoch: Int
        package var point: PointSummary
        package var verdict: SourceVerdict
        /// What the VM's NICs are connected to now; nil for none.
        package var networks: [String: String?]
        /// Whether it runs on.
        package var runs: Bool
        /// What the VM does not have of what it had: disks, media, UEFI variables, the state of its TPM.
        package var findings: [String]
    }

    let hypervisor: any Hypervisor
    let agent: any Agent
    /// Looks whether the VM still runs at its source; nil when that cannot be told.
    let runsAtSource: @Sendable (Host, _ vmUUID: String) async -> Bool?
    let fencing: any Fencing
    let clock: any EngineClock
    let manifests: [Manifest]

    package init(
        hypervisor: any Hypervisor, agent: any Agent, fencing: any Fencing, clock: any EngineClock,
        manifests: [Manifest],
        runsAtSource: @escaping @Sendable (Host, String) async -> Bool?
    ) {
        self.hypervisor = hypervisor
        self.agent = agent
        self.fencing = fencing
        self.clock = clock
        self.manifests = manifests
        self.runsAtSource = runsAtSource
    }

    /// The manifests of a store; those that cannot be read are passed over.
    package static func manifests(inStore store: String) throws -> [Manifest] {
        let root = "\(store)/points"
        return try PointStore.relationships(root: root).compactMap {
            try? PointStore.readManifest(root: root, relationship: $0)
        }
    }

    /// - Parameters:
    ///   - point: "latest", a number or a generation.
    ///   - networks: target network by source network, over what the record says.
    package func run(
        vm: String, source: Source, point wanted: String, networks given: [String: String]
    ) async throws -> Outcome {
        let manifest = try manifest(of: vm)
        let site = SiteRecord(text: manifest.context)
        let present = try await agent.ownership(relationship: manifest.relationship)
        let host = try await ownHost(present, site)
        if present?.owner == host, present?.claim == nil {
            throw EngineError(
                .refused, "this host owns \(vm) already, since epoch \(present?.epoch ?? 0)",
                hint: "start it: virsh start \(vm); after a boot: perilune agent start-owned --alone", object: vm)
        }
        let isActive = try await hypervisor.domain(uuid: manifest.vmUUID)?.power.isActive == true
        let chosen = try await choose(wanted, of: manifest, after: present?.claim, isActive: isActive)
        let xml = try await agent.domainXML(relationship: manifest.relationship, generation: chosen.generation)
        var definition = try DomainDefinition(xml: xml)
        // Before anything is changed: a VM that cannot be connected, or has no firmware to start with, is not claimed.
        let networks = try await networks(of: definition, site, host: host, given)
        if !isActive {
            try await agent.checkFirmware(
                of: definition, at: chosen.generation, relationship: manifest.relationship, vmUUID: manifest.vmUUID)
        }
        var record: OwnershipRecord
        if let present, present.owner == host, let claim = present.claim, claim.generation == chosen.generation {
            // Once more: the host may have been down since, and its VM may have been started at the source meanwhile.
            record = present
            if !isActive { record.claim?.verdict = try await verdict(source, vm, manifest.vmUUID, site, host: host) }
        } else {
            let verdict = try await verdict(source, vm, manifest.vmUUID, site, host: host)
            if let present, present.claim != nil { try await withdraw(present) }
            let epoch = max(present?.epoch ?? 0, manifest.epoch) + 1
            record = OwnershipRecord(
                relationship: manifest.relationship, vmUUID: manifest.vmUUID, owner: host, epoch: epoch, host: host,
                claim: HostClaim(
                    generation: chosen.generation, number: chosen.number, verdict: verdict, at: clock.now))
        }
        try await agent.recordOwnership(record)
        let findings = try await define(&definition, record, chosen, networks, site)
        try await start(&record, manifest.point(chosen.generation)?.disks.map(\.target) ?? [])
        let power = try await hypervisor.domain(uuid: record.vmUUID)?.power
        return Outcome(
            host: host, epoch: record.epoch, point: chosen, verdict: record.claim?.verdict ?? .unknown,
            networks: networks, runs: power == .running, findings: findings)
    }

    // MARK: What there is

    private func manifest(of vm: String) throws -> Manifest {
        let kept = manifests.filter { !$0.points.isEmpty }
        let named = kept.filter { $0.vmName == vm }
        if let newest = named.filter({ $0.releasedAt == nil }).max(by: { Self.age($0) < Self.age($1) }) {
            return newest
        }
        if let released = named.compactMap(\.releasedAt).max() {
            throw EngineError(
                .refused,
                "\(vm) has not been protected since \(released.utcText): the points of it that this store still has "
                    + "were given up, and what became of the VM since is not in them",
                hint: "start the VM where it ran last: virsh start \(vm) there; points that are given up go when it is "
                    + "protected again", object: vm)
        }
        let names = Set(kept.filter { $0.releasedAt == nil }.map(\.vmName))
        let nearest = Nearest.suggestion(for: vm, among: Array(names))
        throw EngineError(
            .unknown, "this store holds no point of a VM '\(vm)'",
            hint: nearest.map { "did you mean '\($0)'?" } ?? "it has: \(names.sorted().joined(separator: ", "))",
            object: vm)
    }

    /// A VM that was protected twice has two manifests; the one that was written last counts.
    private static func age(_ manifest: Manifest) -> Timestamp {
        manifest.newest?.time ?? Timestamp(milliseconds: 0)
    }

    /// The vault's id of this host; without any record of it, the hypervisor's own.
    private func ownHost(_ present: OwnershipRecord?, _ site: SiteRecord?) async throws -> String {
        if let host = present?.host { return host }
        if let site { return site.relationship.target }
        return try await hypervisor.information().hostUUID
    }

    private func choose(
        _ wanted: String, of manifest: Manifest, after claim: HostClaim?, isActive: Bool
    ) async throws -> PointSummary {
        let points = try await agent.points(relationship: manifest.relationship)
        // Given again, "latest" is nobody's new choice: the point that was claimed stays.
        let sought = wanted == "latest" ? claim?.generation ?? points.last?.generation ?? wanted : wanted
        guard let chosen = points.first(where: { String($0.number) == sought || $0.generation == sought }) else {
            throw EngineError(
                .unknown, "\(manifest.vmName) has no recovery point \(sought) here",
                hint: "it has: \(points.map { String($0.number) }.joined(separator: ", "))",
                rule: "recovery-point-unknown", object: manifest.vmName)
        }
        if let claim, isActive || claim.mayHaveRunHere {
            guard claim.generation != chosen.generation else { return chosen }
            throw EngineError(
                .refused,
                "\(manifest.vmName) \(claim.mayHaveRunHere ? "may have run" : "is started") here from point "
                    + "\(claim.number) already: it cannot start from point \(chosen.number) now",
                hint: claim.mayHaveRunHere
                    ? "go on from point \(claim.number): repeat without --point; what the VM wrote since is kept"
                    : "go on from point \(claim.number): repeat without --point; or end the VM, which has not run yet "
                        + "(virsh destroy \(manifest.vmName)), and repeat",
                object: manifest.vmName)
        }
        // A point that is named is taken at the operator's word; nobody names the newest one by chance.
        if wanted == "latest", let damage = chosen.damage {
            let whole = points.last { $0.damage == nil }.map {
                "point \($0.number) is the newest of which nothing bad is known"
            }
            throw EngineError(
                .refused, "point \(chosen.number) of \(manifest.vmName) is damaged: \(damage.text)",
                hint:
                    "\(whole ?? "nothing good is known of any other point"); give the point that you want by its number",
                rule: RuleBook.recoveryPointDamaged.id, object: manifest.vmName)
        }
        return chosen
    }

    private func networks(
        of definition: DomainDefinition, _ site: SiteRecord?, host: String, _ given: [String: String]
    ) async throws -> [String: String?] {
        let present = Set(try await hypervisor.networks())
        let plan = site?.networkPlan(to: host)
        var targets: [String: String?] = [:]
        for source in Set(definition.nics.compactMap(\.network)).sorted() {
            // Without a record, a network of the same name is the one that was meant; with one, none means none.
            let target = given[source] ?? (plan.map { $0.target(of: source) } ?? source)
            if let target, !present.contains(target) {
                throw EngineError(
                    .invalid, "this host has no network '\(target)' for \(definition.name)'s '\(source)'",
                    hint: "give --network \(source)=NAME; it has: \(present.sorted().joined(separator: ", "))",
                    object: definition.name)
            }
            targets[source] = .some(target)
        }
        return targets
    }

    // MARK: The source

    private func verdict(
        _ source: Source, _ vm: String, _ uuid: String, _ site: SiteRecord?, host: String
    ) async throws -> SourceVerdict {
        let former = site.flatMap { site in
            site.host(host == site.relationship.target ? site.relationship.source : site.relationship.target)
        }
        switch source {
        case .declaredLost:
            if let former, await runsAtSource(former, uuid) == true {
                throw EngineError(
                    .refused, "\(vm) runs at \(former.name): it is not lost",
                    hint: "shut it down there, or fence the host", rule: "source-must-be-down", object: vm)
            }
            return .declared
        case .recordedFence, .fence:
            var target = former
            if case .fence(let command) = source {
                target =
                    target
                    ?? SiteModel.Host(
                        id: "source", name: "the source", site: "", uri: "", agentSocket: "", agentAddress: "",
                        store: "")
                target?.fence = command
                target?.fenceAgent = nil
            }
            guard let target, target.hasFence else {
                throw EngineError(
                    .invalid, "no fence is recorded for the source of \(vm)",
                    hint: "give --fence-command with the program and its arguments, or --declared-lost", object: vm)
            }
            let outcome = await fencing.fence(target)
            try outcome.requireProof(
                that: target, of: vm, isDown: .sourceNotDown, rule: RuleBook.sourceMustBeDown.id,
                orSay: "--declared-lost")
            return outcome.verdict
        }
    }

    // MARK: The VM here

    /// Takes away what an attempt has left that never ran, before another point is claimed in its place.
    ///
    /// Its claim stands until the next is recorded: broken off here, the failover makes all of it anew.
    private func withdraw(_ record: OwnershipRecord) async throws {
        try await hypervisor.undefine(uuid: record.vmUUID)
        try await agent.discardBootImages(relationship: record.relationship, epoch: record.epoch)
    }

    /// Returns what the VM does not have of what it had.
    private func define(
        _ definition: inout DomainDefinition, _ record: OwnershipRecord, _ point: PointSummary,
        _ networks: [String: String?], _ site: SiteRecord?
    ) async throws -> [String] {
        let images = try await agent.createBootImages(
            relationship: record.relationship, generation: point.generation, epoch: record.epoch)
        let mark = Ownership(relationship: record.relationship, owner: record.owner, epoch: record.epoch)
        definition.removeHostState()
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        // Nobody writes our own CD drive here, and its addresses are those of another host's network.
        definition.removeSeed()
        let covered = Set(images.map(\.target))
        let gone = definition.settleOtherDisks(
            besides: covered, present: await agent.present(of: definition.readableFiles(besides: covered)),
            isHome: record.owner == site?.relationship.home, excluded: site?.relationship.excludedDisks ?? [])
        var findings = [OtherDisks.words(for: gone, of: definition.name)].compactMap { $0 }
        let there = try await hypervisor.domain(uuid: record.vmUUID)
        let found = there == nil ? nil : try await hypervisor.ownership(uuid: record.vmUUID)
        let isDefined = found == mark
        if let there, there.power.isActive {
            guard isDefined else {
                throw EngineError(
                    .failed, "\(there.name) runs here before this failover has defined it",
                    hint: "shut it down, keep its disks, and repeat", object: there.name)
            }
            return findings
        }
        try definition.setNetworks(networks)
        try definition.setOwnership(mark)
        // An older definition carries checkpoints of disks that it no longer has; that of this failover, the one that counts.
        if !isDefined { try await hypervisor.undefine(uuid: record.vmUUID) }
        if !definition.firmwareState.isEmpty {
            let placed = try await agent.placeFirmware(
                FirmwarePlacement(
                    relationship: record.relationship, generation: point.generation, vmUUID: record.vmUUID))
            try definition.setNVRAM(placed.nvram)
            if let fresh = definition.freshFirmware(with: placed, vm: definition.name) { findings.append(fresh) }
        }
        try await hypervisor.define(xml: definition.xml)
        try await hypervisor.setAutostart(uuid: record.vmUUID, false)
        return findings
    }

    /// Paused first, so that not one write goes unseen by the reversal to come.
    private func start(_ record: inout OwnershipRecord, _ disks: [String]) async throws {
        let uuid = record.vmUUID
        guard try await hypervisor.domain(uuid: uuid)?.power != .running else { return }
        try await hypervisor.start(uuid: uuid, paused: true)
        try await track(&record, disks)
        try await hypervisor.resume(uuid: uuid)
    }

    /// Begins to track what the VM writes, and keeps with the claim what is known of it, before the VM runs.
    ///
    /// A VM that has run already, and whose checkpoint is gone (QEMU was killed, or the host), is tracked no more: a new checkpoint
    /// would know nothing of what was written before it. Then the reversal compares both sides.
    private func track(_ record: inout OwnershipRecord, _ disks: [String]) async throws {
        guard var claim = record.claim else { return }
        let present = try await hypervisor.checkpoints(uuid: record.vmUUID)
        if claim.mayHaveRunHere {
            claim.checkpoint = claim.checkpoint.flatMap { present.contains($0) ? $0 : nil }
        } else {
            claim.checkpoint = try await hypervisor.track(
                uuid: record.vmUUID, epoch: record.epoch, disks: disks, present)
        }
        claim.mayHaveRun = true
        guard claim != record.claim else { return }
        record.claim = claim
        try await agent.recordOwnership(record)
    }
}

extension HostClaim {
    /// Whether the VM may have written here; a claim of an older version names its checkpoint from the first.
    fileprivate var mayHaveRunHere: Bool { mayHaveRun ?? (checkpoint != nil) }
}

extension Hypervisor {
    /// Sets the first checkpoint of a VM that was started paused at this epoch; returns its name.
    ///
    /// A bitmap of an earlier attempt may lie in the file, with no checkpoint to it, and hold the name: then another is taken.
    fileprivate func track(uuid: String, epoch: Int, disks: [String], _ present: [String]) async throws -> String {
        let names = (1...9).map {
            CheckpointName.of(generation: $0 == 1 ? "boot-\(epoch)" : "boot-\(epoch)-\($0)")
        }
        if let there = names.last(where: present.contains) { return there }
        var refusal: HypervisorError?
        for name in names {
            do {
                try await createCheckpoint(uuid: uuid, name: name, disks: disks)
                return name
            } catch let error as HypervisorError {
                refusal = refusal ?? error
            }
        }
        throw refusal ?? HypervisorError(.failed, "no checkpoint could be set", hint: "look at libvirt's log")
    }
}
