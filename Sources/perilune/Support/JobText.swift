import RecoveryEngine
import SiteModel

/// An open job, for people: who drives it, and what takes it up when nobody does.
enum JobText {
    static func note(
        _ job: Job, _ standing: JobStanding?, vm: String, _ replicator: ReplicatorStanding, now: Timestamp
    ) -> String {
        let stage = job.stages.first { $0.state == .begun }?.name
        let place = stage.map { ", at stage \($0)" } ?? ""
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

    static func word(_ standing: JobStanding) -> String {
        switch standing {
        case .driven: "driven"
        case .held: "held"
        case .orphaned: "orphaned"
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
