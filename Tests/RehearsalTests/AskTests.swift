import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Questions to people")
struct AskTests {
    static let script = """
        local answer, by = recovery.ask { question = "Go on?", choices = { "yes", "no" }, role = "officer" }
        print(answer, by)
        return answer
        """

    /// Waits until somebody is asked.
    private func asked(_ stage: Stage) async throws -> Question {
        while true {
            if let question = try await stage.engine("looks").openQuestions().first { return question }
            try await stage.world.clock.sleep(seconds: 1)
        }
    }

    @Test("A script waits for its answer, and is told who gave it")
    func answered() async throws {
        let stage = try Stage()
        let outcome = try await stage.world.run {
            async let run = stage.run(Self.script, by: stage.engine("one"))
            let question = try await asked(stage)
            #expect(question.choices == ["yes", "no"] && question.role == "officer")
            try await stage.world.clock.sleep(seconds: 86_400)
            try await stage.engine("person").answer(String(question.id.prefix(8)), "yes", by: "ada")
            return try await run
        }
        #expect(outcome.values == ["yes"])
        #expect(stage.printed.all == ["yes\tada"])
    }

    @Test("The question waits on when the engine has died, and its answer is not asked for again")
    func survives() async throws {
        let stage = try Stage()
        let outcome = try await stage.world.run {
            let life = EngineLife()
            let dead = Task(executorPreference: stage.world.executor) {
                try await stage.run(Self.script, by: stage.engine("dies", life: life))
            }
            let question = try await asked(stage)
            life.end()
            dead.cancel()
            _ = await dead.result
            try await stage.engine("person").answer(question.id, "no", by: "ada")
            let id = try #require(try await stage.runs.first).id
            return try await stage.resume(id, by: stage.engine("two"))
        }
        #expect(outcome.values == ["no"])
        let questions = try await stage.vault.read { try $0.objects(Question.self) }
        #expect(questions.count == 1)
    }

    @Test("At the deadline the default counts; without one the script is told")
    func deadline() async throws {
        let stage = try Stage()
        let outcome = try await stage.world.run {
            try await stage.run(
                """
                local answer, by = recovery.ask { question = "Q", deadline = "1h", default = "later" }
                local ok, problem = pcall(recovery.ask, { question = "R", deadline = "1h" })
                return answer, by, ok, problem.kind
                """, by: stage.engine("one"))
        }
        #expect(outcome.values == ["later", .nil, false, "timeout"])
        #expect(try await stage.world.run { try await stage.engine("looks").openQuestions().isEmpty })
    }

    @Test("A question is answered once, with one of its choices, and not when nobody waits for it any more")
    func refusedAnswers() async throws {
        let stage = try Stage()
        try await stage.world.run {
            async let run = stage.run(Self.script, by: stage.engine("one"))
            let (question, person) = (try await asked(stage), stage.engine("person"))
            await #expect(throws: EngineError.self) { try await person.answer(question.id, "perhaps", by: "ada") }
            await #expect(throws: EngineError.self) { try await person.answer("none", "yes", by: "ada") }
            try await person.answer(question.id, "yes", by: "ada")
            await #expect(throws: EngineError.self) { try await person.answer(question.id, "no", by: "bob") }
            _ = try await run
            let other = try await stage.run(
                "pcall(task.timeout, '5s', function() recovery.ask { question = 'Late?' } end)", by: stage.engine("one")
            )
            #expect(other.error == nil)
            let late = try await stage.vault.read { try $0.objects(Question.self).map(\.value) }.first {
                $0.text == "Late?"
            }
            await #expect(throws: EngineError.self) { try await person.answer(late?.id ?? "", "x", by: "ada") }
        }
    }

    @Test(
        "What cannot be asked is refused",
        arguments: [
            "question = ''", "question = 'q', default = 'x'",
            "question = 'q', choices = { 'a' }, deadline = '1h', default = 'b'",
        ])
    func invalid(_ options: String) async throws {
        let stage = try Stage()
        let outcome = try await stage.world.run {
            try await stage.run("recovery.ask { \(options) }", by: stage.engine("one"))
        }
        #expect(outcome.error?.kind == "argument")
    }
}
