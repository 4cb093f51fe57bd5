internal import ArgumentParser
import Foundation
import RecoveryEngine
import SiteModel

/// Shows what scripts ask, and answers.
struct AnswerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Lists what scripts ask, or answers one question.",
        discussion: "Who answers, and when, is recorded with the run.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Id of the question, or its beginning; without it, open questions are listed.")
    var question: String?

    @Argument(help: "The answer: one of the question's choices.")
    var answer: String?

    func validate() throws {
        if question != nil, answer == nil { throw ValidationError("give the answer after the question's id") }
    }

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(inspects: question == nil, display: JobDisplay(quiet: true))
            guard let question, let answer else { return try await list(engine) }
            let answered = try await engine.answer(question, answer, by: Person.name)
            if options.json { return Terminal.say(try JSON.text(answered)) }
            Terminal.say("answered: \(answer)  (\(answered.text))")
        }
    }

    private func list(_ engine: RecoveryEngine) async throws {
        let questions = try await engine.openQuestions()
        if options.json { return Terminal.say(try JSON.text(questions)) }
        guard !questions.isEmpty else { return Terminal.say("no script asks anything") }
        let now = engine.dependencies.clock.now
        let rows = questions.map { question in
            [
                String(question.id.prefix(8)), Text.age(now.seconds(since: question.askedAt)),
                question.role ?? "anybody",
                question.text, question.choices.joined(separator: " | "),
            ]
        }
        Terminal.say(Text.table([["question", "age", "asked of", "text", "choices"]] + rows))
    }
}

/// Who sits at the command line.
enum Person {
    static var name: String { ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName() }
}
