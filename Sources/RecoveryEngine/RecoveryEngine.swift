import BlockReplication
import Hypervisors
package import SiteModel
import Synchronization
package import VaultStore

/// Runs operations: checks each against the rules, records it as a job, and drives the job to its end.
///
/// The engine moves no block and opens no disk: hypervisors and agents do, at their sites. Any number of engines may
/// share a vault; each job is driven by the one that holds its lease.
package final class RecoveryEngine: Sendable {
    package let dependencies: EngineDependencies
    package let hosts: HostDirectory
    /// The jobs that this engine drives now: a lease tells engines apart, not the tasks of one.
    let drivers = Mutex<[String: Driver]>([:])
    /// Group points that this engine is making, by their id.
    let gatherings = Mutex<[String: Gathering]>([:])

    struct Driver {
        var task: Task<Job, any Error>
        /// A dead engine had left the job open, and nobody had asked for it when this one took it up.
        var isRecovery: Bool
        /// The operation, once this engine has the lease: until then another one may be driving the job.
        var operation: Operation?
    }

    package init(_ dependencies: EngineDependencies) {
        self.dependencies = dependencies
        self.hosts = HostDirectory(vault: dependencies.vault, connections: dependencies.connections)
    }

    package var vault: any Vault { dependencies.vault }

    // MARK: Operations

    /// Runs one operation on one VM to its end and returns its job.
    ///
    /// Where an open job of the same operation waits on the VM (its engine died, or a stage failed that can only be
    /// driven on), that job is taken up again instead of a new one.
    ///
    /// - Parameters:
    ///   - arguments: `point` ("latest" or a number), `source`, and of an undo `target` ("fence" or "declared lost"),
    ///     `shutdown_limit` (seconds), `path` (where a carried first copy lies), `at` (the side that pauses: "source" or "target"); of a test `network` ("none", "create" or a name), `force` (a
    ///     reason), `within` (seconds), `scratch` (bytes), `keep` ("true"), `notes`, `host_address` and `dhcp` of the
    ///     network that is made.
    ///   - run: the step of a script that asks. What it has started before, by an engine that has died, is driven to its end
    ///     and not started again.
    ///   - hold: a stage that is not to be begun yet: the job is driven up to it and returned open. Whoever asks for the
    ///     same operation without `hold` lets it go on.
    /// - Throws: `EngineError`; kind `refused` with the rule's id when a rule forbids it, and then nothing was changed.
    @discardableResult
    package func perform(
        _ operation: Operation, on relationshipID: String, arguments: [String: String] = [:], run: RunStep? = nil,
        hold: StageName? = nil
    ) async throws -> Job {
        if let refusal = try await vault.identity()?.refusal(nil) { throw refusal }
        if let id = run?.jobID, try await vault.read({ try $0.object(Job.self, id: id) != nil }) {
            return try await drive(id, to: hold)
        }
        let relationship = try await relationship(relationshipID)
        if operation == .pause, let at = arguments["at"], ReplicationSide(rawValue: at) == nil {
            throw EngineError(
                .invalid, "pause of \(relationship.name): 'at' is \(FieldCheck.shown(at))",
                hint: "it is \"source\" or \"target\"; without it, the source", object: relationship.name)
        }
        if let word = arguments["consistency"], PointConsistency(rawValue: word) == nil {
            throw EngineError(
                .invalid, "\(operation.rawValue) of \(relationship.name): 'consistency' is \(FieldCheck.shown(word))",
                hint: "it is \"application\" or \"crash\"; without it, what the policy says", object: relationship.name)
        }
        if operation == .undo, let word = arguments["target"], DownWord(rawValue: word) == nil {
            throw EngineError(
                .invalid, "undo of \(relationship.name): 'target' is \(FieldCheck.shown(word))",
                hint: "it is \"fence\" or \"declared lost\"; without it, the target must answer",
                object: relationship.name)
        }
        if let open = try await openJob(of: relationship), open.operation == operation {
            if operation == .undo, try await giveTargetUp(in: open, arguments) {
                return try await drive(open.id, to: hold)
            }
            guard open.arguments == arguments else {
                throw EngineError(
                    .busy,
                    "\(operation.rawValue) of \(relationship.name) is under way with other options "
                        + "(job \(open.id))",
                    hint: "it was begun with: \(Self.words(open.arguments)); repeat it so, or wait for its end",
                    rule: RuleBook.operationInProgress.id, object: relationship.name)
            }
            return try await drive(open.id, to: hold)
        }
        let finished = try await finishOrphan(of: relationship, before: operation)
        if operation == .unplannedFailover || operation == .plannedFailover {
            try await learnOfHostFailovers(
                of: relationship,
                at: relationship.owner == relationship.source ? relationship.target : relationship.source)
        }
        let current = try await self.relationship(relationshipID)
        do {
            try await check(operation, on: current, arguments: arguments)
        } catch let refusal as EngineError where finished != nil {
            throw try await refused(refusal, operation, after: finished, current)
        }
        let job = try await open(operation, on: relationship, arguments: arguments, run: run, hold: hold)
        return try await drive(job.id, to: hold)
    }

    /// Drives a job up to a stage, or lets one that was held before a stage go on.
    private func drive(_ jobID: String, to hold: StageName?) async throws -> Job {
        try await vault.write { vault in
            guard var job = try vault.object(Job.self, id: jobID), job.value.hold != hold else { return }
            job.value.hold = hold
            try vault.update(job)
        }
        var job = try await drive(jobID)
        // A driver that was about to stop where the job was held before has not seen the change.
        while job.state.isOpen, job.hold != hold { job = try await drive(jobID) }
        return job
    }

    /// Drives another operation's job to its end first, if its engine is dead: nobody else may come to do it.
    ///
    /// One that fails and is given up is in nobody's way any more.
    ///
    /// - Returns: that job as it has ended; nil when there was none.
    private func finishOrphan(of relationship: Relationship, before operation: Operation) async throws -> Job? {
        guard let open = try await openJob(of: relationship), open.operation != operation,
            try await !isEnded(open, by: operation, on: relationship)
        else { return nil }
        // This engine may have taken it up a moment ago, when it started.
        let isRecovered = drivers.withLock { $0[open.id].map { $0.isRecovery && $0.operation != nil } ?? false }
        if !isRecovered {
            guard try await orphanedJobs().contains(where: { $0.id == open.id }) else { return nil }
        }
        do {
            return try await drive(open.id)
        } catch let error as EngineError {
            if let ended = try await vault.read({ try $0.object(Job.self, id: open.id)?.value }), !ended.state.isOpen {
                return ended
            }
            throw EngineError(
                error.kind,
                "\(operation.rawValue) of \(relationship.name) has not begun: a dead engine had left its "
                    + "\(open.operation.rawValue) open (job \(open.id)), which was taken up and stopped again: \(error.message)",
                hint: error.hint, object: relationship.name, cause: error)
        }
    }

    /// Whether that job is ended by the operation, and not driven on for it.
    ///
    /// A failover is ended only by an undo, and while its target does not answer: the rules see to the rest.
    private func isEnded(
        _ open: Job, by operation: Operation, on relationship: Relationship
    ) async throws -> Bool {
        guard TransitionTable.ends(operation, running: open.operation) else { return false }
        guard operation == .undo else { return true }
        guard relationship.owner == relationship.target else { return false }
        let hypervisor = try await hosts.reachableHypervisor(relationship.target)
        guard hypervisor != nil else { return true }
        return try await hosts.reachableAgent(relationship.target) == nil
    }

    /// Lets an undo that waits for its target do without it; false when the job has no use for what is said now.
    private func giveTargetUp(in open: Job, _ arguments: [String: String]) async throws -> Bool {
        guard let word = arguments["target"], open.arguments["target"] != word, open.facts["targetVerdict"] == nil,
            open.arguments.merging(["target": word], uniquingKeysWith: { $1 }) == arguments
        else { return false }
        return try await vault.write { vault in
            guard var job = try vault.object(Job.self, id: open.id), job.value.state.isOpen else { return false }
            job.value.arguments["target"] = word
            try vault.update(job)
            return true
        }
    }

    /// A refusal of an operation before which another one's job was driven on.
    ///
    /// It is no refusal to whoever asks whether something was changed: it has no rule, which its cause has.
    private func refused(
        _ refusal: EngineError, _ operation: Operation, after finished: Job?, _ relationship: Relationship
    ) async throws -> EngineError {
        guard let finished else { return refusal }
        let ended = finished.state == .succeeded ? "driven to its end" : "taken up, and failed"
        let owner = try await hosts.host(relationship.owner).name
        return EngineError(
            .failed,
            "a dead engine had left \(finished.operation.rawValue) of \(relationship.name) open; that job was \(ended), and "
                + "\(relationship.name) is \(relationship.state.rawValue) at \(owner) now. \(operation.rawValue) was not "
                + "begun: \(refusal.message)",
            hint: "look where it stands: perilune next \(relationship.name)", object: relationship.name, cause: refusal)
    }

    /// Waits for the jobs that this engine took up from dead ones, and that leave a VM half-way where it ends before them.
    ///
    /// Copies, which may take hours and lose nothing when they are begun anew, are left to the next engine.
    ///
    /// - Parameter telling: called once for each, with its operation.
    package func finishRecoveries(telling: @Sendable (Operation) -> Void = { _ in }) async {
        while let driver = drivers.withLock({ drivers in
            drivers.values.first { $0.isRecovery && $0.operation.map { !$0.isCopy } ?? false }
        }) {
            if let operation = driver.operation { telling(operation) }
            _ = await driver.task.result
        }
    }

    private static func words(_ arguments: [String: String]) -> String {
        guard !arguments.isEmpty else { return "no options" }
        return arguments.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: ", ")
    }

    /// Says whether the operation may begin now, and which rule forbids it if not.
    package func check(
        _ operation: Operation, on relationship: Relationship, arguments: [String: String] = [:]
    ) async throws {
        try await check(operation, on: relationship, item: try await item(of: relationship), arguments: arguments)
    }

    /// The same for a VM whose item need not be in the vault yet.
    func check(
        _ operation: Operation, on relationship: Relationship, item: ProtectedItem?, arguments: [String: String] = [:]
    ) async throws {
        if let refusal = try await refusal(of: operation, on: relationship, item: item, arguments: arguments) {
            throw EngineError(refusal)
        }
    }

    /// Why the operation, with these options, may not begin now; nil when it may.
    package func refusal(
        of operation: Operation, on relationship: Relationship, arguments: [String: String] = [:]
    ) async throws -> Refusal? {
        try await refusal(
            of: operation, on: relationship, item: try await item(of: relationship), arguments: arguments)
    }

    private func refusal(
        of operation: Operation, on relationship: Relationship, item: ProtectedItem?, arguments: [String: String]
    ) async throws -> Refusal? {
        var facts = try await facts(for: relationship, item: item, arguments: arguments)
        facts.targetIsGivenUp = arguments["target"] != nil
        return Guards.check(operation, on: relationship, item: item, facts: facts)
    }

    /// The answer for every operation: which may come next, and why the others may not.
    package func verdicts(on relationship: Relationship) async throws -> [Guards.Verdict] {
        let item = try await item(of: relationship)
        return Guards.verdicts(
            for: relationship, item: item, facts: try await facts(for: relationship, item: item, looking: true))
    }

    /// Which operations come next, the recommended first, and why not the others.
    package func next(on relationship: Relationship) async throws -> NextSteps {
        let item = try await item(of: relationship)
        return Guards.next(
            for: relationship, item: item, facts: try await facts(for: relationship, item: item, looking: true))
    }

    /// What comes next for a VM that is not replicated: whether it can be protected, and what is missing if not.
    ///
    /// `cloud` is nil for a VM that was found at a host: the hosts could replicate it.
    package func next(forVM name: String, in cloud: Cloud?) async throws -> NextSteps {
        let (facts, pair) = try await vault.read { vault -> (SiteFacts, CloudPair?) in
            var facts = SiteFacts()
            guard let cloud else { return (facts, nil) }
            let pair = try vault.objects(CloudPair.self).map(\.value).first { $0.primary == cloud.id }
            facts.cloudIsPaired = pair != nil
            facts.policyExists = try pair.map { try vault.object(Policy.self, id: $0.policy) != nil } ?? true
            let server = try vault.object(Server.self, id: cloud.server)?.value
            facts.isManagementVM = server?.managementVM == name
            return (facts, pair)
        }
        let nothing = Relationship(
            id: "", name: name, vmUUID: "", source: "", target: "", policy: pair?.policy ?? "", disks: [])
        let item = cloud.map {
            ProtectedItem(id: "", name: name, cloud: $0.id, pair: pair?.id ?? "", relationship: "")
        }
        return Guards.next(for: nothing, item: item, facts: facts)
    }

    // MARK: Lookups

    package func relationship(_ id: String) async throws -> Relationship {
        guard let found = try await vault.read({ try $0.object(Relationship.self, id: id)?.value }) else {
            throw EngineError(.unknown, "the vault has no relationship \(id)", hint: "see: perilune status")
        }
        return found
    }

    package func item(of relationship: Relationship) async throws -> ProtectedItem? {
        guard let id = relationship.item else { return nil }
        return try await vault.read { try $0.object(ProtectedItem.self, id: id)?.value }
    }
}
