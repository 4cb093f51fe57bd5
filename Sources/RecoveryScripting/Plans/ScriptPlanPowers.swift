import LuaHost
import RecoveryEngine
import SiteModel
import Synchronization

/// What plans that a script runs are carried out by.
struct ScriptPlanPowers: PlanFunctions {
    let session: ScriptContext

    var powers: PlanPowers {
        PlanPowers(
            commands: session.options.grants.contains(.exec)
                ? PlanCommands(clock: session.engine.dependencies.clock) : nil,
            functions: self, prompt: session.options.planPrompt)
    }

    /// Calls a module's function in a Lua state of its own, so that it is the same whoever runs the plan.
    ///
    /// It has the powers of this run. What it prints, and then what it returns, is its output.
    func call(module: String, function: String, _ context: PlanActionContext) async throws -> ActionOutput {
        let printed = Mutex<[String]>([])
        let own = ScriptContext(engine: session.engine, run: session.run, options: session.options)
        let state = try LuaState(
            ScriptEnvironment.configuration(own, session.options) { line in printed.withLock { $0.append(line) } })
        let values = try await Self.noting(printed) {
            try await state.run(
                Self.text, chunk: "plan action",
                arguments: [LuaValue(module), LuaValue(function), PlanRecords.value(context)])
        }
        await own.operations.drain()
        return ActionOutput((printed.withLock { $0 } + values.compactMap(\.text)).joined(separator: "\n"))
    }

    private static let text = """
        local module, name, context = ...
        local found = require(module)[name]
        if type(found) ~= "function" then error(("module '%s' has no function '%s'"):format(module, name), 0) end
        local result = found(context)
        return result ~= nil and tostring(result) or nil
        """

    /// An error with what had been printed until then.
    private static func noting(
        _ printed: borrowing Mutex<[String]>, _ body: () async throws -> [LuaValue]
    ) async throws -> [LuaValue] {
        do {
            return try await body()
        } catch let error as LuaError {
            let lines = printed.withLock { $0 }
            throw ActionFailure(
                error.message, hint: error.hint, output: (lines + [error.description]).joined(separator: "\n"))
        }
    }

    func call(inline number: UInt64, of run: String, _ context: PlanActionContext) async throws -> ActionOutput {
        if let problem = problem(inline: number, of: run) { throw problem }
        return ActionOutput(try await session.planCalls.call(number, context))
    }

    func problem(inline number: UInt64, of run: String) -> ActionFailure? {
        if run != session.run {
            return ActionFailure(
                "the function belongs to another script's run, which made the plan",
                hint: "run that script again, or put the function into a module: call = \"module.function\"")
        }
        return session.planCalls.isServed ? nil : PlanCalls.notServed
    }
}
