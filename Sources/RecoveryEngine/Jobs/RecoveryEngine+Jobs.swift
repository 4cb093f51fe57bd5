package import SiteModel
import Synchronization
import VaultStore

/// Jobs as one engine opens and drives them, and those that another engine left open.
extension RecoveryEngine {
    func openJob(of relationship: Relationship) async throws -> Job? {
        guard let id = relationship.activeJob else { return nil }
        let job = try await vault.read { try $0.object(Job.self, id: id)?.value }
        return job.flatMap { $0.state.isOpen ? $0 : nil }
    }

    /// Records a job and marks the VM as its own, in one transaction.
    func open(
        _ operation: Operation, on relationship: Relationship, arguments: [String: String], run: RunStep?,
        hold: StageName?
    ) async throws -> Job {
        let (id, now) = (run?.jobID ?? dependencies.identifiers.next(), dependencies.clock.now)
        return try await vault.write { vault in
            guard var current = try vault.object(Relationship.self, id: relationship.id) else {
                throw EngineError(
                    .unknown, "\(relationship.name) is no longer in the vault",
                    hint: "its pair or server was removed meanwhile; protect it anew", object: relationship.name)
            }
            var (leftover, ended): (String?, Job?) = (nil, nil)
            if let active = current.value.activeJob, var other = try vault.object(Job.self, id: active),
                other.value.state.isOpen
            {
                guard TransitionTable.ends(operation, running: other.value.operation) else {
                    throw EngineError(
                        .busy, "\(other.value.operation.rawValue) is under way on \(relationship.name)",
                        hint: RuleBook.operationInProgress.hint, rule: RuleBook.operationInProgress.id,
                        object: relationship.name)
                }
                other.value.state = .cancelled
                other.value.endedAt = now
                other.value.failure = JobFailure(
                    kind: "cancelled", message: "ended by \(operation.rawValue)", hint: "see: perilune status")
                try vault.update(other)
                leftover = other.value.facts["generation"]
                ended = other.value
            }
            let during: ReplicationState
            let firstCopy = current.value.firstCopy?.method ?? .now
            switch TransitionTable.transition(from: current.value.state, operation, firstCopy: firstCopy) {
            case .allowed(let running, _): during = running
            case .refused(let rule):
                // Another engine's operation came in between the check and this.
                throw EngineError(
                    Refusal(
                        rule: rule, operation: operation, object: relationship.name, state: current.value.state))
            }
            let stages = StagePlan.stages(of: operation, from: current.value.state, firstCopy: firstCopy)
            var job = Job(
                id: id, operation: operation, relationship: relationship.id, arguments: arguments,
                origin: current.value.state, stages: stages.map { Stage(name: $0.rawValue) }, startedAt: now,
                run: run?.run)
            job.facts["leftover"] = leftover
            if let ended { job.noteEnded(ended, current.value) }
            // Kept with the job: the record of the first copy goes when that is whole.
            if operation == .protect { job.facts["firstCopy"] = firstCopy.rawValue }
            job.hold = hold
            try vault.insert(job)
            // Told by the job that pauses: should it fail, the state says that nothing is paused.
            if operation == .pause {
                current.value.pausedAt = arguments["at"].flatMap(ReplicationSide.init(rawValue:)) ?? .source
            }
            current.value.activeJob = id
            current.value.state = during
            try vault.update(current)
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text: "\(operation.rawValue) of \(relationship.name) begins"))
            return job
        }
    }

    /// Drives an open job, and lets all who ask for it in this process wait for the same driver.
    ///
    /// The driver is no child of its callers: a caller that is cancelled waits no less, and the job goes on.
    @discardableResult
    func drive(_ jobID: String, asRecovery isRecovery: Bool = false) async throws -> Job {
        let task = drivers.withLock { drivers in
            if let driver = drivers[jobID] { return driver.task }
            let task = Task(executorPreference: dependencies.executor) {
                defer { self.drivers.withLock { $0[jobID] = nil } }
                return try await self.driveAlone(jobID)
            }
            drivers[jobID] = Driver(task: task, isRecovery: isRecovery)
            return task
        }
        return try await task.value
    }

    /// Drives an open job, if no other engine does; waits for the lease of a dead one to run out.
    private func driveAlone(_ jobID: String) async throws -> Job {
        let lease = try await leaseWhenFree(jobID)
        let (job, relationship) = try await vault.read { vault in
            guard let job = try vault.object(Job.self, id: jobID)?.value,
                let relationship = try vault.object(Relationship.self, id: job.relationship)?.value
            else {
                throw EngineError(
                    .unknown, "job \(jobID) is gone from the vault",
                    hint: "its VM was removed meanwhile; see: perilune status")
            }
            return (job, relationship)
        }
        guard job.state.isOpen else {
            try await vault.write { try $0.release(lease) }
            if job.state == .succeeded { return job }
            throw EngineError(
                .failed, job.failure?.message ?? "\(job.operation.rawValue) of \(relationship.name) failed",
                hint: job.failure?.hint, object: relationship.name)
        }
        drivers.withLock { $0[jobID]?.operation = job.operation }
        let driver = JobDriver(
            dependencies: dependencies, job: job, relationship: relationship, lease: lease,
            gathering: job.arguments["group"].flatMap { group in gatherings.withLock { $0[group] } })
        try await driver.drive()
        return await driver.job
    }

    private func leaseWhenFree(_ jobID: String) async throws -> Lease {
        while true {
            do {
                let (now, dependencies) = (dependencies.clock.now, dependencies)
                return try await vault.write {
                    try $0.acquireLease(
                        Self.leaseName(jobID), holder: dependencies.holder, now: now,
                        lifetime: dependencies.leaseLifetime)
                }
            } catch let error as VaultError where error.code == .leaseHeld {
                try await dependencies.clock.sleep(seconds: min(1, dependencies.leaseLifetime / 10))
            }
        }
    }

    /// Takes up every job that no living engine drives, and drives each to its end; returns what became of them.
    ///
    /// Then the tests whose time is over are cleaned up.
    ///
    /// Call it when an engine starts. A job whose engine died a moment ago is waited for until its lease has run out;
    /// one that a living engine drives ends with that engine's word.
    @discardableResult
    package func recoverOpenJobs() async throws -> [RecoveredJob] {
        // Before anything that takes its time: these guests stand still.
        try await releaseHeldGuests()
        let open = try await vault.read { try $0.openJobs().map(\.value).filter { !$0.isHeld } }
        let recovered = try await withThrowingTaskGroup(of: RecoveredJob.self) { group in
            for job in open {
                group.addTask {
                    do {
                        return RecoveredJob(job: try await self.drive(job.id, asRecovery: true), failure: nil)
                    } catch let error as EngineError {
                        return RecoveredJob(job: job, failure: error)
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try await settleGroupPoints()
        return try await recovered + cleanUpDueTests()
    }

    /// Open jobs that no engine drives: its lease is gone, or has run out.
    ///
    /// One that is held waits for no engine.
    func orphanedJobs() async throws -> [Job] {
        let now = dependencies.clock.now
        return try await vault.read { vault in
            try vault.openJobs().map(\.value).filter { job in
                try !job.isHeld && vault.lease(Self.leaseName(job.id)).map { $0.expiresAt <= now } ?? true
            }
        }
    }

    static func leaseName(_ jobID: String) -> String { "job:\(jobID)" }
}

/// A job that another engine left open, and how it ended now.
package struct RecoveredJob: Sendable {
    package var job: Job
    package var failure: EngineError?
}
