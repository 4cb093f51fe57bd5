import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// How one leg of a first copy goes.
struct LegPlan: Sendable {
    /// Seconds that it takes, as a rule.
    var seconds: Double
    /// How many times in a row a leg was given up because scratch space ran low: each makes the next one shorter.
    var shortened = 0
}

/// A first copy, in legs: each is one instant of the source that brings over a part of what is missing, and all that changed
/// since the last leg.
///
///     leg 1:  [#####................]   from the beginning to the frontier, of instant 1
///     leg 2:  [x##x#######..........]   what changed below the frontier, and further: all below is of instant 2 now
///     leg 3:  [##x####x#############]   nothing is missing: the base is the source at instant 3, and becomes the first point
///
/// The target keeps the base between legs, through failures of either side and of the engine, and tells how far it has come
/// whenever a leg is opened. What a leg that failed has left there does not count, and is sent again.
extension JobDriver {
    /// Whether the copy makes the base of the points to come.
    var isFirstCopy: Bool { relationship.newestGeneration == nil && job.operation != .reverse }

    /// Whether the target holds legs of a first copy that is not whole.
    var keepsFirstCopy: Bool { (relationship.growing?.legs ?? 0) > 0 }

    /// Legs that were given up for lack of scratch space, one after the other, before the copy is.
    private static var mostShortened: Int { 3 }
    /// After so many legs in a row that sent more of what had changed than of what was missing, somebody is told.
    private static var slowLegs: Int { 3 }

    func copyInLegs(to target: any Agent) async throws {
        var plan = LegPlan(seconds: dependencies.legSeconds)
        while true {
            let generation = dependencies.identifiers.next()
            try await setFact("generation", generation)
            do {
                let point = try await copyPart(generation: generation, to: target, leg: plan) {
                    try await target.openPoint($0)
                }
                if let point { return try await recordPoint(point) }
                plan.shortened = 0
            } catch {
                // What came of this leg would only take up space; earlier ones stay.
                try? await target.abandonPoint(relationship: relationship.id, generation: generation)
                switch (error as? ReplicationError)?.code {
                case .noUsableBitmap where !comparing: try await setFact("comparing", "true")
                case .noScratch where plan.shortened < Self.mostShortened: plan.shortened += 1
                default: throw error
                }
            }
        }
    }

    /// A leg ends when half of the reserved scratch space is used, and is given up at a quarter left; after one that was, both
    /// earlier.
    func limits(of leg: LegPlan) -> LegLimits {
        let reserve = ScratchReserve.bytes(for: relationship.disks)
        let share = UInt64(2) << UInt64(leg.shortened)
        return LegLimits(
            seconds: leg.seconds * 2 / Double(share), endBelow: reserve - reserve / share, abortBelow: reserve / 4)
    }

    /// The checkpoint that tells what changed below the base's frontier: one that was begun on the present files.
    func trustedCheckpoint(of base: GrowingBase) -> String? {
        guard let checkpoint = base.checkpoint, relationship.growing?.checkpoints.contains(checkpoint) == true else {
            return nil
        }
        return checkpoint
    }

    /// Makes the leg count at the target, and only then ends the source's older checkpoint; returns whether nothing is missing
    /// any more.
    func endLeg(
        _ base: GrowingBase, _ ticket: PointTicket, _ summary: TransferSummary, _ checkpoint: String?,
        at target: any Agent
    ) async throws -> Bool {
        // Before it counts: whoever finds it there must know its checkpoint for one of ours.
        try await record { _, relationship, _ in
            var progress = relationship.growing ?? FirstCopyProgress()
            if let checkpoint, !progress.checkpoints.contains(checkpoint) { progress.checkpoints.append(checkpoint) }
            relationship.growing = progress
        }
        let sizes = Dictionary(
            relationship.disks.map { ($0.target, $0.size) }, uniquingKeysWith: { first, _ in first })
        // A sender that is older than legs has sent all.
        let frontiers = summary.leg?.frontiers ?? sizes
        try await target.endLeg(
            EndLeg(
                relationship: relationship.id, generation: ticket.generation, checksums: summary.checksums,
                frontiers: frontiers, marks: summary.leg?.marks ?? [:], bytes: summary.bytes, checkpoint: checkpoint))
        try await recordLeg(base, summary, checkpoint)
        guard frontiers != sizes else { return true }
        let hypervisor = try await hosts.hypervisor(relationship.source)
        if try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true {
            try await hypervisor.discardCheckpoints(uuid: relationship.vmUUID, keeping: checkpoint)
        }
        return false
    }

    private func recordLeg(_ base: GrowingBase, _ summary: TransferSummary, _ checkpoint: String?) async throws {
        let (now, name) = (now, relationship.name)
        let isSlow = (summary.leg?.renewed ?? 0) > summary.bytes / 2
        try await record { job, relationship, vault in
            var progress = relationship.growing ?? FirstCopyProgress()
            progress.legs = base.legs &+ 1
            progress.bytes = base.bytes &+ summary.bytes
            progress.checkpoints = [checkpoint].compactMap { $0 }
            progress.slowLegs = isSlow ? progress.slowLegs + 1 : 0
            relationship.growing = progress
            relationship.checkpoint = checkpoint
            job.facts["legs"] = String(progress.legs)
            // Both sides were compared: from here on there is a map again.
            job.facts["comparing"] = nil
            guard progress.slowLegs == Self.slowLegs else { return }
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "the first copy of \(name) comes on slowly: its guest writes nearly as fast as the copy goes",
                    code: "first-copy-slow", topic: .vm,
                    recommendation: "give it a quicker way to the target or a quieter hour"))
        }
    }

    /// What is said of a first copy that was interrupted.
    static func goesOn(_ relationship: Relationship) -> String {
        let (legs, bytes) = (relationship.growing?.legs ?? 0, relationship.growing?.bytes ?? 0)
        return
            "what \(legs) legs brought over (\(bytes >> 20) MiB) stays at the target: start the first copy and it goes on from "
            + "there, as it does by itself where cycles run; unprotect gives it up"
    }

    /// An interrupted first copy is gone on with in a minute, where cycles run, unless a person has to look first.
    static func putOff(_ relationship: inout Relationship, _ failure: JobFailure, _ now: Timestamp) {
        let failures = (relationship.failuresInARow ?? 0) + 1
        let waits = FailureJudgement.finding(failure.kind, inARow: failures) != nil
        var plan = relationship.firstCopy ?? FirstCopyRecord(method: .now)
        plan.method = waits ? .now : .scheduled
        plan.startAt = waits ? nil : now.advanced(bySeconds: 60)
        relationship.firstCopy = plan
    }
}
