import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Making sure that points are what they must be.
extension JobDriver {
    /// Makes a point and compares it with its source as a whole, at the point's own instant: the backup stays open for it.
    ///
    /// What differs becomes a further point, at the same instant: the comparison itself mends what it finds. Done again after a
    /// stop, it begins with a new point, unless that further point is whole by then.
    func verify() async throws {
        try await checkOwnership(of: relationship.source)
        try await clearLeftCopy(ending: false)
        let target = try await hosts.agent(relationship.target)
        if try await takeUpVerification(at: target) { return }
        try await settleLineage(at: target)
        keepsBackup = true
        do {
            let generation = dependencies.identifiers.next()
            try await setFact("generation", generation)
            let point = try await copyPoint(generation: generation, to: target) { try await target.openPoint($0) }
            try await recordPoint(point)
            try await compare(point, at: target)
        } catch {
            await endVerification(at: target)
            guard (error as? ReplicationError)?.code == .noUsableBitmap, !comparing else { throw error }
            try await setFact("comparing", "true")
            return try await verify()
        }
        await endVerification(at: target)
    }

    /// Goes on with what an earlier attempt has left; true when nothing is left to do.
    private func takeUpVerification(at target: any Agent) async throws -> Bool {
        guard let generation = fact("generation") else { return false }
        let sealed = try await target.points(relationship: relationship.id).first { $0.generation == generation }
        if let sealed, let verified = fact("verified") {
            try await note(replacement: sealed, of: verified, at: target)
            return true
        }
        if let sealed { try await recordPoint(sealed) } else { await endVerification(at: target) }
        try await record { job, _, _ in (job.facts["generation"], job.facts["verified"]) = (nil, nil) }
        return false
    }

    /// Ends what is open of it at both sides; best effort, since the next job on this VM does the same.
    private func endVerification(at target: any Agent) async {
        keepsBackup = false
        try? await hosts.hypervisor(relationship.source).endBackup(uuid: relationship.vmUUID)
        if let generation = fact("generation") {
            try? await target.abandonPoint(relationship: relationship.id, generation: generation)
        }
    }

    /// Compares the newest point with the source's instant that it was made of.
    private func compare(_ point: PointSummary, at target: any Agent) async throws {
        let sender = try await hosts.agent(relationship.source)
        let folder = try await hosts.host(relationship.source).store
        let wasActive = point.cause != .planned
        let socket = "\(folder)/sockets/\(point.generation.prefix(8)).sock"
        let generation = dependencies.identifiers.next()
        try await record { job, _, _ in
            (job.facts["verified"], job.facts["generation"]) = (point.generation, generation)
        }
        let disks = try relationship.disks.map { disk -> SourceDisk in
            guard let image = disk.images[relationship.source] else {
                throw EngineError(
                    .failed, "no file is known for disk \(disk.target) of \(relationship.name) at its source")
            }
            return SourceDisk(
                target: disk.target, size: disk.size,
                from: wasActive ? .export(socket: socket, name: disk.target) : .image(image), extents: .differing)
        }
        let ticket = try await target.openPoint(
            OpenPoint(
                relationship: relationship.id, vm: VMIdentity(name: relationship.name, uuid: relationship.vmUUID),
                generation: generation, previous: point.generation,
                disks: relationship.disks.map { DiskGeometry(target: $0.target, size: $0.size) }))
        let summary = try await whileOurs { [self] in
            try await sendWatchingScratch(SendPoint(ticket: ticket, disks: disks), by: sender)
        }
        guard let differing = summary.differing else {
            throw EngineError(
                .failed, "the agent at the source of \(relationship.name) does not say what differs",
                hint: "run the same version of perilune in the engine and at the hosts", object: relationship.name)
        }
        guard summary.marksText == fact("marks") || wasActive else {
            throw EngineError(
                .failed, "the disks of \(relationship.name) were written while they were verified",
                hint: "verify again: a VM that runs is compared at one instant", object: relationship.name)
        }
        try await setFact("compared", String(summary.scanned))
        guard differing > 0 else {
            try await target.abandonPoint(relationship: relationship.id, generation: generation)
            return try await noteEqual(point, summary)
        }
        let replicated = self.relationship
        let context = try await dependencies.vault.read { try SiteRecord(of: replicated, in: $0).text() }
        let xml = try await target.domainXML(relationship: relationship.id, generation: point.generation)
        var seal = SealPoint(
            relationship: relationship.id, generation: generation, number: relationship.lastPointNumber + 1,
            cause: point.cause == .initial ? .crashConsistent : point.cause, at: point.at, epoch: relationship.epoch,
            owner: relationship.owner, domainXML: xml, checksums: summary.checksums, context: context)
        // It is the same instant, so what the VM kept outside its disks is the same.
        seal.firmwareOf = point.generation
        let sealed = try await target.sealPoint(seal)
        try await note(replacement: sealed, of: point.generation, at: target)
    }

    /// Both sides are the same.
    private func noteEqual(_ point: PointSummary, _ summary: TransferSummary) async throws {
        let (now, name, id) = (now, relationship.name, point.generation)
        let speed = summary.seconds > 0 ? Double(summary.scanned) / summary.seconds : 0
        try await record { job, relationship, vault in
            if var stored = try vault.object(RecoveryPoint.self, id: id) {
                stored.value.verifiedAt = now
                try vault.update(stored)
            }
            job.facts["verifiedAt"] = String(now.milliseconds)
            job.facts["findings"] =
                "point \(point.number) is what the source held at its instant: \(summary.scanned) bytes compared"
                + (speed > 0 ? ", \(Int(speed / 1_000_000)) MB/s" : "")
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text: "point \(point.number) of \(name) was verified: it is what its source held",
                    code: "point-verified", topic: .vm))
        }
    }

    /// The two sides differed, and the further point holds what the source has there.
    private func note(replacement: PointSummary, of verified: String, at target: any Agent) async throws {
        try await recordPoint(replacement)
        let checked = try await target.checkPoints(
            CheckPoints(relationship: relationship.id, replacedBy: replacement.generation)
        ) { _ in }
        try await noteChecks(checked.points)
        let now = now
        let wrong = checked.points.first { $0.generation == verified }
        let what = wrong?.damage?.text ?? "it was not what its source held"
        let finding =
            "point \(wrong.map { String($0.number) } ?? "?") was wrong (\(what)); point \(replacement.number) of the same "
            + "instant holds what the source has there"
        try await record { job, relationship, vault in
            if var stored = try vault.object(RecoveryPoint.self, id: replacement.generation) {
                stored.value.verifiedAt = now
                try vault.update(stored)
            }
            job.facts["verifiedAt"] = String(now.milliseconds)
            job.facts["findings"] = finding
            job.facts["warning"] = "verification found a difference: \(finding)"
            try vault.append(
                Event(
                    at: now, severity: .critical, object: relationship.id,
                    text: "verification of \(relationship.name) found a difference: \(finding)", code: "verify-differs",
                    topic: .vm,
                    causes: ["the target's storage has changed blocks", "a change at the source was missed"],
                    recommendation:
                        "check the storage at the target; verify its older points: verify { point = \"all\" }"))
        }
    }

    /// Reads stored points where they are and compares them with what was written.
    func checkPoints() async throws {
        let target = try await hosts.agent(relationship.target)
        let points = try await target.points(relationship: relationship.id)
        let wanted = argument("point") ?? "latest"
        let chosen =
            switch wanted {
            case PointChoice.all: points
            case "latest": Array(points.suffix(1))
            case PointChoice.applicationConsistent:
                Array(points.filter { $0.cause == .applicationConsistent }.suffix(1))
            default: points.filter { String($0.number) == wanted || $0.generation == wanted }
            }
        guard let last = chosen.last else {
            throw EngineError(
                .unknown, "\(relationship.name) has no recovery point \(wanted)",
                hint: "it has: \(points.map { String($0.number) }.joined(separator: ", "))",
                rule: "recovery-point-unknown", object: relationship.name)
        }
        let executor = dependencies.executor
        let request = CheckPoints(relationship: relationship.id, generations: chosen.map(\.generation))
        let checked = try await whileOurs {
            try await target.checkPoints(request) { progress in
                Task(executorPreference: executor) { await self.show(progress) }
            }
        }
        try await noteChecks(checked.points)
        let read = Set(chosen.map(\.generation))
        let wrong = checked.points.filter { read.contains($0.generation) && $0.damage != nil }
        var findings = wrong.map { "point \($0.number) is damaged: \($0.damage?.text ?? "")" }
        let partly = chosen.filter { checked.unrecorded[$0.generation, default: 0] > 0 }
        if wrong.isEmpty {
            findings.append("\(chosen.count - partly.count) of \(chosen.count) points hold what was written to them")
        }
        if let most = checked.unrecorded.values.max(), most > 0 {
            findings.append(
                "of \(most) bytes nothing tells what was written (an adopted disk, or a point of an older version): "
                    + "a verification against the source compares them")
        }
        let (text, first, now) = (findings.joined(separator: "\n"), findings.first, now)
        try await record { job, _, _ in
            job.facts["findings"] = text
            job.facts["compared"] = String(checked.bytes)
            job.facts["point"] = String(last.number)
            job.facts["at"] = String(last.at.milliseconds)
            if wrong.isEmpty, partly.isEmpty { job.facts["verifiedAt"] = String(now.milliseconds) }
            if !wrong.isEmpty { job.facts["warning"] = first }
        }
    }

    /// Takes into the vault what the target knows of its points: what was found wrong, be it while merging, or right.
    func noteChecks(_ summaries: [PointSummary]) async throws {
        let id = relationship.id
        let known = try await dependencies.vault.read { vault in
            try vault.objects(RecoveryPoint.self, parent: id).map(\.value)
        }
        let news = summaries.filter { summary in
            known.contains {
                $0.id == summary.generation
                    && ($0.damage != summary.damage || $0.checkedAt != (summary.checkedAt ?? $0.checkedAt))
            }
        }
        guard !news.isEmpty else { return }
        let now = now
        try await record { _, relationship, vault in
            for summary in news {
                guard var point = try vault.object(RecoveryPoint.self, id: summary.generation) else { continue }
                let wasWhole = point.value.damage == nil
                point.value.damage = summary.damage
                point.value.checkedAt = summary.checkedAt ?? point.value.checkedAt
                try vault.update(point)
                guard wasWhole, let damage = summary.damage else { continue }
                try vault.append(
                    Event(
                        at: now, severity: .critical, object: relationship.id,
                        text: "point \(summary.number) of \(relationship.name) is damaged: \(damage.text)",
                        code: "point-damaged", topic: .vm, causes: ["the target's storage has changed or lost blocks"],
                        recommendation:
                            "verify the VM: what is wrong is sent again as a new point; look at the target's disks"
                    ))
            }
        }
    }

    /// Does what takes long, and ends it when another operation has ended this job: a failover must not wait for a look.
    private func whileOurs<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value
    {
        let (clock, vault, jobID) = (dependencies.clock, dependencies.vault, jobID)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                while !Task.isCancelled {
                    try await clock.sleep(seconds: 1)
                    let job = try? await vault.read { try $0.object(Job.self, id: jobID)?.value }
                    if let job, !job.state.isOpen { throw Superseded() }
                }
                return nil
            }
            defer { group.cancelAll() }
            while let value = try await group.next() {
                if let value { return value }
            }
            throw CancellationError()
        }
    }
}

extension TransferSummary {
    /// The marks of the files that were read, as a job keeps them; nil for a running VM.
    var marksText: String? {
        guard let marks, !marks.isEmpty else { return nil }
        return marks.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }
}
