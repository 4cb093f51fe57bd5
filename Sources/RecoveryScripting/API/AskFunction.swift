import LuaHost
import RecoveryEngine
import SiteModel

/// `recovery.ask` and `vault:questions`: what scripts ask of people.
enum AskFunction {
    static let ask = FunctionDeclaration(
        "ask",
        "Asks a person and waits for the answer, however long, also beyond the end of this process. perilune answer gives it.",
        named: [
            .required("question", .text, "what is asked"),
            .optional("choices", .list(.text), "what may be answered", otherwise: "any text"),
            .optional("role", .text, "who is asked, in your own words: shown with the question", otherwise: "anybody"),
            .optional(
                "deadline", .duration, "how long to wait", otherwise: "until somebody answers", range: 1...31_536_000),
            .optional("default", .text, "what counts as the answer at the deadline", otherwise: "an error is raised"),
        ],
        results: [
            ResultDeclaration("answer", .text, "what was answered"),
            ResultDeclaration("by", .text, "who answered; nil where the deadline had come", optional: true),
        ],
        errors: [
            ErrorDeclaration("timeout", "the deadline came, and there is no default"),
            ErrorDeclaration("cancelled", "the task was cancelled while it waited"),
        ], effect: .changes, ifCutOff: .wait,
        example: """
            local answer = recovery.ask {
              question = "Is site a really lost?", choices = { "yes", "no" }, role = "duty officer",
              deadline = "1s", default = "no",
            }
            """, in: .bare,
        .waiting { call in
            let question = try question(call)
            let engine = call.session.engine
            // Not a line of the script's: a repetition of the run does not come here.
            call.session.options.tell(notice(question))
            do {
                let asked = try await engine.ask(question)
                if let answer = asked.answer { return [LuaValue(answer.text), LuaValue(answer.by)] }
                if let fallback = asked.fallback { return [LuaValue(fallback), .nil] }
            } catch let error as CancellationError {
                // A run that only stops here and goes on later still wants the answer.
                if call.session.keeper?.isSealed != true { try await engine.withdraw(question) }
                throw error
            }
            throw LuaError(.timeout, "nobody has answered: \(question.text)", hint: "ask again, or give a default")
        })

    /// The line that says how to answer.
    private static func notice(_ question: Question) -> String {
        let choices = question.choices.isEmpty ? "TEXT" : question.choices.joined(separator: "|")
        return
            "\(question.role.map { "\($0): " } ?? "")\(question.text)  (perilune answer \(question.id.prefix(8)) \(choices))"
    }

    private static func question(_ call: Call) throws -> Question {
        let (arguments, dependencies) = (call.arguments, call.session.engine.dependencies)
        let choices = arguments.texts("choices") ?? []
        let fallback = arguments.optionalText("default")
        guard !arguments.text("question").isEmpty, arguments.text("question").utf8.count <= 10_000,
            choices.count <= 100, choices.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 1000 })
        else {
            throw LuaError(
                .argument, "\(call.name): a question has 1 to 10000 bytes, and at most 100 choices of 1 to 1000 bytes")
        }
        if let fallback, !choices.isEmpty, !choices.contains(fallback) {
            throw LuaError(
                .argument, "\(call.name): the default '\(fallback)' is none of the choices",
                hint: "one of: \(choices.joined(separator: ", "))")
        }
        if fallback != nil, arguments["deadline"] == nil {
            throw LuaError(
                .argument, "\(call.name): 'default' has no meaning without a deadline", hint: "give deadline = \"1h\"")
        }
        let now = dependencies.clock.now
        return Question(
            id: call.asker.jobID ?? dependencies.identifiers.next(), run: call.session.run,
            text: arguments.text("question"), choices: choices, role: arguments.optionalText("role"), askedAt: now,
            deadline: arguments.optionalNumber("deadline").map { now.advanced(bySeconds: $0) }, fallback: fallback)
    }

    // MARK: From the other side

    static let questions = FunctionDeclaration(
        "questions", "Lists what scripts ask and nobody has answered yet, the oldest first.",
        results: [ResultDeclaration("questions", .list(.record("question")), "the questions")], effect: .reads,
        example: "for _, question in ipairs(vault:questions()) do print(question.id, question.text) end",
        .waiting { call in
            [.list(try await call.session.engine.openQuestions().map(value))]
        })

    static let answer = FunctionDeclaration(
        "answer", "Answers what a script asks.",
        positional: [
            .required("id", .text, "the question's id, or its beginning"),
            .required("answer", .text, "one of its choices"),
        ],
        errors: [
            ErrorDeclaration("unknown", "there is no such question"),
            ErrorDeclaration("invalid", "it is answered already, or the answer is none of its choices"),
        ], effect: .changes, ifCutOff: .unknown,
        example: """
            task.all {
              function() return recovery.ask { question = "Go on?", choices = { "yes", "no" } } end,
              function()
                local question
                repeat task.sleep("100ms") question = vault:questions()[1] until question
                vault:answer(question.id, question.choices[1])
              end,
            }
            """,
        .waiting { call in
            try await call.session.engine.answer(
                call.arguments.text("id"), call.arguments.text("answer"), by: "run \(call.session.run)")
            return []
        })

    static let record = RecordDeclaration(
        "question", "What a script asks of a person.",
        fields: [
            ResultDeclaration("id", .text, "identity of the question"),
            ResultDeclaration("run", .text, "the run that asks"),
            ResultDeclaration("text", .text, "what is asked"),
            ResultDeclaration("choices", .list(.text), "what may be answered; empty for any text"),
            ResultDeclaration("role", .text, "who is asked", optional: true),
            ResultDeclaration("asked", .number, "when it was asked", unit: .epochSeconds),
            ResultDeclaration(
                "deadline", .number, "when the run goes on without an answer", unit: .epochSeconds, optional: true),
        ])

    private static func value(_ question: Question) -> LuaValue {
        var table = LuaTable([
            "id": LuaValue(question.id), "run": LuaValue(question.run), "text": LuaValue(question.text),
            "choices": .list(question.choices.map { LuaValue($0) }), "role": LuaValue(question.role),
            "asked": Records.seconds(question.askedAt),
        ])
        table["deadline"] = question.deadline.map(Records.seconds) ?? .nil
        return .table(table)
    }
}
