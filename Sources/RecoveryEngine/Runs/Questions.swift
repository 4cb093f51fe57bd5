package import SiteModel
import VaultStore

/// Questions of scripts to people: they wait in the vault, and so outlive the process that asks.
extension RecoveryEngine {
    /// Seconds between two looks for an answer.
    private static let askInterval = 1.0

    /// Asks, and waits until somebody has answered or the deadline has come.
    ///
    /// One that the vault has already, by its id, is waited for as it stands.
    ///
    /// - Returns: the question with its answer; without one the deadline has come.
    package func ask(_ question: Question) async throws -> Question {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard try vault.object(Question.self, id: question.id) == nil else { return }
            try vault.insert(question)
            try vault.append(
                Event(at: now, severity: .warning, object: question.run, text: "a script asks: \(question.text)"))
        }
        while true {
            guard let present = try await vault.read({ try $0.object(Question.self, id: question.id)?.value }) else {
                throw EngineError(
                    .unknown, "the question is gone from the vault", hint: "its run was removed", object: question.id)
            }
            let now = dependencies.clock.now
            if present.answer != nil { return present }
            if let deadline = present.deadline, now >= deadline { return try await withdraw(present) }
            let left = present.deadline.map { $0.seconds(since: now) } ?? Self.askInterval
            try await dependencies.clock.sleep(seconds: min(Self.askInterval, left))
        }
    }

    /// Takes a question back; an answer that has come meanwhile counts.
    @discardableResult
    package func withdraw(_ question: Question) async throws -> Question {
        let now = dependencies.clock.now
        return try await vault.write { vault in
            guard var stored = try vault.object(Question.self, id: question.id) else { return question }
            guard stored.value.isOpen else { return stored.value }
            stored.value.withdrawnAt = now
            return try vault.update(stored).value
        }
    }

    /// Questions that wait for an answer, the oldest first.
    package func openQuestions() async throws -> [Question] {
        try await vault.read { vault in
            let over = Set(try vault.objects(Run.self).filter { $0.value.endedAt != nil }.map(\.value.id))
            return try vault.objects(Question.self).map(\.value).filter { $0.isOpen && !over.contains($0.run) }
        }.sorted { ($0.askedAt, $0.id) < ($1.askedAt, $1.id) }
    }

    /// Answers a question.
    ///
    /// - Parameters:
    ///   - id: its id, or how that begins.
    ///   - by: who answers.
    /// - Throws: `EngineError` when there is no such question, when it is answered already, and when the answer is none of its
    ///   choices.
    @discardableResult
    package func answer(_ id: String, _ text: String, by person: String) async throws -> Question {
        let found = try await vault.read { vault in
            try vault.objects(Question.self).map(\.value).filter {
                $0.id == id || (id.count >= 4 && $0.id.hasPrefix(id))
            }
        }
        guard let question = found.first, found.count == 1 else {
            throw EngineError(
                .unknown,
                found.isEmpty ? "there is no question '\(id)'" : "\(found.count) questions begin with '\(id)'",
                hint: found.isEmpty ? "see: perilune answer" : "give more of its id", object: id)
        }
        let now = dependencies.clock.now
        guard !text.isEmpty, text.utf8.count <= 10_000 else {
            throw EngineError(.invalid, "an answer has 1 to 10000 bytes", hint: "say it in fewer words", object: id)
        }
        guard question.choices.isEmpty || question.choices.contains(text) else {
            throw EngineError(
                .invalid, "'\(text)' is no answer to: \(question.text)",
                hint: "one of: \(question.choices.joined(separator: ", "))", object: id)
        }
        return try await vault.write { vault in
            guard var stored = try vault.object(Question.self, id: question.id) else { return question }
            if let answer = stored.value.answer {
                throw EngineError(
                    .invalid, "\(answer.by) has answered that already: \(answer.text)", hint: "it counts as it is",
                    object: question.id)
            }
            guard stored.value.isOpen else {
                throw EngineError(
                    .invalid, "the run no longer waits for that answer",
                    hint: "see: perilune runs show \(question.run)",
                    object: question.id)
            }
            stored.value.answer = Question.Answer(text: text, by: person, at: now)
            try vault.append(
                Event(
                    at: now, severity: .info, object: question.run,
                    text: "\(person) answers \"\(question.text)\": \(text)"))
            return try vault.update(stored).value
        }
    }
}
