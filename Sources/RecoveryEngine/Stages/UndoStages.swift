import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// How an operator says that a side which does not answer is down.
enum DownWord: String {
    case fence
    case declaredLost = "declared lost"
}

/// Back from a failover that is not committed.
///
/// The VM is the source's by the vault's word before its copy at the target ends, so that a source that is lost then is failed
/// over anew. Nobody starts it at the source in between: libvirt's hook there refuses a definition of another epoch than the
/// host's record, and the definition is marked last.
extension JobDriver {
    /// Makes sure that a target that is given up no longer runs the VM, and remembers how that is known.
    ///
    /// Without a word of the operator's the target is there, and its copy is ended as it is withdrawn.
    func fenceTarget() async throws {
        guard fact("targetVerdict") == nil, let word = argument("target").flatMap(DownWord.init(rawValue:)) else {
            return
        }
        // A host is not ended for a VM that could not be started anywhere else then.
        guard try await canTakeOver(relationship.source) else {
            throw EngineError(
                .unreachable,
                "\(try await hosts.host(relationship.source).name), where \(relationship.name) is to start again, or its agent "
                    + "does not answer\(fact("endedAtTarget") == nil ? "; nothing was done to the target" : "")",
                hint: "bring it back and repeat", object: relationship.name)
        }
        let verdict = try await targetVerdict(word)
        guard verdict != .unknown else {
            throw EngineError(
                .targetNotDown, "it is not known whether the target of \(relationship.name) still runs",
                hint: "mend its fence, or make sure by hand that it cannot run, and give target = \"declared lost\"",
                rule: RuleBook.targetMustBeDown.id, object: relationship.name)
        }
        try await setFact("targetVerdict", verdict.rawValue)
    }

    private func targetVerdict(_ word: DownWord) async throws -> SourceVerdict {
        if word == .fence {
            let host = try await hosts.host(relationship.target)
            if host.hasFence {
                if relationship.ranAtOwner != false { try await noteEnding() }
                let outcome = await dependencies.fencing.fence(host)
                try outcome.requireProof(
                    that: host, of: relationship.name, isDown: .targetNotDown, rule: RuleBook.targetMustBeDown.id,
                    orSay: "target = \"declared lost\", --declared-lost")
                return outcome.verdict
            }
        }
        let otherwise: SourceVerdict = word == .declaredLost ? .declared : .unknown
        guard let hypervisor = try await hosts.reachableHypervisor(relationship.target) else { return otherwise }
        do {
            if try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true {
                try await noteEnding()
                try await hypervisor.destroy(uuid: relationship.vmUUID)
            }
            return .proven
        } catch let error as HypervisorError {
            return try await verdict(of: hypervisor, at: relationship.target, after: error, otherwise)
        }
    }

    /// Remembers, before it is done, that a VM is ended which its target still owns.
    private func noteEnding() async throws {
        if relationship.owner == relationship.target { try await setFact("endedAtTarget", "true") }
    }

    /// The VM runs on at its target: it was ended there for an undo that has failed before the ownership went back.
    ///
    /// An engine that died as it ended it, and a fence that failed, leave open whether it was: its hypervisor knows. Where that
    /// cannot be done now the target's host is owed the start, and `SiteWatch` makes it when the host answers.
    ///
    /// - Returns: what has become of the VM; nil where it was not ended.
    func restartAtTarget() async -> String? {
        let verdict = fact("targetVerdict")
        guard fact("endedAtTarget") != nil, verdict == nil || verdict == SourceVerdict.proven.rawValue,
            job.endedJob == nil, relationship.owner == relationship.target
        else { return nil }
        do {
            try await checkOwnership(of: relationship.target)
            let hypervisor = try await hosts.hypervisor(relationship.target)
            if verdict == nil, try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true {
                return nil
            }
            try await hypervisor.start(uuid: relationship.vmUUID, paused: false)
            return "the VM was ended at its target for it, and has been started there again"
        } catch {
            let (now, name) = (now, relationship.name)
            let (was, isOff) = verdict == nil ? ("may have been", "may be") : ("was", "is")
            let left =
                "the VM \(was) ended at its target for it, and \(isOff) off at both sides: it is started at the target when "
                + "that answers (perilune replicate); or bring the source back and undo again"
            try? await record { _, relationship, vault in
                relationship.startOwedAt = relationship.epoch
                try vault.append(
                    Event(
                        at: now, severity: .critical, object: relationship.id, text: "undo of \(name) failed; \(left)",
                        code: "off-at-both-sides", topic: .vm))
            }
            return left
        }
    }

    func returnOwnership() async throws {
        let verdict = fact("targetVerdict").flatMap(SourceVerdict.init(rawValue:)) ?? .unknown
        try await takeOwnership(for: relationship.source) { relationship in
            if let failover = relationship.failover {
                relationship.checkpoint = failover.sourceCheckpoint
                relationship.disks = Self.disks(before: failover, now: relationship.disks)
            }
            relationship.failover = nil
            relationship.leftCopy = LeftCopy(epoch: relationship.epoch - 1, verdict: verdict)
            // From here on the source's disks are the VM again, so that it can be failed over anew if the source is
            // lost now.
            relationship.state = .protected
        }
    }

    /// Stops the failed-over VM and throws its overlay away: the points under it are as they were.
    ///
    /// At a target that is given up it is left where it is, for whoever comes there next.
    func withdraw() async throws {
        guard job.operation == .undo else { return try await withdrawCopy(of: relationship.epoch) }
        guard try await !answers(relationship.target) else {
            // One that an older version left has no record of the copy: it is of the epoch before.
            let claimed = fact("epoch").flatMap(Int.init) ?? relationship.epoch
            return try await withdrawCopy(of: relationship.leftCopy?.epoch ?? claimed - 1)
        }
        guard argument("target") != nil else {
            throw EngineError(
                .unreachable, "the target of \(relationship.name) does not answer, and a copy of the VM may run there",
                hint: "bring it back and repeat; or give target = \"fence\" or, if you know that it is, "
                    + "target = \"declared lost\"", rule: RuleBook.targetMustBeDown.id, object: relationship.name)
        }
        try await fenceTarget()
        guard let verdict = fact("targetVerdict").flatMap(SourceVerdict.init(rawValue:)) else { return }
        let (now, host) = (now, try await hosts.host(relationship.target).name)
        try await record { _, relationship, vault in
            relationship.leftCopy?.verdict = verdict
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "\(relationship.name) goes back to its source without \(host), which is \(verdict.rawValue) "
                        + "down; what the VM wrote there since the failover is given up", code: "target-given-up",
                    topic: .vm))
        }
    }

    /// Whether a host does what it is asked: one that only says that it is there could not take the VM.
    private func canTakeOver(_ host: String) async throws -> Bool {
        guard let hypervisor = try await hosts.reachableHypervisor(host),
            let agent = try await hosts.reachableAgent(host)
        else { return false }
        do {
            _ = try await agent.ownership(relationship: relationship.id)
            return try await hypervisor.domain(uuid: relationship.vmUUID) != nil
        } catch let error where error is HypervisorError || error is ReplicationError {
            return false
        }
    }

    private func answers(_ host: String) async throws -> Bool {
        guard try await hosts.reachableHypervisor(host) != nil else { return false }
        return try await hosts.reachableAgent(host) != nil
    }

    /// Ends the copy at the target that ran under that ownership, and throws its disks' overlay away.
    private func withdrawCopy(of epoch: Int) async throws {
        let hypervisor = try await hosts.hypervisor(relationship.target)
        // An engine that died here may have undefined it already.
        if try await hypervisor.domain(uuid: relationship.vmUUID) != nil {
            try await hypervisor.destroy(uuid: relationship.vmUUID)
            try await hypervisor.undefine(uuid: relationship.vmUUID)
        }
        try await hosts.agent(relationship.target).discardBootImages(relationship: relationship.id, epoch: epoch)
        try await record { _, relationship, _ in relationship.leftCopy = nil }
    }

    func startSource() async throws {
        try await checkOwnership(of: relationship.source)
        if relationship.leftCopy != nil {
            try await quiet(at: relationship.target, isProven: fact("targetVerdict") == SourceVerdict.proven.rawValue)
        }
        // Marks the definition: from here on it may be started.
        try await recordOwnershipAtHosts([relationship.source], required: true)
        let hypervisor = try await hosts.hypervisor(relationship.source)
        // Whoever suspended this copy set its links down, and a boot of its host leaves no other trace of that.
        try await hypervisor.setLinks(uuid: relationship.vmUUID, up: true)
        try await hypervisor.start(uuid: relationship.vmUUID, paused: false)
        let source = relationship.source
        try await record { _, relationship, _ in
            if relationship.formerCopy?.host == source { relationship.formerCopy = nil }
        }
    }

    /// The last look at the other side before the VM runs at its owner: since it was given up it may have come back, running.
    ///
    /// Not one that does not answer: what was found out about it, or declared, stands.
    func quiet(at host: String, isProven: Bool) async throws {
        guard let hypervisor = try await hosts.reachableHypervisor(host) else { return }
        // Its own host lets nobody start it once it knows of the new ownership.
        try await recordOwnershipAtHosts([host], required: false)
        let found: Domain?
        do {
            found = try await hypervisor.domain(uuid: relationship.vmUUID)
        } catch let error as HypervisorError {
            guard !isProven, try await hosts.reachableHypervisor(host) != nil else { return }
            throw stillThere(host, "its hypervisor answers and does not say whether the VM runs", error)
        }
        guard let domain = found, domain.power.isActive else { return }
        try await hypervisor.quiet(domain)
        let (name, copy) = (
            try await hosts.host(host).name,
            FormerCopy(host: host, state: .suspended, epoch: relationship.epoch - 1, at: now)
        )
        try await record { _, relationship, vault in _ = try copy.note(in: &relationship, hostName: name, vault) }
    }

    /// Throws away what an undo has left at the target, now that it answers: nothing new is made beside it.
    ///
    /// A copy that is active is ended only by a failover, `ending`: the VM's points lead on, and that copy was given up.
    func clearLeftCopy(ending: Bool) async throws {
        guard let left = relationship.leftCopy else { return }
        let (now, host) = (now, try await hosts.host(relationship.target).name)
        let domain = try await hosts.hypervisor(relationship.target).domain(uuid: relationship.vmUUID)
        if domain?.power.isActive == true {
            guard ending else {
                throw EngineError(
                    .refused, "\(relationship.name) is still active at \(host), which an undo has taken it from",
                    hint: "save what it holds if you need it, end it there, then repeat",
                    rule: RuleBook.oneWritableCopy.id, object: relationship.name)
            }
            try await record { _, relationship, vault in
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id,
                        text:
                            "the copy of \(relationship.name) that an undo had given up is ended at \(host): the VM is "
                            + "started there from a recovery point"))
            }
        }
        try await withdrawCopy(of: left.epoch)
    }
}
