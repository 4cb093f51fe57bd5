internal import ArgumentParser
import RecoveryEngine
import SiteModel

/// Runs cycles at each policy's frequency until it is stopped.
struct ReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate", abstract: "Runs cycles at each policy's frequency until stopped (Ctrl-C).")

    @OptionGroup var options: VaultOptions

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(display: JobDisplay(quiet: true))
            for recovered in try await engine.recoverOpenJobs() {
                Terminal.say(Recovery.line(recovered))
            }
            try await Interruption.cancelling {
                try await Replicator(engine: engine) { Terminal.say($0) }.run()
            }
        }
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
