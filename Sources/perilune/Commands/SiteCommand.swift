internal import ArgumentParser
import Foundation
import RecoveryEngine
import SiteModel
import Simulation
import VaultStore

/// Works with descriptions of sites, of which simulations are made.
struct SiteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "site", abstract: "Describes sites, so that they can be simulated.",
        subcommands: [SiteRecordCommand.self, SiteCheckCommand.self])
}

struct SiteRecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Prints what the vault's hosts have (VMs, disks, sizes, networks) as a file for --simulate.")

    @OptionGroup var options: VaultOptions

    func run() async throws {
        try await Failure.reporting {
            let vault = try SQLiteVault.open(path: options.path, create: false)
            let hosts = try await vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
            guard !hosts.isEmpty else {
                throw EngineError(.invalid, "the vault has no hosts", hint: "register them: vault:host { ... }")
            }
            var silent = 0
            let text = try await SiteRecorder.record(hosts, through: LibvirtConnections()) { host, error in
                silent += 1
                let words = Failure.words(for: error)
                Terminal.complain("\(host.name) is written without its VMs: \(words.message)")
            }
            Terminal.say(text)
            if silent > 0 { throw ExitCode(Failure.unavailable) }
        }
    }
}

struct SiteCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Reads a site's description and says what is in it, or what is wrong.")

    @Argument(help: "The file.")
    var file: String

    func run() async throws {
        try await Failure.reporting {
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw EngineError(.invalid, "'\(file)' cannot be read", hint: "check the path and its rights")
            }
            let state = try SiteFile(json: text).state
            for host in state.hosts.values.sorted(by: { ($0.site, $0.name) < ($1.site, $1.name) }) {
                Terminal.say(
                    "site \(host.site)  host \(host.name)  \(host.domains.count) VMs  "
                        + "\(Text.bytes(host.allocated)) on disks  \(Text.bytes(host.freeBytes)) free")
            }
        }
    }
}
