internal import ArgumentParser

/// The command line of Perilune.
struct Perilune: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perilune",
        abstract: "Runs disaster recovery as code: failover scripts in Lua, on real disks of real VMs.",
        discussion: """
            Exit codes: 0 done; 1 an operation or script failed; 2 refused by a rule, nothing was changed; \
            3 a host, agent or vault does not answer or cannot be opened, or a check of doctor fails; 4 interrupted; 5 a run stands still and waits for a person; 64 the command line is wrong.
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Scripts",
                subcommands: [
                    RunCommand.self, RunsCommand.self, ResumeCommand.self, AnswerCommand.self, PlanScriptCommand.self,
                    VerifyScriptCommand.self,
                    ReplCommand.self,
                    LuaCommand.self,
                ]),
            CommandGroup(
                name: "At three in the morning",
                subcommands: [
                    StatusCommand.self, NextCommand.self, HealthCommand.self, FailoverCommand.self,
                    ChangePointCommand.self, UndoCommand.self, CommitCommand.self, ReverseCommand.self,
                    TestCommand.self, CleanUpTestCommand.self,
                ]),
            CommandGroup(
                name: "Applications of several VMs",
                subcommands: [RecoveryPlanCommand.self, GroupPointCommand.self]),
            CommandGroup(
                name: "Replication of one VM",
                subcommands: [
                    SyncCommand.self, PauseCommand.self, ResyncCommand.self,
                    VerifyCommand.self, DivergenceCommand.self, UnprotectCommand.self,
                ]),
            CommandGroup(
                name: "Services and upkeep",
                subcommands: [
                    ReplicateCommand.self, AgentCommand.self, AuthorityCommand.self, HostCommand.self,
                    VaultCommand.self, DoctorCommand.self, AlertCommand.self,
                ]),
            CommandGroup(name: "The lab, and sites to simulate", subcommands: [LabCommand.self, SiteCommand.self]),
        ])
}

enum Version {
    static let text = "0.1.0"
}
