import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `recovery`: where every script begins.
enum RecoveryModule {
    static let module = ModuleDeclaration(
        "recovery",
        "Where every script begins: the vault, the time, the record of what was done, and what people are asked.",
        functions: [vault, now, log, AskFunction.ask])

    static let vault = FunctionDeclaration(
        "vault", "Returns the vault that this run works on.",
        results: [ResultDeclaration("vault", .object("vault"), "the vault")],
        effect: .none, example: "local vault <const> = recovery.vault()",
        .immediate { _ in [.object(Handle.vault)] })

    static let now = FunctionDeclaration(
        "now", "Returns the engine's time.",
        results: [ResultDeclaration("now", .number, "the time", unit: .epochSeconds)],
        effect: .reads, example: "local began <const> = recovery.now()",
        .immediate { call in [Records.seconds(call.session.engine.dependencies.clock.now)] })

    static let log = FunctionDeclaration(
        "log", "Writes a line among the vault's events, as part of this run.",
        positional: [.required("text", .text, "the line")],
        errors: [ErrorDeclaration("locked", "another process migrates or repairs the vault")], effect: .changes,
        example: "recovery.log(\"site a declared lost by the duty officer\")",
        .waiting { call in
            let event = Event(
                at: call.session.engine.dependencies.clock.now, severity: .info, object: call.session.run,
                text: call.arguments.text("text"))
            // With the step's result, so that a run that goes on after a crash writes no line twice.
            if call.session.keeper != nil, let notes = StepNotes.current {
                notes.write { try $0.append(event) }
            } else {
                try await call.session.engine.vault.write { try $0.append(event) }
            }
            return []
        })
}
