internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel

// Each of these is a small Lua run, so that a command given at three in the morning leaves the same record as a script.

/// What the single-operation commands share.
struct OperationOptions: ParsableArguments {
    @OptionGroup var options: VaultOptions

    @Argument(help: "Name of the VM.")
    var vm: String

    /// Runs `call`, an operation with its options in Lua, on the VM.
    func run(_ call: String) async throws {
        try await Failure.reporting {
            let display = JobDisplay(quiet: options.json)
            let engine = try options.engine(display: display)
            let text = """
                local vm = \(OneOperation.quoted(vm))
                local relationship = recovery.vault():replicated(vm)
                local job = relationship:\(call)
                print(string.format("%s: %s in %.1f s; now %s at %s", vm, job.operation, job.took,
                  relationship.state, relationship.owner.name))
                """
            try await Scripts.run(
                text, name: Scripts.generatedName, engine: engine, display: display,
                options: ScriptOptions(standardLibrary: StandardLibrary.locate(program: OwnProgram.path())),
                json: options.json)
        }
    }
}

enum OneOperation {
    /// A Lua string literal: bytes outside plain text are escaped, so that a name can never end the literal.
    static func quoted(_ text: String) -> String {
        var literal = "\""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<32, 127...: literal += String(format: "\\%03d", byte)
            default: literal.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return literal + "\""
    }

    /// A Lua table of those options that have a value.
    static func table(_ options: [(String, String?)]) -> String {
        "{ " + options.compactMap { name, value in value.map { "\(name) = \(quoted($0))" } }.joined(separator: ", ")
            + " }"
    }
}

struct FailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Fails a VM over to its replica.",
        discussion: """
            --planned shuts the source down and loses nothing. Without it the newest point is taken, and it must be known that \
            the source is down: --fence ends it, --declared-lost is your word for it.
            """)

    @OptionGroup var operation: OperationOptions

    @Flag(help: "Shut the source down cleanly first; nothing is lost.")
    var planned = false

    @Flag(help: "End the source's host by its fence.")
    var fence = false

    @Flag(help: "The source is lost: your word, recorded.")
    var declaredLost = false

    @Option(help: "Recovery point: latest or a number.")
    var point: String?

    @Option(help: "How long the guest may take to shut down, as 2min.")
    var shutdownLimit: String?

    func validate() throws {
        if fence && declaredLost { throw ValidationError("give --fence or --declared-lost, not both") }
        if planned && (fence || declaredLost || point != nil) {
            throw ValidationError("a planned failover needs no --fence, --declared-lost or --point: it loses nothing")
        }
    }

    func run() async throws {
        let source = fence ? "fence" : declaredLost ? "declared lost" : nil
        try await operation.run(
            "failover"
                + OneOperation.table([
                    ("kind", planned ? "planned" : "unplanned"), ("point", point), ("source", source),
                    ("shutdown_limit", shutdownLimit),
                ]))
    }
}

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Boots a point beside production, unconnected; --clean-up ends the test.")

    @OptionGroup var operation: OperationOptions

    @Flag(help: "End the test and throw its VM away.")
    var cleanUp = false

    @Option(help: "Recovery point: latest or a number.")
    var point: String?

    @Option(help: "Isolated network to connect the test VM to; without one it stays unconnected.")
    var network: String?

    func run() async throws {
        try await operation.run(
            cleanUp
                ? "clean_up_test()" : "test_failover" + OneOperation.table([("point", point), ("network", network)]))
    }
}

struct CommitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Makes a failover final; other recovery points are given up.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("commit()") }
}

struct ReverseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverse", abstract: "Protects a failed-over VM in the other direction.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("reverse()") }
}
