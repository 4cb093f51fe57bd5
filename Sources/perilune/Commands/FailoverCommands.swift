internal import ArgumentParser
import RecoveryEngine

/// Moves a VM to its replica, in one of three ways that the operator must choose from.
struct FailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Fails a VM over to its replica: --planned, --fence or --declared-lost.",
        discussion: """
            One of the three must be given:

            \(SourceEnd.ways)
            """)

    @OptionGroup var operation: OperationOptions

    @Flag(help: "Shut the VM down cleanly first; nothing is lost.")
    var planned = false

    @Flag(help: "End the source's host by its fence.")
    var fence = false

    @Flag(help: "The source is lost: your word, recorded.")
    var declaredLost = false

    @Option(help: "Recovery point: latest, application-consistent, a number or group:NAME.")
    var point: String?

    @Option(help: "How long the guest may take to shut down, as 2min.")
    var shutdownLimit: String?

    @Option(help: ArgumentHelp("Why a point that is known to be damaged may be used.", valueName: "reason"))
    var acceptDamage: String?

    func validate() throws {
        try SourceEnd.check(planned: planned, fence: fence, declaredLost: declaredLost)
        if planned, point != nil {
            throw ValidationError("a planned failover takes no --point: it sends a last one and loses nothing")
        }
    }

    func run() async throws {
        let source = fence ? "fence" : declaredLost ? "declared lost" : nil
        let way = planned ? "--planned" : fence ? "--fence" : "--declared-lost"
        try await operation.run(
            "failover"
                + OneOperation.table(
                    [
                        ("kind", planned ? "planned" : "unplanned"), ("point", point), ("source", source),
                        ("shutdown_limit", shutdownLimit),
                    ], texts: [("accept_damage", acceptDamage)]),
            as: ["failover", operation.vm, way] + OneOperation.words([("--point", point)]))
    }
}

/// How the source of a failover goes down: one way of three, which the operator must choose.
enum SourceEnd {
    static let ways = """
          --planned        shut the VM down, send a last point: nothing is lost
          --fence          end the source's WHOLE HOST by its fence, use a point
          --declared-lost  the source is lost: your word, recorded; use a point
        """

    static func check(planned: Bool, fence: Bool, declaredLost: Bool) throws {
        let problem: String? =
            switch (planned, fence, declaredLost) {
            case (false, false, false): "say how the source goes down, by one of these"
            case (true, true, _):
                "--planned and --fence exclude each other: a planned failover needs the source's host to shut the VM down and "
                    + "to send a last point, and a fence ends that host at once; choose one"
            case (true, false, true):
                "--planned and --declared-lost exclude each other: a planned failover needs the source to send a last point, "
                    + "and a source that is lost can send none; choose one"
            case (false, true, true):
                "--fence and --declared-lost exclude each other: a fence proves that the source is down, and your word is "
                    + "for when nothing can; choose one"
            default: nil
            }
        if let problem { throw ValidationError("\(problem):\n\(ways)") }
    }
}

struct ChangePointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "change-point", abstract: "Starts a failed-over VM anew from another point, before commit.")

    @OptionGroup var operation: OperationOptions

    @Option(help: "Recovery point: latest, application-consistent, a number or group:NAME.")
    var point: String

    @Option(help: ArgumentHelp("Why a point that is known to be damaged may be used.", valueName: "reason"))
    var acceptDamage: String?

    func run() async throws {
        try await operation.run(
            "change_point" + OneOperation.table([("point", point)], texts: [("accept_damage", acceptDamage)]),
            as: ["change-point", operation.vm, "--point", point])
    }
}

struct UndoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo", abstract: "Goes back to where the VM ran before a failover that is not committed.",
        discussion: """
            What the VM has written since the failover is given up. Where the side that it was failed over to is lost, say
            how that is certain: --fence ends its WHOLE HOST by its fence, --declared-lost is your word, recorded. Should
            that side come back, its copy is kept from running.
            """)

    @OptionGroup var operation: OperationOptions

    @Flag(help: "The side it was failed over to is lost: end its host by its fence.")
    var fence = false

    @Flag(help: "The side it was failed over to is lost: your word, recorded.")
    var declaredLost = false

    func validate() throws {
        if fence, declaredLost { throw ValidationError("give --fence or --declared-lost, not both") }
    }

    func run() async throws {
        let target = fence ? "fence" : declaredLost ? "declared lost" : nil
        let words = fence ? ["--fence"] : declaredLost ? ["--declared-lost"] : []
        try await operation.run(
            "undo" + (target == nil ? "()" : OneOperation.table([("target", target)])),
            as: ["undo", operation.vm] + words)
    }
}

struct CommitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Makes a failover final; other recovery points are given up.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("commit()", as: ["commit", operation.vm]) }
}

struct ReverseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverse", abstract: "Protects a failed-over VM in the other direction.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("reverse()", as: ["reverse", operation.vm]) }
}

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Boots a point beside production, unconnected; --clean-up ends the test.",
        discussion: "A test that nobody ends is cleaned up when its time is over: --within, or two weeks.")

    @OptionGroup var operation: OperationOptions

    @Flag(help: "End the test and throw its VM and its networks away.")
    var cleanUp = false

    @Option(help: "Recovery point: latest, application-consistent, a number or group:NAME.")
    var point: String?

    @Option(help: ArgumentHelp("Why a point that is known to be damaged may be used.", valueName: "reason"))
    var acceptDamage: String?

    @Option(help: "none, create (an isolated network for this test), or the name of an isolated network.")
    var network: String?

    @Option(help: "Connect to a production network all the same, while the primary VM is off: the reason.")
    var force: String?

    @Option(help: "How long the test may last, as 2h.")
    var within: String?

    @Option(help: "How much the test VM may write, as 4GiB; a tenth of its disks if left out.")
    var scratch: String?

    @Option(help: "What is to be remembered of the test.")
    var notes: String?

    func validate() throws {
        if cleanUp, point != nil || network != nil || force != nil || within != nil || scratch != nil {
            throw ValidationError("--clean-up takes --notes alone: it ends the test that runs")
        }
    }

    func run() async throws {
        let noted = OneOperation.words([("--notes", notes)])
        if cleanUp {
            return try await operation.run(
                "clean_up_test" + OneOperation.table([], texts: [("notes", notes)]),
                as: ["test", operation.vm, "--clean-up"] + noted)
        }
        // The command's own run ends at once; the test is to outlive it.
        let options = OneOperation.table(
            [("point", point), ("within", within), ("scratch", scratch)],
            texts: [("network", network), ("force", force), ("notes", notes), ("accept_damage", acceptDamage)])
        let words = OneOperation.words([
            ("--point", point), ("--network", network), ("--force", force), ("--within", within),
            ("--scratch", scratch),
        ])
        try await operation.run(
            "test_failover(" + options.replacing("{", with: "{ keep = true,", maxReplacements: 1) + ")",
            as: ["test", operation.vm] + words + noted, then: TestText.lines(of:))
    }
}

struct CleanUpTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean-up-test", abstract: "Ends a test and throws its VM and its networks away.")

    @OptionGroup var operation: OperationOptions

    @Option(help: "What is to be remembered of the test.")
    var notes: String?

    func run() async throws {
        try await operation.run(
            "clean_up_test" + OneOperation.table([], texts: [("notes", notes)]),
            as: ["clean-up-test", operation.vm] + OneOperation.words([("--notes", notes)]))
    }
}
