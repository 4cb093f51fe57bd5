internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel

/// Shows runs of scripts, and ends those that nobody goes on with.
struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "Shows runs of scripts, or ends one that stands still.",
        subcommands: [List.self, Show.self, Cancel.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Lists runs, the newest first.")

        @OptionGroup var options: VaultOptions

        @Flag(help: "Only those that are not over.")
        var open = false

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
                let standings = try await engine.runStandings(open: open)
                if options.json {
                    return Terminal.say(try JSON.text(standings.map(RunText.Report.init)))
                }
                guard !standings.isEmpty else { return Terminal.say(open ? "no run is open" : "no script was run yet") }
                Terminal.say(Text.table([RunText.heads] + standings.map(RunText.row)))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Shows how far a run is, why it stands still, and what it has done.")

        @OptionGroup var options: VaultOptions

        @Argument(help: "Id of the run; its beginning will do.")
        var run: String

        @Flag(help: "Show every step, also those that only read.")
        var all = false

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
                let standing = try await engine.runStanding(of: engine.run(run))
                let steps = try await RunSteps.read(of: standing.run.id, in: engine)
                if options.json {
                    var report = RunText.Report(standing)
                    report.steps = steps
                    return Terminal.say(try JSON.text(report))
                }
                Terminal.say(RunText.lines(standing, steps.filter { all || $0.isEffect || $0.error != nil }))
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel", abstract: "Ends a run that nobody drives; what it has done stays done.")

        @OptionGroup var options: VaultOptions

        @Argument(help: "Id of the run; its beginning will do.")
        var run: String

        @Option(help: "Why, for the record.")
        var reason: String?

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let ended = try await engine.cancelRun(run, reason: reason)
                Terminal.say("run \(ended.id) of \(ended.script) ended: \(ended.outcome ?? "")")
            }
        }
    }
}
