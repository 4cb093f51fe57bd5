import RecoveryEngine
import SiteModel

/// An open job, for people: who drives it, and what takes it up when nobody does.
enum JobText {
    static func note(
        _ job: Job, _ standing: JobStanding?, vm: String, _ replicator: ReplicatorStanding, now: Timestamp
    ) -> String {
        let stage = job.stages.first { $0.state == .begun }?.name
        let place = (stage.map { ", at stage \($0)" } ?? "") + (job.progress.map { ", " + progress($0) } ?? "")
        let name = "\(vm): \(job.operation.rawValue) (job \(job.id.prefix(8)))"
        switch standing {
        case .orphaned(let heard):
            let dead =
                "\(name) has no engine: it died\(place), last heard of \(Text.age(now.seconds(since: heard))) ago"
            if replicator.isRunning { return dead + "; perilune replicate takes it up by itself" }
            return dead + "; take it up: \(takeUp(job, vm: vm))"
        case .held: return "\(name) is under way, held before \(job.hold?.rawValue ?? "its next stage") by a plan"
        case .driven(let holder): return "\(name) is under way\(place), driven by \(holder.words)"
        case nil: return "\(name) is under way\(place)"
        }
    }

    /// As in "3.2 GiB of 40 GiB, 85 MiB/s, 7 min left".
    private static func progress(_ progress: TransferProgress) -> String {
        let left = progress.secondsLeft.map { ", \(Text.duration($0)) left" } ?? ""
        return "\(Text.bytes(progress.done)) of \(Text.bytes(progress.total)), "
            + "\(Text.bytes(UInt64(progress.bytesPerSecond)))/s\(left)"
    }

    static func word(_ standing: JobStanding) -> String {
        switch standing {
        case .driven: "driven"
        case .held: "held"
        case .orphaned: "orphaned"
        }
    }

    /// The command that begins an operation, for whoever reads which may come next; nil where only a script can.
    static func command(for operation: Operation, vm: String) -> String? {
        let words: String? =
            switch operation {
            case .sync, .pause, .resume, .resync, .undo, .commit, .reverse, .unprotect, .cleanUpTest:
                "\(operation.rawValue) \(Text.word(vm))"
            case .verify: "verify-vm \(Text.word(vm))"
            case .verifyPoint: "verify-vm \(Text.word(vm)) --point all"
            case .cancelVerify: "verify-vm \(Text.word(vm)) --cancel"
            case .pauseResync: "pause \(Text.word(vm))"
            case .cancelResync: "resync \(Text.word(vm)) --cancel"
            case .testFailover: "test \(Text.word(vm))"
            case .plannedFailover: "failover \(Text.word(vm)) --planned"
            case .unplannedFailover: "failover \(Text.word(vm)) --fence, or --declared-lost"
            case .changePoint: "change-point \(Text.word(vm)) --point NUMBER"
            case .protect, .startFirstCopy, .importFirstCopy, .cancelFirstCopy: nil
            }
        return words.map { "perilune \($0)" }
    }

    /// The same for a step, with the options that it must be given.
    static func command(for step: NextSteps.Step, vm: String) -> String? {
        command(for: step.operation, vm: vm).map { command in
            step.operation == .undo && step.needs == ["target"] ? "\(command) --fence, or --declared-lost" : command
        }
    }

    /// The command that takes up the job that has the VM; nil where an engine drives it, or it waits for its plan.
    static func takeUp(_ row: VMStatus) -> String? {
        guard let job = row.job, row.jobStanding?.isOrphaned == true else { return nil }
        return takeUp(job, vm: row.relationship.name)
    }

    private static func takeUp(_ job: Job, vm: String) -> String {
        "perilune " + (job.command(vm: vm) ?? ["replicate"]).map(Text.word).joined(separator: " ")
    }
}
