import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Synchronization
import TestSupport
import VaultStore

/// The fault itself, in the middle of an operation, and the way back.
extension FaultRound {
    private var operation: SiteModel.Operation {
        switch plan.phase {
        case .firstCopy: .startFirstCopy
        case .cycle, .merge, .compare, .fold: .sync
        case .verify: .verify
        case .check: .verifyPoint
        case .reverse: .reverse
        }
    }

    /// Begins the operation, lets the faults come at their moment, and waits until it has ended, well or not.
    func strike() async throws {
        let low = log.acknowledged
        var agents: [SiteName: pid_t] = [:]
        for name in SiteName.allCases { agents[name] = try await site.agentProcess(name) }
        let machine = try machineProcess(at: from)
        let running = try begin()
        let began = ContinuousClock.now
        try await momentOfFault(running, since: began)
        report.instant = try await stageNow(running)

        var chance = plan.chance
        for fault in plan.faults {
            switch fault {
            case .sourceKilled: kill(machine, SIGKILL)
            case .engineKilled: running.killEngine()
            case .receiverKilled: if let pid = agents[to] { kill(pid, SIGKILL) }
            case .senderKilled: if let pid = agents[from] { kill(pid, SIGKILL) }
            case .targetFull: try site.fill(to, leaving: chance.number(in: 0...2 << 20))
            case .sourceFull: try site.fill(from, leaving: chance.number(in: 16 << 20...120 << 20))
            case .linkSlow: site.link.quality = WideAreaLink.Quality(rate: 3e5, delay: 0.08)
            case .linkLossy: site.link.quality = WideAreaLink.Quality(rate: plan.rate, delay: 0.005, loss: 0.1)
            case .linkCut: site.link.quality = WideAreaLink.Quality(isCut: true)
            case .linkFlips:
                site.link.quality = WideAreaLink.Quality(
                    rate: plan.rate, delay: 0.0005, flips: chance.seconds(in: 0.002...0.05))
            case .targetErrors, .sourceErrors:
                badSectors = try BadSectors(
                    site, at: fault == .targetErrors ? to : from, from: chance.seconds(in: 0.02...0.7))
            case .mapRemoved, .mapInconsistent, .mapDeleted, .checkpointDeleted, .foreignCheckpoint, .flippedBase,
                .flippedMiddle, .flippedNewest, .flippedTable, .flippedDefinition:
                break
            }
        }
        try await Task.sleep(for: .seconds(plan.duration))
        try await lift()
        try await untilSo("\(operation.rawValue) ends, well or not", within: .seconds(600)) {
            letRest(since: began)
            return running.hasEnded
        }
        report.outcome = running.outcome
        try await bound(from: low)
        faultBegan = low
    }

    private func lift() async throws {
        site.link.quality = WideAreaLink.Quality(rate: plan.rate, delay: 0.0005)
        if plan.faults.contains(.targetFull) { try site.empty(to) }
        if plan.faults.contains(.sourceFull) { try site.empty(from) }
        if let badSectors {
            try await restartSite(plan.faults.contains(.targetErrors) ? to : from, mending: badSectors)
        }
        if plan.faults.contains(.receiverKilled) || plan.faults.contains(.senderKilled) { try await site.lab.up() }
        if plan.faults.contains(.sourceKilled) {
            try await awaitEnd()
            try await restartMachine()
        }
    }

    /// Replaces the disk that fails; the site comes back as from a restart.
    private func restartSite(_ name: SiteName, mending sectors: BadSectors) async throws {
        badSectors = nil
        try await site.link.stop()
        try await site.lab.lose(name)
        try sectors.mend()
        try await site.lab.returnSite(name)
        try await site.link.start(site.lab)
        guard name == from else { return }
        try await awaitEnd()
        try await restartMachine()
    }

    // MARK: - The operation under way

    /// An operation that runs beside the round, in this process or in one that can be killed.
    final class Running: Sendable {
        private let ending = Mutex<String?>(nil)
        private let engine: EngineProcess?

        init(_ engine: EngineProcess) { self.engine = engine }

        init(_ body: @escaping @Sendable () async throws -> Job) {
            engine = nil
            Task {
                let outcome: String
                do {
                    outcome = "succeeded \(try await body().facts["legs"].map { "in \($0) legs" } ?? "")"
                } catch let error as EngineError {
                    outcome = "failed: \(error.message)"
                } catch {
                    outcome = "failed: \(error)"
                }
                ending.withLock { $0 = outcome.trimmingCharacters(in: .whitespaces) }
            }
        }

        var hasEnded: Bool { engine.map { !$0.process.isRunning } ?? ending.withLock { $0 != nil } }

        var outcome: String {
            guard let engine else { return ending.withLock { $0 } ?? "" }
            let status = engine.process.wait()
            return status == 0 ? "succeeded" : status == 128 + SIGKILL ? "engine killed" : "failed: status \(status)"
        }

        func killEngine() { engine?.kill() }
    }

    private func begin() throws -> Running {
        let (operation, id) = (operation, relationshipID)
        guard plan.faults.contains(.engineKilled) else {
            let engine = plan.phase == .firstCopy ? site.slowEngine : site.engine
            let arguments = operation == .verifyPoint ? ["point": "all"] : [:]
            return Running { try await engine.perform(operation, on: id, arguments: arguments) }
        }
        let method =
            switch operation {
            case .startFirstCopy: "start_first_copy"
            case .reverse: "reverse"
            case .verify: "verify"
            default: "sync"
            }
        let call = operation == .verifyPoint ? "verify { point = 'all' }" : "\(method)()"
        return Running(
            try EngineProcess.run(
                "recovery.vault():replicated('\(machine.name)'):\(call)", root: site.lab.configuration.root,
                vault: site.vaultPath))
    }

    /// The stage that the machine's open job has begun and not ended; nil when there is none.
    private func openStage() async throws -> String? {
        guard let id = try await relationship().activeJob else { return nil }
        let job = try await site.engine.vault.read { try $0.object(Job.self, id: id)?.value }
        return job?.stages.first { $0.state == .begun }?.name
    }

    /// Over a slow link a first copy does not come on while the guest writes as fast as the copy goes.
    private func letRest(since began: ContinuousClock.Instant) {
        if plan.phase == .firstCopy, ContinuousClock.now - began > .seconds(20) { writer?.rest(100_000) }
    }

    private func momentOfFault(_ running: Running, since began: ContinuousClock.Instant) async throws {
        let record = try await manifestPath()
        try await untilSo("stage \(plan.stage.rawValue)", within: .seconds(600)) {
            letRest(since: began)
            if running.hasEnded { return true }
            // Folding is quick: no time to ask the vault.
            if plan.phase == .fold {
                return try String(contentsOfFile: record, encoding: .utf8).contains("\"folding\"")
            }
            return try await openStage() == plan.stage.rawValue
        }
        let deadline = ContinuousClock.now + .seconds(plan.delay)
        while ContinuousClock.now < deadline, !running.hasEnded { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// The target's record, as this process reaches it.
    private func manifestPath() async throws -> String {
        "/proc/\(try await site.agentProcess(to))/root\(site.copies.folder(of: relationshipID, at: to))/manifest.json"
    }

    private func stageNow(_ running: Running) async throws -> String {
        if running.hasEnded { return "after the end" }
        return try await openStage() ?? "between stages"
    }

    // MARK: - Afterwards

    /// Rule: a fault takes no point away.
    ///
    /// What the policy keeps of the points before and after is there.
    func survivors(of before: [RecoveryPoint]) async throws {
        guard plan.phase != .reverse else { return }
        let after = try await vaultPoints()
        let numbers = Set(after.map(\.number))
        // What is found damaged only while points are merged was not known when it was decided which ones stay.
        let known = before + after.filter { point in !before.contains { $0.id == point.id } }.map(\.withoutDamage)
        let expected = Retention.kept(known, extra: plan.recoveryPoints).filter { point in
            before.contains { $0.id == point.id }
        }
        for point in expected where !numbers.contains(point.number) {
            throw RoundFailure("point \(point.number) is gone after the fault; left are \(numbers.sorted())")
        }
    }

    /// Rule: once all is given back, replication goes on by itself, or by what the engine says comes next.
    func recover() async throws {
        let low = faultBegan
        for job in try await site.engine.recoverOpenJobs() where job.job.relationship == relationshipID {
            report.way.append("recovered \(job.job.operation.rawValue)\(job.failure.map { ": \($0.message)" } ?? "")")
        }
        try await bound(from: low)
        for _ in 1...10 {
            let relationship = try await relationship()
            let step: SiteModel.Operation
            if let active = relationship.activeJob,
                let job = try await site.engine.vault.read({ try $0.object(Job.self, id: active)?.value })
            {
                step = job.operation
            } else if relationship.state == .protected {
                step = .sync
            } else {
                let steps = try await site.engine.next(on: relationship).steps.map(\.operation)
                let copying = steps.first { [.startFirstCopy, .resume, .resync, .reverse].contains($0) }
                guard let copying else {
                    throw RoundFailure("nothing comes next in state \(relationship.state.rawValue): \(steps)")
                }
                step = copying
            }
            do {
                if step == .sync { try await write(10) }
                _ = try await perform(step)
                report.way.append(step.rawValue)
                if step == .sync { return }
            } catch let failure as RoundFailure {
                report.way.append("\(failure)")
            }
        }
        throw RoundFailure("replication does not go on: \(report.way.joined(separator: "; "))")
    }
}

extension RecoveryPoint {
    fileprivate var withoutDamage: RecoveryPoint {
        var point = self
        point.damage = nil
        return point
    }
}
