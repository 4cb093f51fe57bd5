internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// Of one VM: where it stands, which operation comes next, and why not the others.
struct NextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Says which operation of a VM comes next, and why not the others.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Name of the VM.")
    var vm: String

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
            let all = try await engine.vault.read { try $0.objects(Relationship.self).map(\.value) }
            guard let relationship = all.first(where: { $0.name == vm }) else {
                let names = all.map(\.name)
                let nearest = Nearest.suggestion(for: vm, among: names)
                throw EngineError(
                    .unknown, "no replicated VM is called '\(vm)'",
                    hint: nearest.map { "did you mean '\($0)'?" }
                        ?? Listed.hint("there are", names, none: "no VM is replicated yet: protect one first"))
            }
            let row = try await engine.status(of: relationship)
            if options.json { return Terminal.say(try JSON.text(Answer(row))) }
            let width = Terminal.width()
            Terminal.say(
                "\(vm) is \(relationship.state.rawValue)\n" + StatusText.next(row, width: width) + "\n\n"
                    + StatusText.refused(row, width: width))
        }
    }

    private struct Answer: Encodable {
        struct Step: Encodable {
            var operation: String
            var why: String
            /// Options that it must be given: without them it is refused.
            var needs: [String]
        }
        var vm: String
        var state: String
        var summary: String
        /// The command that takes up the job that has the VM, where its engine is dead.
        var takeUp: String?
        var next: [Step]
        var refused: [RefusedJSON]

        init(_ row: VMStatus) {
            vm = row.relationship.name
            state = row.relationship.state.rawValue
            summary = row.next.summary
            takeUp = JobText.takeUp(row)
            next = row.next.steps.map { Step(operation: $0.operation.rawValue, why: $0.why, needs: $0.needs) }
            refused = row.next.refused.map(RefusedJSON.init)
        }
    }
}
