internal import ArgumentParser

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "sync", abstract: "Makes a new recovery point now.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("sync()", as: ["sync", operation.vm]) }
}

struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "pause", abstract: "Holds replication back.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("pause()", as: ["pause", operation.vm]) }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets paused or failed replication go on.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("resume()", as: ["resume", operation.vm]) }
}

struct ResyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resync", abstract: "Compares the disks of both sides and sends what differs.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("resync()", as: ["resync", operation.vm]) }
}

struct UnprotectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unprotect", abstract: "Ends replication; the VM stays where it runs, its points are removed.")

    @OptionGroup var operation: OperationOptions

    func run() async throws { try await operation.run("unprotect()", as: ["unprotect", operation.vm]) }
}
