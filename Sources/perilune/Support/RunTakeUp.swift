import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Synchronization

/// Goes on with runs of scripts whose processes have died, as long as the engine's service runs.
struct RunTakeUp: Sendable {
    let engine: RecoveryEngine

    /// Seconds between two looks.
    private static let interval = 5.0

    /// Looks again and again, until it is cancelled; each run that is found is driven beside the others.
    func run() async throws {
        let taken = Mutex<Set<String>>([])
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                for run in try await engine.orphanedRuns() {
                    // One that cannot be gone on with here is told of once, and left to a person.
                    guard taken.withLock({ $0.insert(run.id).inserted }) else { continue }
                    group.addTask { await goOn(with: run) }
                }
                try await engine.dependencies.clock.sleep(seconds: Self.interval)
            }
        }
    }

    private func goOn(with run: Run) async {
        let name = "run \(run.id.prefix(8)) of \(run.script)"
        Terminal.say("\(name): its process has died; it goes on here")
        do {
            var options = try Scripts.options(of: run, labRoot: nil)
            options.tell = { Terminal.say("\(name): \($0)") }
            let runner = ScriptRunner(engine: engine, options: options)
            let outcome = try await runner.resume(run.id) { Terminal.say("\(name): \($0)") }
            Terminal.say("\(name): " + (outcome.error.map { Failure.words(for: $0).message } ?? "succeeded"))
        } catch is CancellationError {
        } catch {
            let (message, hint) = Failure.words(for: error)
            Terminal.say("\(name) cannot go on here: \(message)\(hint.map { " (\($0))" } ?? "")")
        }
    }
}
