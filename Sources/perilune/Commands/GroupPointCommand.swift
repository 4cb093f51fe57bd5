internal import ArgumentParser
import RecoveryScripting

/// Makes recovery points of several VMs at one instant.
struct GroupPointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group-point", abstract: "Makes a recovery point of several VMs at one instant.",
        discussion:
            "failover, test, change-point and recovery-plan take it as --point group:NAME: each VM finds its own.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Name of the group point.")
    var name: String

    @Argument(help: "Names of the VMs.")
    var vms: [String]

    @Option(help: "application (frozen by the guests' agents) or crash (paused).")
    var consistency: String = "crash"

    func run() async throws {
        try await Failure.reporting {
            let display = JobDisplay(quiet: options.json)
            let engine = try options.engine(display: display)
            let names = vms.map(OneOperation.quoted).joined(separator: ", ")
            let make = """
                local group = recovery.vault():group_point {
                  name = \(OneOperation.quoted(name)), vms = { \(names) },
                  consistency = \(OneOperation.quoted(consistency)),
                }
                """
            let show = """

                print(("%s: %s-consistent, guests held %.3f s, begun within %.3f s"):format(
                  group.name, group.consistency, group.held, group.spread))
                if group.reason then print("  " .. group.reason) end
                for _, member in ipairs(group.members) do print(("  %s: point %d"):format(member.vm, member.point)) end
                """
            try await Scripts.run(
                // With --json the report is all that is printed.
                options.json ? make : make + show,
                name: (["perilune", "group-point", name] + vms).joined(separator: " "), generated: true, engine: engine,
                display: display,
                options: ScriptOptions(standardLibrary: StandardLibrary.locate(program: OwnProgram.path())),
                json: options.json)
        }
    }
}
