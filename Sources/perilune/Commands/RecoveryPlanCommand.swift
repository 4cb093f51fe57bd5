internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel
import VaultStore

/// Recovery plans. (`perilune plan` is the dry run of a script: see docs/decisions/0008.)
struct RecoveryPlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery-plan", abstract: "Keeps recovery plans and runs them.",
        subcommands: [
            List.self, Show.self, Export.self, Import.self, Remove.self, Test.self, CleanUpTest.self, Failover.self,
            Commit.self, Reverse.self, Confirm.self,
        ])

    // MARK: Keeping

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the plans and how each was last run.")
        @OptionGroup var options: VaultOptions

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let plans = try await engine.vault.read { try $0.objects(RecoveryPlan.self).map(\.value) }
                if options.json { return Terminal.say(try JSON.text(plans)) }
                guard !plans.isEmpty else { return Terminal.say("there are no plans yet") }
                var rows = [["PLAN", "VMS", "GROUPS", "LAST RUN", "STATE"]]
                for plan in plans {
                    let last = try await engine.runs(of: plan).first
                    rows.append([
                        plan.name, "\(plan.vms.count)", "\(plan.bootGroups.count)",
                        last.map { "\($0.operation.rawValue) \(Text.time($0.startedAt))" } ?? "never",
                        last?.state.rawValue ?? "",
                    ])
                }
                Terminal.say(Text.table(rows))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows a plan as a tree, and what its last run came to or waits for.")
        @OptionGroup var options: VaultOptions
        @Argument(help: "Name of the plan.") var plan: String

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let plan = try await engine.plan(named: plan)
                if options.json { return Terminal.say(try await engine.exportPlan(plan)) }
                Terminal.say(try await engine.tree(of: plan))
                guard let last = try await engine.runs(of: plan).first else { return }
                Terminal.say("\n" + PlanRunText.text(of: try await engine.report(of: last, plan: plan)))
            }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Writes a plan as a file that compares well.")
        @OptionGroup var options: VaultOptions
        @Argument(help: "Name of the plan.") var plan: String
        @Option(help: "The file; standard output if left out.") var to: String?

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let text = try await engine.exportPlan(engine.plan(named: plan))
                guard let to else { return Terminal.say(String(text.dropLast())) }
                do {
                    try text.write(toFile: to, atomically: true, encoding: .utf8)
                } catch {
                    throw EngineError(.invalid, "'\(to)' cannot be written", hint: "check the path and its rights")
                }
            }
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes or changes a plan as a file says it.")
        @OptionGroup var options: VaultOptions
        @Argument(help: "The file.") var file: String

        func run() async throws {
            try await Failure.reporting {
                guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                    throw EngineError(.invalid, "'\(file)' cannot be read", hint: "check the path and its rights")
                }
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let plan = try await engine.importPlan(text)
                Terminal.say(options.json ? try JSON.text(plan) : try await engine.tree(of: plan))
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a plan with the record of its runs; its VMs stay as they are.")
        @OptionGroup var options: VaultOptions
        @Argument(help: "Name of the plan.") var plan: String

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                try await engine.removePlan(engine.plan(named: plan))
            }
        }
    }

    struct Confirm: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Confirms the manual action that a run of the plan waits for.")
        @OptionGroup var options: VaultOptions
        @Argument(help: "Name of the plan.") var plan: String
        @Option(help: "What was done and seen; it is kept with the run.") var note: String

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let step = try await engine.confirm(plan: engine.plan(named: plan), observation: note)
                Terminal.say("confirmed: \(step.detail ?? step.name)")
            }
        }
    }

    // MARK: Running

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts test VMs of the whole plan, group by group, beside production.")
        @OptionGroup var plan: PlanOptions
        @Option(help: "Isolated network to connect the test VMs to; without one they stay unconnected.")
        var network: String?

        func run() async throws { try await plan.run(.test, as: "test", [("network", network)]) }
    }

    struct CleanUpTest: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "clean-up-test", abstract: "Removes the test VMs of the whole plan, the last group first.")
        @OptionGroup var plan: PlanOptions

        func run() async throws { try await plan.run(.cleanUpTest, as: "clean_up_test", [], takesDirection: false) }
    }

    struct Failover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Moves all VMs of a plan and starts them in order: --planned, --fence or --declared-lost.",
            discussion: "One of the three must be given:\n\n\(SourceEnd.ways)")
        @OptionGroup var plan: PlanOptions
        @Flag(help: "Shut the VMs down cleanly first; nothing is lost.") var planned = false
        @Flag(help: "End the sources' hosts by their fences.") var fence = false
        @Flag(help: "The source is lost: your word, recorded.") var declaredLost = false
        @Option(help: "Recovery points: latest, application-consistent or group:NAME.") var point: String?
        @Option(help: "How long each guest may take to shut down, as 2min.") var shutdownLimit: String?

        func validate() throws {
            try SourceEnd.check(planned: planned, fence: fence, declaredLost: declaredLost)
            if planned, point != nil {
                throw ValidationError("a planned failover takes no --point: it sends a last one and loses nothing")
            }
        }

        func run() async throws {
            try await plan.run(
                planned ? .planned : .unplanned, as: "failover",
                [
                    ("kind", planned ? "planned" : "unplanned"),
                    ("source", fence ? "fence" : declaredLost ? "declared lost" : nil),
                    ("point", point), ("shutdown_limit", shutdownLimit),
                ])
        }
    }

    struct Commit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes the failovers of all VMs of a plan final; other recovery points are given up.")
        @OptionGroup var plan: PlanOptions

        func run() async throws { try await plan.run(.commit, as: "commit", [], takesDirection: false) }
    }

    struct Reverse: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replicates all committed VMs of a plan the other way; a planned failover then leads back.")
        @OptionGroup var plan: PlanOptions

        func run() async throws { try await plan.run(.reverse, as: "reverse", [], takesDirection: false) }
    }
}

/// What the commands that run a plan share.
struct PlanOptions: ParsableArguments {
    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings

    @Argument(help: "Name of the plan.")
    var plan: String

    @Option(help: "Which way, where VMs are active at both sides: primary-to-recovery or recovery-to-primary.")
    var direction: String?

    @Option(help: "How many VMs are worked on at once.")
    var limit: Int?

    @Flag(help: "With nobody at this command's terminal: wait at manual actions for recovery-plan confirm.")
    var confirmElsewhere = false

    /// Runs the plan as a small Lua run, so that it leaves the same record as a script.
    func run(
        _ operation: PlanOperation, as method: String, _ values: [(String, String?)], takesDirection: Bool = true
    ) async throws {
        if !takesDirection, direction != nil {
            throw ValidationError("--direction has a meaning for test and failover only")
        }
        try await Failure.reporting {
            let display = JobDisplay(quiet: options.json)
            let engine = try options.engine(display: display)
            try await checkPersons(for: operation, engine)
            let table = OneOperation.table(values + [("direction", direction), ("limit", limit.map { "\($0)" })])
            var scriptOptions = try settings.options(scriptFolder: FileManager.default.currentDirectoryPath)
            scriptOptions.planPrompt = Terminal.prompt(display)
            let name = plan
            let outcome: Result<Void, any Error>
            do {
                try await Scripts.run(
                    "recovery.vault():plan(\(OneOperation.quoted(name))):\(method)\(table)",
                    name: "perilune recovery-plan \(method.replacing("_", with: "-")) \(name)", generated: true,
                    engine: engine, display: display, options: scriptOptions, json: options.json)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            // What came of each VM is said in any case: most of all when something failed.
            if !options.json, let plan = try? await engine.plan(named: name),
                let last = try? await engine.runs(of: plan).first
            {
                Terminal.say(PlanRunText.text(of: try await engine.report(of: last, plan: plan)))
            }
            try outcome.get()
        }
    }

    /// A run that comes to a manual action, half of it done, is the wrong time to find that nobody is there to answer.
    private func checkPersons(for operation: PlanOperation, _ engine: RecoveryEngine) async throws {
        guard !Terminal.readsFromPerson, !confirmElsewhere else { return }
        let plan = try await engine.plan(named: plan)
        let manual = plan.manualActions(for: operation, direction.flatMap(PlanDirection.init(rawValue:)))
        guard let first = manual.first else { return }
        throw EngineError(
            .invalid,
            "plan \(plan.name) waits for a person at '\(first.name)'"
                + (manual.count > 1 ? " and \(manual.count - 1) more" : "") + ", and nobody is at this command's input",
            hint: "run it at a terminal; or with --confirm-elsewhere, and answer each from another one by: "
                + ElsewherePrompt.answer(to: plan.name), object: plan.name)
    }
}
