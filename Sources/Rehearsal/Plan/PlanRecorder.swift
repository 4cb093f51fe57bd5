import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Synchronization
import VaultStore

/// Writes down the calls of a planned script, and answers those that a plan must not make.
final class PlanRecorder: Rehearsing {
    private struct State {
        var began: [String: Double] = [:]
        var order: [String: Int] = [:]
        var assumed: [String: String] = [:]
        var steps: [PlanStep] = []
        var questions: [PlanQuestion] = []
        /// How each VM stood when it was last looked at.
        var standing: [String: VMStanding] = [:]
    }

    private let world: World
    private let vault: any Vault
    private let history: PlanHistory
    private let answers: [String: String]
    private let startedAt: Timestamp
    private let state: Mutex<State>

    /// - Parameter answers: what is answered to questions, by their text.
    init(
        world: World, vault: any Vault, history: PlanHistory, answers: [String: String],
        standing: [String: VMStanding]
    ) {
        (self.world, self.vault, self.history, self.answers) = (world, vault, history, answers)
        startedAt = world.clock.now
        state = Mutex(State(standing: standing))
    }

    /// In the order in which they began.
    var steps: [PlanStep] {
        state.withLock { state in
            state.steps.sorted { state.order[$0.step, default: 0] < state.order[$1.step, default: 0] }
        }
    }
    var questions: [PlanQuestion] { state.withLock { $0.questions } }

    private var seconds: Double { world.clock.now.seconds(since: startedAt) }

    // MARK: Standing in

    func answer(_ call: RehearsedCall) async throws -> [LuaValue]? {
        let seconds = seconds
        state.withLock { state in
            state.began[call.step] = seconds
            state.order[call.step] = state.order.count
        }
        guard let (values, words) = try assumption(call) else { return nil }
        state.withLock { $0.assumed[call.step] = words }
        return values
    }

    /// A guest of which nothing is known but its disks cannot be asked.
    func answer(_ call: RehearsedCall, insteadOf error: LuaError) async -> [LuaValue]? {
        guard call.function.hasSuffix(":probe"), error.kind == "no-answer" else { return nil }
        let address = call.arguments["host"]?.text
        let isKnown = world.look { state in
            state.hosts.values.contains { $0.domains.values.contains { $0.guest.address == address } }
        }
        // One of which the description says where it answers may still be starting.
        if isKnown { return nil }
        let body = address.flatMap { answers[$0] }
        let words = body == nil ? "status 200, and nothing else" : "status 200, and what it was told to"
        state.withLock { $0.assumed[call.step] = "the guest answers with \(words)" }
        return [ProbeReply.value(status: 200, body: body ?? "")]
    }

    private func assumption(_ call: RehearsedCall) throws -> ([LuaValue], String)? {
        switch call.function {
        case "exec", "recovery.exec":
            let result = LuaTable([
                "status": 0, "stdout": "", "stderr": "", "stdout_cut": false, "stderr_cut": false,
            ])
            return ([.table(result)], "it ends well and says nothing")
        case "http.get", "http.post", "http.request":
            let url = call.arguments["url"]?.text ?? ""
            let response = LuaTable([
                "status": 200, "headers": .table(LuaTable()), "body": "", "url": LuaValue(url),
                "redirects": .table(LuaTable()),
            ])
            return ([.table(response)], "status 200, with no body")
        case "files.write", "files.append", "files.remove":
            return ([], "it is done")
        case "recovery.ask":
            return ask(call)
        default:
            if call.function.hasSuffix(":registration_key") {
                let key = LuaTable(["id": "planned", "state": "valid", "expires": 0, "used_by": .list([])])
                return ([.table(key)], "a key is issued")
            }
            return nil
        }
    }

    private func ask(_ call: RehearsedCall) -> ([LuaValue], String) {
        let text = call.arguments["question"]?.text ?? ""
        let choices = call.arguments["choices"]?.table?.array.compactMap(\.text) ?? []
        let fallback = call.arguments["default"]?.text
        let given = answers[text]
        let answer = given ?? fallback ?? choices.first ?? "yes"
        let why =
            given != nil
            ? "as told" : fallback != nil ? "its default" : choices.isEmpty ? "any text" : "its first choice"
        state.withLock {
            $0.questions.append(
                PlanQuestion(
                    question: text, choices: choices, role: call.arguments["role"]?.text, answer: answer, because: why,
                    position: call.position.map { "\($0)" }))
        }
        return ([LuaValue(answer), "plan"], "the answer is '\(answer)' (\(why))")
    }

    // MARK: Writing down

    func ended(_ call: RehearsedCall, _ outcome: Result<[LuaValue], any Error>) async {
        let (began, assumed) = state.withLock { ($0.began[call.step] ?? 0, $0.assumed[call.step]) }
        var failure: PlanFailure?
        if case .failure(let error as LuaError) = outcome {
            failure = PlanFailure(message: error.message, rule: error.rule, hint: error.hint)
        }
        let changes = call.effect == .changes || call.effect == .cannotBeUndone
        let end = seconds
        var step = PlanStep(
            step: call.step, function: call.function, object: call.name, arguments: Self.text(call.arguments),
            position: call.position.map { "\($0)" }, changes: changes && call.function != "recovery.ask",
            isProbe: !changes || assumed != nil, assumed: assumed, failure: failure, beganSeconds: began,
            endedSeconds: end, expectedSeconds: end - began, expectation: .simulated, expectedAtSeconds: began)
        if changes, let job = try? await lastJob(since: began, of: call),
            let (seconds, from) = history.seconds(of: job.operation, on: job.relationship)
        {
            (step.expectedSeconds, step.expectation) = (seconds, from)
        }
        if changes { step.effects = (try? await effects(of: call)) ?? [] }
        let made = step
        state.withLock { $0.steps.append(made) }
    }

    /// What has changed with the call: of its own VM, where it is one's, and else of all.
    ///
    /// Of other VMs, other steps tell that are under way at the same time.
    private func effects(of call: RehearsedCall) async throws -> [String] {
        if let name = call.name, let before = state.withLock({ $0.standing[name] }) {
            guard let now = try await VMStanding.of(name, world, vault) else { return [] }
            state.withLock { $0.standing[name] = now }
            return VMStanding.changes(from: [name: before], to: [name: now])
        }
        let now = try await VMStanding.all(world, vault)
        return state.withLock { state in
            defer { state.standing = now }
            return VMStanding.changes(from: state.standing, to: now)
        }
    }

    /// The job that the call has made; nil where it made none.
    private func lastJob(since seconds: Double, of call: RehearsedCall) async throws -> Job? {
        let from = startedAt.advanced(bySeconds: seconds)
        let name = call.name
        return try await vault.read { vault in
            guard let name, let relationship = try vault.object(Relationship.self, named: name, parent: nil) else {
                return nil
            }
            return try vault.objects(Job.self, parent: relationship.value.id).map(\.value)
                .filter { $0.startedAt >= from }.max { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
        }
    }

    /// Arguments in Lua's words, the named ones in order; what holds a secret is none of a plan's.
    private static func text(_ arguments: [String: LuaValue]) -> String {
        arguments.filter { $0.value != .nil }.sorted { $0.key < $1.key }.map { name, value in
            ["headers", "env", "body", "fence"].contains(name) ? "\(name) = ..." : "\(name) = \(text(value, depth: 0))"
        }.joined(separator: ", ")
    }

    private static func text(_ value: LuaValue, depth: Int) -> String {
        switch value {
        case .nil: return "nil"
        case .boolean(let value): return "\(value)"
        case .integer(let value): return "\(value)"
        case .number(let value): return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
        case .string:
            let text = value.text ?? "..."
            return text.count > 60 ? "\"\(text.prefix(57))...\"" : "\"\(text)\""
        case .function: return "function"
        case .object(let object): return "\(object.type) \(object.id.split(separator: "/").last ?? "")"
        case .table(let table):
            guard depth < 2 else { return "{...}" }
            let list =
                table.array.prefix(6).map { Self.text($0, depth: depth + 1) } + (table.array.count > 6 ? ["..."] : [])
            return "{" + list.joined(separator: ", ") + (table.fields.isEmpty ? "" : list.isEmpty ? "..." : ", ...")
                + "}"
        }
    }
}

/// What a planned script asks of a person.
package struct PlanQuestion: Sendable, Encodable {
    package var question: String
    package var choices: [String]
    package var role: String?
    /// What the plan takes for the answer, and why.
    package var answer: String
    package var because: String
    package var position: String?
}
