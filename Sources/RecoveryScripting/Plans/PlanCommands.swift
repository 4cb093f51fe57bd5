import Foundation
import RecoveryEngine
import SiteModel

/// Runs the commands of plans on this machine: the power `exec`.
struct PlanCommands: ActionRunner {
    let clock: any EngineClock

    func run(_ argv: [String], timeout: Double) async throws -> ActionOutput {
        let program = ProgramRun(
            arguments: argv, environment: ExecFunction.environment, folder: nil,
            outputLimit: PlanLimits.outputBytes / 2, timeout: timeout, clock: clock)
        do {
            let result = try await program.result()
            let text = [result.output, result.errors].map { String(decoding: $0.bytes, as: UTF8.self) }.joined()
            return ActionOutput(text, status: Int32(clamping: result.status ?? 128 + (result.signal ?? 0)))
        } catch .cancelled {
            throw CancellationError()
        } catch .timedOut {
            throw ActionFailure(
                "it was not done within \(PlanValue.shown(timeout)) s",
                hint: "look why it takes so long, or raise its timeout")
        } catch {
            throw ActionFailure(
                "'\(argv.first ?? "")' could not be run: \(error)", hint: "check that it is there and may be run")
        }
    }
}
