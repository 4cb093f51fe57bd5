import LuaHost
import RecoveryEngine
import VaultStore

/// What a run has done so far, as its journal says: what a repetition of it is given instead of the world.
struct Recording: Sendable {
    /// Steps that are over, by step.
    var finished: [String: JournalEntry.StepResult] = [:]
    /// Functions of steps that were begun and have no end.
    var begun: [String: String] = [:]
    /// How often a person has had a step made again.
    var attempts: [String: Int] = [:]
    /// The last word on a step that has failed; none after a retry.
    var decisions: [String: JournalEntry.Decision] = [:]
    var turns: [(wait: DeliveryID, at: Int64)] = []
    var times: [Int64] = []
    var lines: [String] = []
    var modules: [String: Result<ModuleSource, LuaError>] = [:]
    /// Whether a step that may change the world was ever begun.
    var hasEffects = false

    init() {}

    /// Reads a journal.
    ///
    /// - Throws: `LuaError` of kind `journal` when a row does not follow from the one before, or cannot be read.
    init(_ rows: [JournalRow]) throws {
        var (last, entries): (JournalRow?, [JournalEntry]) = (nil, [])
        for row in rows {
            guard row.follows(last) else {
                throw LuaError(
                    "journal", "row \(row.number) of the run's journal is not as it was written",
                    hint: "the vault's file was changed or damaged; see: perilune vault check")
            }
            last = row
            for line in row.entries {
                let entry = try JournalEntry(line)
                if case .rewound(let step, _, _, _) = entry { entries = Self.cut(entries, from: step) }
                entries.append(entry)
            }
        }
        for entry in entries { try add(entry) }
    }

    /// What counts when a run is repeated from a step on: all before it, and of the rest the texts of modules and how often steps
    /// were made.
    private static func cut(_ entries: [JournalEntry], from step: String) -> [JournalEntry] {
        guard let place = entries.firstIndex(where: { $0.step == step }) else { return entries }
        return entries[..<place]
            + entries[place...].filter { entry in
                switch entry {
                case .module, .noModule, .rewound: true
                case .decided(let decision): decision.choice == .retry
                default: false
                }
            }
    }

    mutating func add(_ entry: JournalEntry) throws {
        switch entry {
        case .module(let name, let chunk, let source, let isForeign):
            guard case .string(let text) = source.value else {
                throw LuaError("journal", "the text of module '\(name)' cannot be read")
            }
            modules[name] = .success(ModuleSource(chunk: chunk, source: text.bytes, isForeign: isForeign))
        case .noModule(let name, let error): modules[name] = .failure(error.error)
        case .began(let step, let function, _):
            begun[step] = function
            hasEffects = true
        case .finished(let result):
            begun[result.step] = nil
            finished[result.step] = result
        case .turn(let text, let at):
            guard let wait = DeliveryID(text) else { throw LuaError("journal", "the wait \"\(text)\" cannot be read") }
            turns.append((wait, at))
        case .time(let time): times.append(time)
        case .line(let line): lines.append(line)
        case .decided(let decision):
            if decision.choice == .retry {
                attempts[decision.step, default: 0] += 1
                finished[decision.step] = nil
                begun[decision.step] = nil
                decisions[decision.step] = nil
            } else {
                decisions[decision.step] = decision
            }
        case .rewound(_, let again, _, _): for step in again { attempts[step, default: 0] += 1 }
        case .resumed: break
        }
    }
}
