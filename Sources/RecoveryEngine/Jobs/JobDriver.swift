import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Drives one job through its stages, holding the job's lease.
///
/// Before a stage acts its intent is on disk, and its result after. Each stage looks at the world first and does only
/// what is missing, so a driver may be started again on a job that another one left anywhere.
actor JobDriver {
    let dependencies: EngineDependencies
    let hosts: HostDirectory
    let jobID: String
    private let lease: JobLease
    /// The job and its relationship as last written or read.
    private(set) var job: Job
    private(set) var relationship: Relationship
    private var revision = 0
    /// This driver has itself found out how the source is, a moment ago.
    var verdictIsFresh = false
    /// The backup of the source stays open when its point has been sent.
    var keepsBackup = false
    private var lastProgressWrite = Timestamp(milliseconds: 0)
    /// The other VMs that this one's next point is to be of one instant with; nil for none.
    let gathering: Gathering?

    init(
        dependencies: EngineDependencies, job: Job, relationship: Relationship, lease: Lease,
        gathering: Gathering? = nil
    ) {
        self.gathering = gathering
        self.dependencies = dependencies
        self.jobID = job.id
        self.job = job
        self.relationship = relationship
        self.lease = JobLease(dependencies: dependencies, jobID: job.id, lease: lease)
        self.hosts = HostDirectory(
            vault: dependencies.vault,
            connections: LeasedConnections(base: dependencies.connections, lease: self.lease))
    }

    var now: Timestamp { dependencies.clock.now }

    /// Drives the job to its end, or to the point where only a person can help.
    ///
    /// - Throws: `EngineError` saying what failed and what state the VM was left in.
    func drive() async throws {
        let lease = lease
        let renewal = Task(executorPreference: dependencies.executor) { await lease.renewUntilCancelled() }
        defer { renewal.cancel() }
        do {
            try await letGoOfGuest()
            try await waitForEndedJob()
            for stage in job.stages where stage.state != .done {
                guard let name = StageName(rawValue: stage.name) else {
                    throw EngineError(
                        .failed, "job \(jobID) has a stage '\(stage.name)' that this version does not know")
                }
                if try await stopsHere() { return await lease.drop() }
                try await begin(name)
                try await act(name)
                try await end(name)
            }
            try await succeed()
        } catch {
            do {
                try await fail(error)
            } catch {
                throw notOurs(error) ?? error
            }
        }
    }

    /// Waits until nobody drives the job that this one has ended.
    ///
    /// A call of its driver's may be on its way still, such as one that starts the VM at the side that is no longer to have it;
    /// the driver lets the lease go once that call has come back, and a dead engine's runs out.
    private func waitForEndedJob() async throws {
        guard let ended = job.endedJob else { return }
        let name = RecoveryEngine.leaseName(ended)
        while let held = try await dependencies.vault.read({ try $0.lease(name) }), now < held.expiresAt {
            try await dependencies.clock.sleep(seconds: min(1, dependencies.leaseLifetime / 10))
        }
    }

    /// Whether the job is held before its next stage; asked anew each time, since it may be held or let go meanwhile.
    private func stopsHere() async throws -> Bool {
        let jobID = jobID
        guard let fresh = try await dependencies.vault.read({ try $0.object(Job.self, id: jobID) }) else {
            return false
        }
        if fresh.revision > revision { (job, revision) = (fresh.value, fresh.revision) }
        return job.isHeld
    }

    private func act(_ stage: StageName) async throws {
        switch stage {
        case .prepare: try await prepare()
        case .copy: try await copy()
        case .exportFirstCopy: try await exportFirstCopy()
        case .importFirstCopy: try await importFirstCopy()
        case .endCopy: try await endCopy()
        case .verify: try await verify()
        case .checkPoints: try await checkPoints()
        case .prune: try await prune()
        case .fenceSource: try await fenceSource()
        case .shutDownSource: try await shutDownSource()
        case .settlePoint: try await settlePoint()
        case .claimOwnership: try await claimOwnership()
        case .define: try await define()
        case .connect: try await connect()
        case .start: try await start()
        case .confirm: try await confirm()
        case .fenceTarget: try await fenceTarget()
        case .withdraw: try await withdraw()
        case .returnOwnership: try await returnOwnership()
        case .startSource: try await startSource()
        case .dropPoints: try await dropPoints()
        case .quietFormerOwner: try await quietFormerOwner()
        case .adoptDisks: try await adoptDisks()
        case .turnRound: try await turnRound()
        case .flatten: try await flatten()
        case .prepareTest: try await prepareTest()
        case .createTest: try await createTest()
        case .confirmTest: try await confirmTest()
        case .removeTest: try await removeTest()
        case .release: try await release()
        }
    }

    // MARK: The record

    /// Changes the job and the relationship in one transaction, refused when the lease is lost.
    func record(
        _ change: @escaping @Sendable (inout Job, inout Relationship, any VaultWriter) throws -> Void
    ) async throws {
        let (lease, jobID, relationshipID, now) = (await lease.lease, jobID, relationship.id, now)
        let written = try await dependencies.vault.write { vault in
            try vault.require(lease, now: now)
            guard var job = try vault.object(Job.self, id: jobID),
                var relationship = try vault.object(Relationship.self, id: relationshipID)
            else { throw EngineError(.failed, "job \(jobID) is gone from the vault") }
            guard job.value.state.isOpen else { throw Superseded() }
            let before = relationship.value
            try change(&job.value, &relationship.value, vault)
            let revision = try vault.update(job).revision
            if relationship.value != before { try vault.update(relationship) }
            return (job: job.value, relationship: relationship.value, revision: revision)
        }
        // A progress line may be written meanwhile and answered later: what is newest counts.
        guard written.revision > revision else { return }
        (job, relationship, revision) = written
        dependencies.observer(job, relationship.name)
    }

    /// Takes the job and its relationship as the vault has them: a write whose answer was lost has happened all the same.
    private func reread() async throws {
        do {
            try await lease.require()
        } catch is Superseded {
            // The lease is ours and the job has ended: which way is read below.
        }
        let (jobID, relationshipID) = (jobID, relationship.id)
        let stored = try await dependencies.vault.read { vault in
            guard let job = try vault.object(Job.self, id: jobID),
                let relationship = try vault.object(Relationship.self, id: relationshipID)
            else { throw EngineError(.failed, "job \(jobID) is gone from the vault") }
            return (job: job.value, relationship: relationship.value, revision: job.revision)
        }
        guard stored.job.state.isOpen || stored.job.state == .succeeded else {
            await lease.drop()
            throw Superseded()
        }
        (job, relationship, revision) = stored
    }

    func fact(_ name: String) -> String? { job.facts[name] }

    func setFact(_ name: String, _ value: String?) async throws {
        try await record { job, _, _ in job.facts[name] = value }
    }

    func argument(_ name: String) -> String? { job.arguments[name] }

    private func begin(_ stage: StageName) async throws {
        let now = now
        try await record { job, _, _ in
            guard let index = job.stages.firstIndex(where: { $0.name == stage.rawValue }) else { return }
            job.stages[index].state = .begun
            if job.stages[index].startedAt == nil { job.stages[index].startedAt = now }
            job.failure = nil
        }
    }

    private func end(_ stage: StageName) async throws {
        let now = now
        try await record { job, _, _ in
            guard let index = job.stages.firstIndex(where: { $0.name == stage.rawValue }) else { return }
            job.stages[index].state = .done
            job.stages[index].endedAt = now
            job.progress = nil
        }
    }

    private func succeed() async throws {
        let now = now
        let firstCopy = fact("firstCopy").flatMap(Policy.FirstCopy.init(rawValue:)) ?? .now
        guard
            case .allowed(_, let after) = TransitionTable.transition(
                from: job.origin, job.operation, firstCopy: firstCopy)
        else {
            throw EngineError(
                .failed, "job \(jobID) ends where no rule leads; its vault was written by another version")
        }
        let dependencies = dependencies
        try await record { job, relationship, vault in
            job.state = .succeeded
            job.endedAt = now
            relationship.state = after
            try Self.accounting(relationship, vault, dependencies).noteState(after, after: job.operation)
            relationship.activeJob = nil
            relationship.lastError = job.facts["warning"]
            if [.cancelResync, .pauseResync].contains(job.operation) { relationship.resyncAt = nil }
            relationship.settleTrouble()
            // What was put off and then called off waits for a word, not for its time.
            if job.operation == .cancelFirstCopy { relationship.firstCopy = FirstCopyRecord(method: .now) }
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text: "\(job.operation.rawValue) of \(relationship.name) succeeded: now \(after.rawValue)"))
        }
        await lease.drop()
    }

    /// What to tell the caller when the job is no longer this driver's; nil for any other error.
    private func notOurs(_ error: any Error) -> EngineError? {
        if let lost = error as? VaultError, lost.code == .leaseLost {
            return EngineError(
                .leaseLost, "another engine drives \(job.operation.rawValue) of \(relationship.name) now",
                hint: "watch it with: perilune status", object: relationship.name, cause: error)
        }
        guard error is Superseded else { return nil }
        return EngineError(
            .failed, "\(job.operation.rawValue) of \(relationship.name) was ended by another operation on it",
            hint: "see: perilune status", object: relationship.name)
    }

    /// Gives a job up, or leaves it open where it can only be driven on, and tells the caller which.
    ///
    /// Does nothing where only the answer was lost and the job has succeeded.
    private func fail(_ error: any Error) async throws {
        if notOurs(error) != nil {
            await lease.drop()
            throw error
        }
        try await reread()
        if job.state == .succeeded { return await lease.drop() }
        // Between two stages it stands before the next one, and after the last it is all but done.
        let stage = (job.stages.first { $0.state != .done } ?? job.stages.last).flatMap { StageName(rawValue: $0.name) }
        let mustGoOn =
            stage.map {
                // An older version ended a failover for good.
                StagePlan.isFinal(
                    $0, in: job.operation, claimed: job.facts["epoch"] != nil || job.facts["endedFailover"] != nil)
            } ?? false
        let now = now
        var told = Self.describe(error)
        told.causes = ErrorCauses.of(told.kind)
        told.stage = stage?.rawValue
        told.at = now
        let name = relationship.name
        let operation = job.operation
        if mustGoOn {
            let what = told
            try await record { job, relationship, vault in
                job.failure = what
                job.failures = (job.failures ?? []) + [what]
                relationship.lastError = what.message
                try vault.append(
                    Event(
                        at: now, severity: .critical, object: relationship.id,
                        text: "\(operation.rawValue) of \(name) waits at \(stage?.rawValue ?? "?"): \(what.message)",
                        code: "job-waits", topic: .job, causes: what.causes, recommendation: what.hint))
            }
            await lease.drop()
            throw EngineError(
                .failed, "\(operation.rawValue) of \(name) stands at stage \(stage?.rawValue ?? "?"): \(what.message)",
                hint: "mend the cause, then give the same command again: it goes on from this stage. "
                    + (what.hint ?? ""),
                object: name, cause: error)
        }
        // Asked before the world is put back: whoever has the job now decides what becomes of the VM.
        try await lease.require()
        if let left = await giveUp() { told.message += "; \(left)" }
        let keeps = keepsFirstCopy && [.protect, .startFirstCopy].contains(operation)
        if keeps { told.hint = [told.hint, Self.goesOn(relationship)].compactMap { $0 }.joined(separator: ". ") }
        let what = told
        // To put the world back takes its time, and may say something of its own.
        let ended = self.now
        let state = TransitionTable.afterFailure(of: operation, from: job.origin, keepingFirstCopy: keeps)
        let dependencies = dependencies
        let next = job.endedJob == nil ? nil : dependencies.identifiers.next()
        try await record { job, relationship, vault in
            try Self.accounting(relationship, vault, dependencies).noteFailure(of: operation, what)
            job.state = .failed
            job.failure = what
            job.failures = (job.failures ?? []) + [what]
            job.endedAt = ended
            // What a test has left and could not be cleaned up is still a test: it is cleaned up by the next.
            relationship.state = operation == .testFailover && relationship.test != nil ? .testing : state
            if keeps { Self.putOff(&relationship, what, ended) }
            relationship.activeJob = nil
            relationship.lastError = what.message
            if let next, let other = try job.endedJob.flatMap({ try vault.object(Job.self, id: $0)?.value }) {
                try vault.insert(other.waitingAgain(as: next, after: job, relationship))
                relationship.activeJob = next
                try vault.append(
                    Event(
                        at: ended, severity: .critical, object: relationship.id,
                        text:
                            "\(other.operation.rawValue) of \(name), which \(operation.rawValue) had ended, waits again",
                        code: "job-waits", topic: .job, recommendation: Self.wayOn(other.operation)))
            }
            if operation.copies, let finding = relationship.note(what, at: ended) {
                try vault.append(
                    Event(
                        at: ended, severity: .critical, object: relationship.id,
                        text:
                            "replication of \(name) has stopped (now \(relationship.state.rawValue)): \(what.message)",
                        code: finding.rawValue, topic: .vm, causes: what.causes, recommendation: what.hint))
            }
            try vault.append(
                Event(
                    at: ended, severity: .warning, object: relationship.id,
                    text: "\(operation.rawValue) of \(name) failed: \(what.message)", code: "job-failed", topic: .job,
                    causes: what.causes, recommendation: what.hint))
        }
        await lease.drop()
        let waiting = try await waitingAgain(next)
        let own = error as? EngineError
        if let own, own.message == what.message, waiting == nil { throw own }
        let again = waiting.map { "; \($0.rawValue), which it had ended, waits again" } ?? ""
        throw EngineError(
            own?.kind ?? .failed,
            "\(operation.rawValue) of \(name) failed at \(stage?.rawValue ?? "its start"): \(what.message)\(again)",
            hint: waiting.map { [what.hint, Self.wayOn($0)].compactMap { $0 }.joined(separator: "; ") } ?? what.hint,
            rule: own?.rule, object: name, cause: error)
    }

    /// The operation of the job that waits again because this one has failed; nil when there is none.
    private func waitingAgain(_ id: String?) async throws -> SiteModel.Operation? {
        guard let id else { return nil }
        return try await dependencies.vault.read { try $0.object(Job.self, id: id)?.value.operation }
    }

    private static func wayOn(_ waiting: SiteModel.Operation) -> String {
        waiting == .undo
            ? "undo it again, with target = \"fence\" or \"declared lost\" where the target does not answer; or fail it over again"
            : "\(waiting.rawValue) goes on when its target answers; or undo it again"
    }

    static func describe(_ error: any Error) -> JobFailure {
        switch error {
        case let error as EngineError: JobFailure(kind: error.kind.rawValue, message: error.message, hint: error.hint)
        case let error as HypervisorError:
            JobFailure(kind: error.code.rawValue, message: error.message, hint: error.hint)
        case let error as ReplicationError:
            JobFailure(kind: error.code.rawValue, message: error.message, hint: error.hint)
        case let error as VaultError: JobFailure(kind: error.code.rawValue, message: error.message, hint: error.hint)
        default: JobFailure(kind: "failed", message: "\(error)", hint: nil)
        }
    }

    // MARK: Progress

    /// Shows how far the copy is: to the observer always, in the vault once a second.
    func show(_ progress: TransferProgress) async {
        job.progress = progress
        dependencies.observer(job, relationship.name)
        guard now.seconds(since: lastProgressWrite) >= 1 else { return }
        lastProgressWrite = now
        // Losing a progress line is no reason to fail a copy: the next stage's record tells of a lost lease.
        try? await record { job, _, _ in job.progress = progress }
    }
}
