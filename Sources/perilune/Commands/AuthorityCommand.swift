internal import ArgumentParser
import BlockReplication
import Foundation
import RecoveryEngine
import SiteModel

/// The operator's own authority, which vouches for agents to each other.
struct AuthorityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "authority", abstract: "Makes the certificates by which agents know each other.",
        discussion: """
            One authority for all agents of a site pair, kept on a machine of the operator's:
              perilune authority create
              perilune authority issue b1.example.org
            Take the file to that host, give it to the agent's user alone, and start the agent with --tls FILE. To renew a
            certificate, issue it again and put the file in the old one's place: agents read it for each connection.
            """,
        subcommands: [Create.self, Issue.self])

    struct Place: ParsableArguments {
        @Option(name: .customLong("authority"), help: "Folder of the authority's key and certificate.")
        var folder = "/etc/perilune/authority"

        var authority: CertificateAuthority { CertificateAuthority(folder: URL(filePath: folder).path) }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes the authority: its key and its certificate.")

        @OptionGroup var place: Place

        @Option(help: "How long it lasts.")
        var days = CertificateAuthority.days

        func validate() throws {
            guard (1...36_500).contains(days) else { throw ValidationError("--days is from 1 to 36500") }
        }

        func run() async throws {
            try await Failure.reporting {
                let authority = place.authority
                let until = try authority.create(from: SystemClock().now, days: days)
                Terminal.say("the authority is \(authority.folder), until \(until.utcText)")
                Terminal.say("keep \(authority.keyPath) secret: who has it can pass for any agent")
            }
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a host's key and certificate, in one file for its agent. Also to renew it.")

        @OptionGroup var place: Place

        @Option(help: ArgumentHelp("The file to make or replace (default: HOST.pem here).", valueName: "file"))
        var out: String?

        @Option(help: "How long it lasts; not longer than the authority.")
        var days = CertificateAuthority.agentDays

        @Argument(help: "Name or number of the host, as in the address that its agent listens on; and further ones.")
        var hosts: [String]

        func run() async throws {
            try await Failure.reporting {
                let path = URL(filePath: out ?? "\(hosts[0]).pem").path
                let until = try place.authority.issue(for: hosts, to: path, from: SystemClock().now, days: days)
                Terminal.say("\(path): for \(hosts.joined(separator: ", ")), until \(until.utcText)")
                Terminal.say("at the host: perilune agent ... --tls \((path as NSString).lastPathComponent)")
            }
        }
    }
}
