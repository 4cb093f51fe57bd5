internal import ArgumentParser
import Glibc
import SiteModel

/// Where the program begins: a misspelt command is answered with the nearest one, all else is the parser's.
@main
enum Program {
    static func main() async {
        if let complaint = misspelling(in: Array(CommandLine.arguments.dropFirst())) {
            Terminal.complain(complaint)
            exit(ExitCode.validationFailure.rawValue)
        }
        await Perilune.main()
    }

    /// What is wrong with the first word that should be a command and is none, if one that it may stand for is near.
    private static func misspelling(in words: [String]) -> String? {
        var command: any ParsableCommand.Type = Perilune.self
        var path = "perilune"
        for word in words {
            let commands = command.configuration.subcommands
            guard !commands.isEmpty, !word.hasPrefix("-"), word != "help" else { return nil }
            guard let next = commands.first(where: { $0._commandName == word }) else {
                // Where a command is the default, the word may be an argument of it.
                guard command.configuration.defaultSubcommand == nil,
                    let nearest = Nearest.suggestion(for: word, among: commands.map { $0._commandName })
                else { return nil }
                return
                    "error: \(path) has no command '\(word)'\n  hint: did you mean '\(nearest)'? All of them: \(path) --help"
            }
            command = next
            path += " " + word
        }
        return nil
    }
}
