internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// Runs cycles at each policy's frequency until it is stopped.
struct ReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate", abstract: "Runs cycles at each policy's frequency until stopped (Ctrl-C).")

    @OptionGroup var options: VaultOptions

    func run() async throws {
        try await Failure.reporting {
            let report = ReplicationReport()
            let engine = try options.engine(display: JobDisplay(quiet: true))
            Terminal.say(try await Self.watched(by: engine))
            do {
                _ = try await Interruption.cancelling {
                    for recovered in try await engine.recoverOpenJobs() { Terminal.say(Recovery.line(recovered)) }
                    try await withThrowingDiscardingTaskGroup { group in
                        group.addTask { try await Replicator(engine: engine) { report.tell($0) }.run() }
                        group.addTask { try await SiteWatch(engine: engine) { report.tell($0) }.run() }
                    }
                }
            } catch is CancellationError {}
            Terminal.say("stopped")
        }
    }

    /// What is replicated, and how often.
    private static func watched(by engine: RecoveryEngine) async throws -> String {
        let (relationships, policies) = try await engine.vault.read { vault in
            (try vault.objects(Relationship.self).map(\.value), try vault.objects(Policy.self).map(\.value))
        }
        guard !relationships.isEmpty else { return "no VM is replicated yet; a VM is taken up once it is protected" }
        let words = relationships.map { relationship in
            let policy = policies.first { $0.id == relationship.policy }
            return relationship.name + (policy.map { " every \($0.copyFrequencySeconds) s" } ?? "")
        }
        let count = relationships.count == 1 ? "1 VM" : "\(relationships.count) VMs"
        return "replicating \(count): \(words.joined(separator: ", ")) (Ctrl-C stops)"
    }
}

enum Recovery {
    /// What became of a job that a dead engine left behind.
    static func line(_ recovered: RecoveredJob) -> String {
        let job = recovered.job
        return "taken up \(job.operation.rawValue) (job \(job.id.prefix(8))): "
            + (recovered.failure.map { $0.message } ?? job.state.rawValue)
    }
}
