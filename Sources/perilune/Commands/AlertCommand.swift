internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// Who is told of what happens; scripts make the rules: vault:alert.
struct AlertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alert", abstract: "Lists and tries the vault's alerts; scripts make them (vault:alert).",
        subcommands: [List.self, Test.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the alerts.")

        @OptionGroup var options: VaultOptions

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                let rules = try await engine.vault.read { try $0.objects(AlertRule.self).map(\.value) }
                if options.json { return Terminal.say(try JSON.text(rules.map(Row.init))) }
                guard !rules.isEmpty else { return Terminal.say("there is no alert yet; vault:alert makes one") }
                Terminal.say(
                    Text.table(
                        [["ALERT", "TO", "FROM", "ON"]]
                            + rules.map {
                                [
                                    $0.name, $0.destination, $0.severity.rawValue,
                                    $0.topics.map(\.rawValue).joined(separator: ", "),
                                ]
                            }))
            }
        }

        /// Without the URL: it may hold a token.
        private struct Row: Encodable {
            var name: String
            var to: String
            var severity: Event.Severity
            var on: [AlertTopic]
            var quietSeconds: Int

            init(_ rule: AlertRule) {
                name = rule.name
                to = rule.destination
                severity = rule.severity
                on = rule.topics
                quietSeconds = rule.quietSeconds
            }
        }
    }

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sends a message under an alert now.")

        @OptionGroup var options: VaultOptions

        @Argument(help: "Name of the alert.")
        var name: String

        func run() async throws {
            try await Failure.reporting {
                let engine = try options.engine(display: JobDisplay(quiet: true))
                try await engine.testAlert(named: name, via: CurlAlertSender(clock: engine.dependencies.clock))
                Terminal.say("the test of alert \(name) was taken by its receiver")
            }
        }
    }
}
