internal import ArgumentParser
import RecoveryEngine
import SiteModel

/// Makes sure that a VM's points are what they must be.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-vm",
        abstract: "Compares both sides of a VM whole at one instant; or reads stored points against their checksums.")

    @OptionGroup var operation: OperationOptions

    @Option(
        help: ArgumentHelp(
            "Copy nothing: read this stored point at its host, or \"latest\" or \"all\".", valueName: "number"))
    var point: String?

    @Flag(help: "End the verification that runs.")
    var cancel = false

    func validate() throws {
        guard point == nil || !cancel else { throw ValidationError("give one of --point and --cancel") }
    }

    func run() async throws {
        let words =
            ["verify-vm", operation.vm] + OneOperation.words([("--point", point)]) + (cancel ? ["--cancel"] : [])
        let call =
            cancel ? "cancel_verify()" : point == nil ? "verify()" : "verify \(OneOperation.table([("point", point)]))"
        try await operation.run(call, as: words)
    }
}

/// Shows what a former owner's disks hold that the VM went on without.
struct DivergenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "divergence",
        abstract: "Lists, exports or gives up what the former owner's disks hold that the VM went on without.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Name of the VM.")
    var vm: String

    @Option(
        help: ArgumentHelp(
            "Write it to this new folder at the host that has the disks: a raw sparse file a disk.", valueName: "folder"
        ))
    var export: String?

    @Option(help: ArgumentHelp("Give it up, for this reason.", valueName: "reason"))
    var discard: String?

    func validate() throws {
        guard export == nil || discard == nil else { throw ValidationError("give one of --export and --discard") }
    }

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(display: JobDisplay(quiet: true))
            guard let row = try await engine.status(ofVM: vm) else {
                throw EngineError(.unknown, "no VM '\(vm)' is replicated", hint: "see: perilune status", object: vm)
            }
            if let discard {
                try await engine.discardDivergence(of: row.relationship.id, reason: discard)
                return Terminal.say("what diverged of \(vm) is given up")
            }
            guard let found = try await engine.divergence(of: row.relationship.id, exportingTo: export) else {
                return Terminal.say(options.json ? "null" : "nothing that diverged is kept of \(vm)")
            }
            if options.json { return Terminal.say(try JSON.text(found.divergence)) }
            Terminal.say(DivergenceText.text(found.divergence, host: found.host))
        }
    }
}
