internal import ArgumentParser

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "sync", abstract: "Makes a new recovery point now.")

    @OptionGroup var operation: OperationOptions

    @Option(help: "application (the guest's agent freezes it for the point's instant) or crash.")
    var consistency: String?

    func run() async throws {
        try await operation.run(
            "sync" + (consistency == nil ? "()" : OneOperation.table([("consistency", consistency)])),
            as: ["sync", operation.vm] + OneOperation.words([("--consistency", consistency)]))
    }
}

struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "pause", abstract: "Holds replication back.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("pause()", as: ["pause", operation.vm]) }
}

struct ResyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resync",
        abstract: "Compares the disks of both sides and sends what differs: now, at a time, or no more.")

    @OptionGroup var operation: OperationOptions

    @Option(help: ArgumentHelp("Put it off by so long, at most 7 days.", valueName: "duration"))
    var after: String?

    @Option(help: ArgumentHelp("Put it off to this time of day, such as 22:30.", valueName: "time"))
    var at: String?

    @Flag(help: "End the one that runs or is held back, or call off the one that was put off.")
    var cancel = false

    func validate() throws {
        guard [after != nil, at != nil, cancel].count(where: { $0 }) <= 1 else {
            throw ValidationError("give one of --after, --at and --cancel")
        }
    }

    func run() async throws {
        let options = [("after", after), ("at", at)]
        let words =
            ["resync", operation.vm] + (cancel ? ["--cancel"] : [])
            + OneOperation.words(options.map { ("--\($0.0)", $0.1) })
        let call =
            cancel
            ? "cancel_resync()"
            : options.allSatisfy { $0.1 == nil }
                ? "resync()"
                : "resync \(OneOperation.table(options))"
        try await operation.run(call, as: words)
    }
}

struct UnprotectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unprotect", abstract: "Ends replication; the VM stays where it runs, its points are removed.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("unprotect()", as: ["unprotect", operation.vm]) }
}
