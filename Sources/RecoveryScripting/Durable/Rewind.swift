import LuaHost
import RecoveryEngine
import VaultStore

/// From which step on a run is to be repeated.
package struct Rewind: Sendable, Hashable {
    package var step: String
    /// Steps after it, or it itself, that are made anew though they may have changed something.
    package var again: Set<String>
    /// Who says so.
    package var by: String

    package init(to step: String, again: Set<String> = [], by: String) {
        self.step = step
        self.again = again
        self.by = by
    }

    /// Refuses a rewind over a step that would be made a second time, unless it is named.
    ///
    /// Operations are not: their jobs are found, and give what they gave.
    func check(against rows: [JournalRow], of run: String) throws {
        var steps: [(step: String, function: String)] = []
        var isThere = false
        for row in rows {
            for line in row.entries {
                let entry = try JournalEntry(line)
                if entry.step == step { isThere = true }
                if isThere, case .began(let step, let function, _) = entry { steps.append((step, function)) }
            }
        }
        guard isThere else {
            throw EngineError(
                .unknown, "run \(run) has made no step \(step)", hint: "see: perilune runs show --all \(run)",
                object: run)
        }
        let unsafe = steps.filter { !again.contains($0.step) && LuaAPI.repetition(of: $0.function) == .unknown }
        guard unsafe.isEmpty else {
            let names = unsafe.map { "\($0.step) (\($0.function))" }.joined(separator: ", ")
            throw EngineError(
                .refused,
                "run \(run) cannot be repeated from step \(step): it would do once more what is not the same as once: \(names)",
                hint: "if that is meant, name each: " + unsafe.map { "--again \($0.step)" }.joined(separator: " "),
                object: run)
        }
    }
}

extension LuaAPI {
    /// What becomes of a step of that function, by its public name, when it is made again; `unknown` for a function that is not
    /// there.
    static func repetition(of function: String) -> Repetition {
        if let method = types.lazy.flatMap({ type in type.methods.map { ("\(type.name):\($0.name)", $0) } })
            .first(where: { $0.0 == function })
        {
            return method.1.repetition
        }
        if let member = modules.lazy.flatMap({ module in module.functions.map { ("\(module.name).\($0.name)", $0) } })
            .first(where: { $0.0 == function })
        {
            return member.1.repetition
        }
        return globals.first { $0.name == function }?.repetition ?? .unknown
    }
}
