import LuaHost
import RecoveryEngine
import SiteModel

/// Questions about what may come next, for items, relationships and VMs: "which button now?".
enum NextMethods {
    static func methods(of type: String) -> [FunctionDeclaration] { [can(type), next(type)] }

    static let step = RecordDeclaration(
        "next_step", "An operation that may begin now.",
        fields: [
            ResultDeclaration("operation", .text, "as rules and status name it"),
            ResultDeclaration("why", .text, "what it is good for now"),
            ResultDeclaration("needs", .list(.text), "options that it must be given: without them it is refused"),
        ])

    static let record = RecordDeclaration(
        "next", "What may be done now, the recommended first, and why not the rest.",
        fields: [
            ResultDeclaration("summary", .text, "where it stands and how it goes on"),
            ResultDeclaration("steps", .list(.record("next_step")), "what may begin, the recommended first"),
            ResultDeclaration("allowed", .list(.text), "the names of those operations, in that order"),
            ResultDeclaration("refused", .list(.record("refusal")), "the others, each with the rule that forbids it"),
        ])

    private static func can(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "can",
            "Says whether an operation would begin now, given these options, and if not which rule forbids it. Nothing is "
                + "changed.",
            positional: [
                .required(
                    "operation", .choice(Operation.allCases.map(\.rawValue)), "as rules and status name it")
            ],
            named: [
                .optional(
                    "target", .choice(["fence", "declared lost"]),
                    "of an undo: how it becomes certain that the side that does not answer is down",
                    otherwise: "that side must answer (target-must-be-down)")
            ],
            results: [
                ResultDeclaration("allowed", .boolean, "whether it may"),
                ResultDeclaration("refusal", .record("refusal"), "why not", optional: true),
            ],
            effect: .reads, example: "local allowed, why = \(type):can(\"reverse\")",
            .waiting { call in
                let asked = call.arguments.text("operation")
                let refusal = try await refusal(of: asked, call)
                guard let refusal else { return [true] }
                return [false, Records.value(refusal)]
            })
    }

    private static func refusal(of asked: String, _ call: Call) async throws -> Refusal? {
        guard let operation = Operation(rawValue: asked), try await isReplicated(call) else {
            return try await steps(call).refused.first { $0.operation.rawValue == asked }
        }
        return try await call.session.engine.refusal(
            of: operation, on: call.session.relationship(of: call.receiver),
            arguments: Operations.engineArguments(call, from: ["target"]))
    }

    private static func next(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "next",
            "Says where it stands, which operations may begin now, the recommended first, and for each other one why not.",
            results: [ResultDeclaration("next", .record("next"), "the answer")], effect: .reads,
            example: "print(\(type):next().summary, \(type):next().steps[1].operation)",
            .waiting { call in
                let next = try await steps(call)
                let steps = next.steps.map { step in
                    LuaValue.table(
                        LuaTable([
                            "operation": LuaValue(step.operation.rawValue), "why": LuaValue(step.why),
                            "needs": .list(step.needs.map { LuaValue($0) }),
                        ]))
                }
                return [
                    .table(
                        LuaTable([
                            "summary": LuaValue(next.summary), "steps": .list(steps),
                            "allowed": .list(next.steps.map { LuaValue($0.operation.rawValue) }),
                            "refused": .list(next.refused.map(Records.value)),
                        ]))
                ]
            })
    }

    private static func isReplicated(_ call: Call) async throws -> Bool {
        guard call.receiver.type == "vm" else { return true }
        return try await call.session.replication(ofVM: call.receiver) != nil
    }

    /// The answer for what the call is about; a VM that is not replicated is answered for, too.
    private static func steps(_ call: Call) async throws -> NextSteps {
        let (session, receiver) = (call.session, call.receiver)
        if try await isReplicated(call) {
            return try await session.engine.next(on: session.relationship(of: receiver))
        }
        let place = Handle.place(ofVM: receiver)
        let cloud = place.type == "cloud" ? try await session.cloud(place) : nil
        return try await session.engine.next(forVM: Handle.name(of: receiver), in: cloud)
    }
}
