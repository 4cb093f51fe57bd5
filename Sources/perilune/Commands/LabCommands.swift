internal import ArgumentParser
import Foundation
import Lab

/// Two sites on one machine, with real guests.
struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "Two sites with real guests on this machine, to try everything on.",
        subcommands: [Up.self, Down.self, Status.self, Lose.self, Return.self, Cut.self, Heal.self, Enter.self])

    struct Options: ParsableArguments {
        @Option(help: "The lab's directory.")
        var root: String = LabConfiguration.defaultRoot

        func lab() throws -> Lab {
            Lab(try LabConfiguration(root: root, agentProgram: OwnProgram.path()))
        }
    }

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes both sites and their guests, or brings up what is missing.")

        @OptionGroup var options: Options

        func run() async throws {
            try await Failure.reporting {
                let lab = try options.lab()
                try await lab.up()
                try await lab.createGuests()
                Terminal.say(try await statusText(lab))
            }
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends both sites and removes all of the lab.")

        @OptionGroup var options: Options

        func run() async throws {
            try await Failure.reporting {
                let existed = FileManager.default.fileExists(atPath: options.root)
                try await options.lab().down()
                Terminal.say(
                    existed
                        ? "the lab at \(options.root) is removed: its guests, disks, points and vault"
                        : "there was no lab at \(options.root)")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows both sites and their guests.")

        @OptionGroup var options: Options

        func run() async throws {
            try await Failure.reporting { Terminal.say(try await statusText(options.lab())) }
        }
    }

    /// One site of the lab, and what is done to it.
    struct SiteChoice: ParsableArguments {
        @OptionGroup var options: Options
        @Argument(help: "a or b")
        var site: String

        /// Does something to the site, and says how it stands then.
        func act(
            _ work: (Lab, SiteName) async throws -> Void, saying words: (Lab, SiteName) -> String
        ) async throws {
            try await Failure.reporting {
                let (lab, site) = (try options.lab(), try SiteName(parsing: site))
                try await work(lab, site)
                Terminal.say("site \(site.rawValue) \(words(lab, site))")
            }
        }
    }

    struct Lose: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends a site at one instant: its guests, libvirt, agent, link and disks. Also the lab's fence.")

        @OptionGroup var choice: SiteChoice

        func run() async throws {
            try await choice.act({ try await $0.lose($1) }) { _, _ in
                "is lost: no guest, libvirt, agent or link is left; its disks wait"
            }
        }
    }

    struct Return: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "return", abstract: "Brings a lost site back; its guests stay off.")

        @OptionGroup var choice: SiteChoice

        func run() async throws {
            try await choice.act({ try await $0.returnSite($1) }) { lab, site in
                """
                is back; its guests stay off. perilune replicate starts what it owned and what ran there when it was
                lost. To start another (a protected one only once replicate has confirmed the owner):
                  virsh -c '\(lab.layout(of: site).libvirtURI)' start NAME
                """
            }
        }
    }

    struct Cut: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cuts a site off: it runs on, and nobody reaches it.")

        @OptionGroup var choice: SiteChoice

        func run() async throws {
            try await choice.act({ try await $0.cut($1) }) { _, site in
                "is cut off: its guests run on; perilune lab heal \(site.rawValue)"
            }
        }
    }

    struct Heal: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends the partition of a site.")

        @OptionGroup var choice: SiteChoice

        func run() async throws {
            try await choice.act({ try await $0.heal($1) }) { _, _ in "is reached again, as it is by now" }
        }
    }

    struct Enter: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs a program inside a site, on its disks and its network: it ends with the site.")

        @OptionGroup var choice: SiteChoice
        @Argument(parsing: .postTerminator, help: "After '--': the program and its arguments.")
        var words: [String]

        func run() async throws {
            try await Failure.reporting {
                guard !words.isEmpty else { throw ValidationError("name a program after '--'") }
                let all = try choice.options.lab().entry(to: SiteName(parsing: choice.site)) + words
                var arguments = all.map { strdup($0) } + [nil]
                execvp(all[0], &arguments)
                throw LabError(.missing, "\(all[0]) cannot be run.", hint: "run scripts/setup")
            }
        }
    }

    static func statusText(_ lab: Lab) async throws -> String {
        var rows = [["SITE", "STATE", "LIBVIRT", "AGENT", "GUESTS"]]
        for site in try await lab.status() {
            rows.append([
                site.site.rawValue, site.state.rawValue, site.libvirtAnswers ? "answers" : "-",
                site.agentAnswers ? "answers" : "-",
                site.guests.map { "\($0.name) (\($0.state))" }.joined(separator: ", "),
            ])
        }
        return Text.table(rows)
    }
}
