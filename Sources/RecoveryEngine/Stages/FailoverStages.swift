import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Seconds that a guest has to shut down when its power button is pressed.
private let defaultShutdownLimit = 120.0

/// Moving a VM to its replica.
extension JobDriver {
    /// Makes sure that the source no longer runs the VM, and remembers how that is known.
    func fenceSource() async throws {
        if fact("verdict") != nil { return }
        try await checkBeforeEnding()
        let fenced = try await fencedSource()
        let verdict = if let fenced { fenced } else { try await sourceVerdict() }
        verdictIsFresh = true
        guard verdict != .unknown else {
            throw EngineError(
                .sourceNotDown, "it is not known whether the source of \(relationship.name) still runs",
                hint: "have it ended (source = \"fence\", --fence); or, if you know that it is down, say so "
                    + "(source = \"declared lost\", --declared-lost)",
                rule: "source-must-be-down", object: relationship.name)
        }
        try await setFact("verdict", verdict.rawValue)
    }

    /// Ends the source's host by its fence; nil where that was not asked for, or it has none.
    private func fencedSource() async throws -> SourceVerdict? {
        guard argument("source") == "fence" else { return nil }
        let host = try await hosts.host(relationship.source)
        guard host.hasFence else { return nil }
        let outcome = await dependencies.fencing.fence(host)
        verdictIsFresh = true
        try outcome.requireProof(
            that: host, of: relationship.name, isDown: .sourceNotDown, rule: RuleBook.sourceMustBeDown.id,
            orSay: "source = \"declared lost\", --declared-lost")
        return outcome.verdict
    }

    private func sourceVerdict() async throws -> SourceVerdict {
        let otherwise: SourceVerdict = argument("source") == "declared lost" ? .declared : .unknown
        guard let hypervisor = try await hosts.reachableHypervisor(relationship.source) else { return otherwise }
        do {
            // The hypervisor answers: ending the VM there is proof, and better than anybody's word.
            try await endAtSource(hypervisor)
            return .proven
        } catch let error as HypervisorError {
            return try await verdict(of: hypervisor, at: relationship.source, after: error, otherwise)
        }
    }

    /// What is known of a source where the VM could not be ended.
    ///
    /// Whoever declared it lost could not see it either; its hypervisor can, and what it says counts.
    func verdict(
        of hypervisor: any Hypervisor, at host: String, after error: HypervisorError, _ otherwise: SourceVerdict
    ) async throws -> SourceVerdict {
        let seen: Domain?
        do {
            seen = try await hypervisor.domain(uuid: relationship.vmUUID)
        } catch is HypervisorError {
            guard try await hosts.reachableHypervisor(host) != nil else { return otherwise }
            throw stillThere(host, "its hypervisor answers and does not say whether the VM runs", error)
        }
        guard let seen else { return otherwise }
        guard seen.power.isActive else { return .proven }
        throw stillThere(host, "the VM could not be ended there and is \(seen.power.rawValue)", error)
    }

    func stillThere(_ host: String, _ what: String, _ error: HypervisorError) -> EngineError {
        let side = host == relationship.source ? "source" : "target"
        return EngineError(
            side == "source" ? .sourceNotDown : .targetNotDown,
            "the \(side) of \(relationship.name) is not down: \(what) (\(error.message))",
            hint: "end the VM there, or its whole host (\(side) = \"fence\", or by hand), and repeat: "
                + "a \(side) that answers is not taken for lost on anybody's word",
            rule: "\(side)-must-be-down", object: relationship.name, cause: error)
    }

    private func endAtSource(_ hypervisor: any Hypervisor) async throws {
        try await noteWhetherRunning(hypervisor)
        try await hypervisor.endBackup(uuid: relationship.vmUUID)
        let limit = argument("shutdown_limit").flatMap(Double.init) ?? 30
        if try await !hypervisor.shutDown(uuid: relationship.vmUUID, limit: .seconds(limit)) {
            try await hypervisor.destroy(uuid: relationship.vmUUID)
        }
    }

    /// Shuts the VM down cleanly, so that its last point can be read at rest and its change map is written.
    func shutDownSource() async throws {
        let source = try await hosts.hypervisor(relationship.source)
        // A guest is not stopped for a last point that cannot be made.
        try await checkLineage(at: try await hosts.agent(relationship.target))
        try await checkNameAtTarget()
        if let domain = try await source.domain(uuid: relationship.vmUUID) {
            try await checkReplicableShape(of: domain)
        }
        try await checkFirmwareCanBeRead(at: source)
        let limit = argument("shutdown_limit").flatMap(Double.init) ?? defaultShutdownLimit
        try await noteWhetherRunning(source)
        try await source.endBackup(uuid: relationship.vmUUID)
        guard try await source.shutDown(uuid: relationship.vmUUID, limit: .seconds(limit)) else {
            throw EngineError(
                .shutdownTimedOut,
                "\(relationship.name) did not shut down within \(Int(limit)) s; it still runs at its source",
                hint: "its power button was pressed, so it may still go down: look at it; then shut it down "
                    + "from inside, raise shutdown_limit, or fail over unplanned",
                object: relationship.name)
        }
        try await setFact("verdict", SourceVerdict.proven.rawValue)
    }

    /// Remembers that the VM ran, before it is stopped: a failover that is given up lets it run on.
    private func noteWhetherRunning(_ source: any Hypervisor) async throws {
        guard fact("ran") == nil, try await source.domain(uuid: relationship.vmUUID)?.power.isActive == true else {
            return
        }
        try await setFact("ran", "true")
    }

    /// Chooses the point and throws away what is half received.
    func settlePoint() async throws {
        if job.operation == .unplannedFailover { try await clearLeftCopy(ending: true) }
        let agent = try await hosts.agent(relationship.target)
        if let leftover = fact("leftover") {
            try await agent.abandonPoint(relationship: relationship.id, generation: leftover)
        }
        try await adoptUnrecordedPoints(at: agent)
        let points = try await agent.points(relationship: relationship.id)
        let chosen = try await chosenPoint(among: points)
        try await checkStart(from: chosen, among: points)
        // What a newest point held that is gone from the target is in no map that a reversal could join: it must compare.
        let hasDiverged =
            Lineage.contradiction(points: points, newest: relationship.newestGeneration, number: nil) != nil
        try await record { job, _, _ in
            job.facts["diverged"] = hasDiverged ? "true" : nil
            job.facts["chosen"] = chosen.generation
            job.facts["point"] = String(chosen.number)
            job.facts["at"] = String(chosen.at.milliseconds)
        }
    }

    private func chosenGeneration() throws -> String {
        guard let chosen = fact("chosen") else {
            throw EngineError(.failed, "job \(jobID) has lost its chosen point", object: relationship.name)
        }
        return chosen
    }

    func claimOwnership() async throws {
        let generation = try chosenGeneration()
        if fact("epoch") == nil { try await checkClaim() }
        let (planned, verdict, hasDiverged) = (
            job.operation == .plannedFailover, fact("verdict"), fact("diverged") != nil
        )
        let now = now
        try await takeOwnership(for: relationship.target) { relationship in
            if relationship.failover == nil {
                relationship.formerCopy = nil
                relationship.failover = FailoverRecord(
                    planned: planned, generation: generation,
                    sourceVerdict: verdict.flatMap(SourceVerdict.init(rawValue:)) ?? .unknown, at: now,
                    sourceCheckpoint: relationship.checkpoint)
                relationship.failover?.disks = relationship.disks
            }
            relationship.failover?.generation = generation
            if hasDiverged { relationship.failover?.sourceCheckpoint = nil }
            relationship.leftCopy = nil
        }
    }

    /// The last look before ownership goes over: time may have passed since the source was seen to be down.
    private func checkClaim() async throws {
        guard job.operation != .changePoint else { return }
        var facts = SiteFacts()
        if job.operation == .plannedFailover {
            let source = try await hosts.hypervisor(relationship.source)
            let runs = try await source.domain(uuid: relationship.vmUUID)?.power.isActive ?? false
            facts.runningAt = runs ? [relationship.source] : []
        } else if !verdictIsFresh, let source = try await hosts.reachableHypervisor(relationship.source),
            (try? await source.domain(uuid: relationship.vmUUID))??.power.isActive == true
        {
            // It came back, running, while nobody drove this job.
            try await setFact("verdict", nil)
            try await fenceSource()
        }
        facts.sourceVerdict = fact("verdict").flatMap(SourceVerdict.init(rawValue:))
        if let refusal = Guards.checkClaim(job.operation, on: relationship, facts: facts) { throw EngineError(refusal) }
    }

    /// Makes the boot images and defines the VM at the target, as it was at the chosen point, with the target's
    /// networks.
    func define() async throws {
        let agent = try await hosts.agent(relationship.target)
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let generation = try chosenGeneration()
        let images = try await agent.createBootImages(
            relationship: relationship.id, generation: generation, epoch: relationship.epoch)
        // One that an earlier try has defined and marked may have been started since: by hand, as its owner's.
        let mark = Ownership(
            relationship: relationship.id, owner: relationship.owner, epoch: relationship.epoch)
        let isActive = try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true
        if isActive, try await hypervisor.ownership(uuid: relationship.vmUUID) != mark {
            throw EngineError(
                .failed, "\(relationship.name) runs at the target before this failover has defined it there",
                hint: "shut it down there, keep its disks, and repeat", object: relationship.name)
        }
        let (made, nics) = try await definition(at: generation, images: images)
        var definition = made
        try await addressAfterFailover(&definition)
        if !isActive {
            // An older definition of this VM carries checkpoints of disks that it no longer has.
            try await hypervisor.undefine(uuid: relationship.vmUUID)
            try await placeFirmware(at: generation, for: relationship.vmUUID, in: &definition)
            try await hypervisor.define(xml: definition.xml)
            try await hypervisor.setAutostart(uuid: relationship.vmUUID, false)
        }
        try await record { _, relationship, _ in if let nics { relationship.nics = nics } }
        try await recordDisks(of: images)
        try await recordOwnershipAtHosts([relationship.target], required: true)
    }

    /// The VM's definition at a point, on these images and on the networks that the mappings give, with what is to be known of
    /// its NICs on the way back.
    func definition(
        at generation: String, images: [BootImage]
    ) async throws -> (DomainDefinition, nics: [ReplicatedNIC]?) {
        let xml = try await hosts.agent(relationship.target).domainXML(
            relationship: relationship.id, generation: generation)
        var definition = try DomainDefinition(xml: xml)
        definition.removeHostState()
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        try await settleExcludedDisks(in: &definition, besides: images.map(\.target))
        try await settleOtherDisks(in: &definition, images)
        let nics = definition.nics
        let networks = try await networks(for: nics)
        try definition.setNetworks(networks)
        return (definition, connections(of: nics, networks))
    }

    /// A disk that is left out does not exist at the other side; at home it still does, as it was when the VM left.
    ///
    /// A point from before it was left out still has it.
    private func settleExcludedDisks(in definition: inout DomainDefinition, besides covered: [String]) async throws {
        let excluded = (relationship.excludedDisks ?? []).filter { !covered.contains($0) }
        guard !excluded.isEmpty else { return }
        definition.removeDisks(excluded)
        guard relationship.target == relationship.home,
            let former = try? await hosts.hypervisor(relationship.target).inactiveXML(uuid: relationship.vmUUID)
        else { return }
        definition.adoptDisks(excluded, from: try DomainDefinition(xml: former))
    }

    /// Checks that the networks that the VM is to be on exist at the target: a missing one would keep it from starting.
    func connect() async throws {
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let present = Set(try await hypervisor.networks())
        let wanted = try await hypervisor.domain(uuid: relationship.vmUUID)?.nics.compactMap(\.network) ?? []
        if let missing = wanted.first(where: { !present.contains($0) }) {
            throw EngineError(
                .failed, "the target has no network '\(missing)' for \(relationship.name)",
                hint: "define it there; it has: \(present.sorted().joined(separator: ", "))",
                object: relationship.name)
        }
    }

    /// Starts the VM paused, begins to track its changes, and only then lets it run: not one write goes unseen.
    func start() async throws {
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let uuid = relationship.vmUUID
        let checkpoint = CheckpointName.of(generation: "boot-\(relationship.epoch)")
        try await checkOwnership(of: relationship.target)
        guard let domain = try await hypervisor.domain(uuid: uuid) else {
            throw EngineError(.failed, "\(relationship.name) is not defined at the target", object: relationship.name)
        }
        if domain.power != .running {
            try await quiet(at: relationship.source, isProven: relationship.failover?.sourceVerdict == .proven)
            try await hypervisor.start(uuid: uuid, paused: true)
            if try await !hypervisor.checkpoints(uuid: uuid).contains(checkpoint) {
                try await hypervisor.createCheckpoint(
                    uuid: uuid, name: checkpoint, disks: relationship.disks.map(\.target))
            }
            try await hypervisor.resume(uuid: uuid)
        }
        // Somebody may have started it by hand: of what it wrote before this nobody knows, so that both sides are compared.
        let isTracked = try await hypervisor.checkpoints(uuid: uuid).contains(checkpoint)
        try await record { _, relationship, _ in relationship.checkpoint = isTracked ? checkpoint : nil }
    }

    /// Looks whether the VM runs on.
    ///
    /// One that has powered itself off is failed over all the same: the way on is another point,
    /// and that way must be open.
    func confirm() async throws {
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let power = try await hypervisor.domain(uuid: relationship.vmUUID)?.power
        let (now, name) = (now, relationship.name)
        try await record { _, relationship, _ in relationship.lastFailoverAt = now }
        guard power != .running else { return }
        let what =
            "\(name) was started at the target and is \(power?.rawValue ?? "not there") now: "
            + "look at its log there, start it, or change its recovery point"
        try await record { job, relationship, vault in
            job.facts["warning"] = what
            try vault.append(Event(at: now, severity: .critical, object: relationship.id, text: what))
        }
    }

    // MARK: Commit

    /// Drops the way back: the chosen point becomes the VM's only past.
    func dropPoints() async throws {
        guard let failover = relationship.failover else {
            throw EngineError(.failed, "\(relationship.name) has no failover to commit", object: relationship.name)
        }
        try await hosts.agent(relationship.target).dropPoints(
            relationship: relationship.id, allBut: failover.generation)
        try await record { _, relationship, vault in
            relationship.newestGeneration = failover.generation
            // The VM went back to these disks, and for good.
            if relationship.divergence?.host == relationship.target { relationship.divergence = nil }
            for point in try vault.objects(RecoveryPoint.self, parent: relationship.id)
            where point.value.id != failover.generation {
                try vault.delete(point)
            }
            try GroupPoint.takeApart(losing: relationship.id, in: vault)
        }
    }
}
