import LuaHost
import RecoveryEngine
import SiteModel
import Synchronization
import VaultStore

/// Keeps a run's journal, and repeats from it what the run has done before.
///
/// Every call of a script that waits, and every look at the time, goes through here. What the journal has of it is given back;
/// what it lacks is done now and written down before the script sees it.
///
///     call -> recorded? -> its result
///          -> began, and how it ended is not known -> done again where that is the same, else the run stands still
///          -> (an effect: "began" is durable) -> body -> "finished" is durable -> the script goes on
///
/// A run that cannot go on *stands still*: no step begins any more, those under way come to their end and are written down, then
/// the journal is sealed and Lua is ended. What Lua does while it unwinds is not the run's: no step is made and no line shown.
final class StepKeeper: DeliveryOrder {
    private struct State {
        var recording: Recording
        var turn = 0
        var time = 0
        var line = 0
        /// Effects under way.
        var underWay = 0
        var pause: RunPause?
        var isSealed = false
        /// Whether what was noted is about to be made durable, whatever comes.
        var willFlush = false
        /// Whether a turn was taken that the journal did not have.
        var hasGoneOn = false
        var hasEffects: Bool
        /// Whether a person was asked something, who should not be asked again.
        var hasAsked = false
        /// Notes of steps whose tasks have not gone on yet.
        var notes: [String: [StepNote]] = [:]
        var failure: (any Error)?
    }

    private let journal: RunJournal
    private let clock: any EngineClock
    private let startedAt: Timestamp
    private let executor: (any TaskExecutor)?
    private let output: @Sendable (String) -> Void
    private let state: Mutex<State>
    /// What is told of notes and of the end.
    ///
    /// In a struct, for each look at a function that a lock keeps by itself wraps it once more.
    private struct Hooks {
        var show: @Sendable (StepNote) -> Void = { _ in }
        var onSeal: @Sendable () -> Void = {}
    }
    private let hooks = Mutex(Hooks())

    init(
        journal: RunJournal, recording: Recording, startedAt: Timestamp, clock: any EngineClock,
        executor: (any TaskExecutor)?, output: @escaping @Sendable (String) -> Void
    ) {
        self.startedAt = startedAt
        self.executor = executor
        self.journal = journal
        self.clock = clock
        self.output = output
        state = Mutex(State(recording: recording, hasEffects: recording.hasEffects))
    }

    func whenNoted(_ body: @escaping @Sendable (StepNote) -> Void) { hooks.withLock { $0.show = body } }
    /// Takes what ends Lua; it is called once, when the journal is sealed.
    func whenSealed(_ body: @escaping @Sendable () -> Void) { hooks.withLock { $0.onSeal = body } }

    /// Why the run stands still; nil while it does not.
    var pause: RunPause? { state.withLock { $0.pause } }
    /// Whether what comes now is no part of the run any more.
    var isSealed: Bool { state.withLock { $0.isSealed } }
    /// Why nothing can be written any more.
    var failure: (any Error)? { state.withLock { $0.failure } }
    var hasEffects: Bool { state.withLock { $0.hasEffects } }

    /// How often a person has had the step made again.
    func attempts(of step: String) -> Int { state.withLock { $0.recording.attempts[step] ?? 0 } }

    // MARK: Steps

    /// What a call finds.
    private enum Found {
        case recorded(JournalEntry.StepResult)
        /// It was begun before, and is made again.
        case again
        case diverged(from: JournalEntry.StepResult)
        case unknown(JournalEntry.Decision?)
        case new
        case standsStill
    }

    private func find(_ call: StepCall) -> Found {
        state.withLock { state in
            if state.isSealed { return .standsStill }
            if let result = state.recording.finished[call.step] {
                return result.function == call.function && result.arguments == call.arguments
                    ? .recorded(result) : .diverged(from: result)
            }
            if state.pause != nil { return .standsStill }
            let wasBegun = state.recording.begun[call.step] != nil
            if wasBegun, call.repetition == .unknown { return .unknown(state.recording.decisions[call.step]) }
            if call.isEffect { state.underWay += 1 }
            if call.isEffect { state.hasEffects = true }
            if call.repetition == .wait { state.hasAsked = true }
            return wasBegun ? .again : .new
        }
    }

    /// Makes a step that waits, or gives back what it came to before.
    func perform(
        _ call: StepCall, _ body: () async throws -> [LuaValue]
    ) async throws -> [LuaValue] {
        switch find(call) {
        case .recorded(let result): return try give(result)
        case .diverged(let recorded):
            standStill(call.pause(.diverged, call.divergence(from: recorded), at: clock.now))
            return try await never()
        case .unknown(nil):
            standStill(
                call.pause(
                    .unknown,
                    "\(call.function) was under way when the run was cut off, and nobody knows whether it was done",
                    hint: "look at the world; then resume with --retry, with --skip --value V, or with --fail",
                    at: clock.now))
            return try await never()
        case .unknown(let decision?): return try await settle(call, decision)
        case .standsStill: return try await never()
        case .new: return try await make(call, isRepeated: false, body)
        case .again: return try await make(call, isRepeated: true, body)
        }
    }

    private func make(
        _ call: StepCall, isRepeated: Bool, _ body: () async throws -> [LuaValue]
    ) async throws -> [LuaValue] {
        defer { if call.isEffect { effectEnded() } }
        if call.isEffect, !isRepeated {
            try await write(.began(step: call.step, function: call.function, arguments: call.arguments))
        }
        let notes = StepNotes()
        var outcome: Result<[LuaValue], any Error>
        do {
            outcome = .success(try await StepNotes.$current.withValue(notes, operation: body))
        } catch {
            outcome = .failure(error)
        }
        // What it was to remove is gone: it had been done.
        if isRepeated, call.repetition == .removal, case .failure(let error as LuaError) = outcome,
            error.kind == "unknown"
        {
            outcome = .success([])
        }
        // One that was cut short with the run is no result: it is made, or looked for, when the run goes on.
        if state.withLock({ $0.isSealed }) { throw CancellationError() }
        let result = call.result(outcome, notes.all)
        try await write(.finished(result), with: notes.writes)
        return try give(result)
    }

    /// Ends a step of which nobody knows how it ended, as a person has said.
    private func settle(_ call: StepCall, _ decision: JournalEntry.Decision) async throws -> [LuaValue] {
        let outcome: Result<[LuaValue], any Error> =
            decision.choice == .skip
            ? .success([decision.value?.value ?? .nil])
            : .failure(LuaError("unknown-outcome", "\(call.function) was cut off, and counts as failed"))
        let result = call.result(outcome, [])
        try await write(.finished(result))
        return try give(result)
    }

    /// What the script sees; the step's notes show when its task goes on.
    private func give(_ result: JournalEntry.StepResult) throws -> [LuaValue] {
        if let notes = result.notes { state.withLock { $0.notes[result.step] = notes } }
        return try result.outcome.get()
    }

    /// Makes a step that reads something at once.
    ///
    /// It becomes durable with the next commit: nothing can follow from it before.
    func read(_ call: StepCall, _ body: () throws -> [LuaValue]) throws -> [LuaValue] {
        switch find(call) {
        case .recorded(let result): return try result.outcome.get()
        case .diverged(let recorded):
            standStill(call.pause(.diverged, call.divergence(from: recorded), at: clock.now))
            return []
        case .standsStill: return try body()
        case .unknown, .again, .new:
            let outcome = Result { try body() }
            if case .success(let values) = outcome { note(.finished(call.result(.success(values), []))) }
            return try outcome.get()
        }
    }

    // MARK: What else the script meets

    /// The time that the script reads.
    func readTime() -> Duration {
        let recorded = state.withLock { state -> Int64? in
            guard state.time < state.recording.times.count else { return nil }
            state.time += 1
            return state.recording.times[state.time - 1]
        }
        if let recorded { return .nanoseconds(recorded) }
        let now = clock.now.milliseconds * 1_000_000
        note(.time(now))
        return .nanoseconds(now)
    }

    /// A line that the script prints: shown once, however often the run is repeated.
    func print(_ line: String) {
        enum Turn { case shown, new, other(String), dropped }
        let turn = state.withLock { state -> Turn in
            if state.isSealed { return .dropped }
            guard state.line < state.recording.lines.count else { return .new }
            let recorded = state.recording.lines[state.line]
            state.line += 1
            return recorded == line ? .shown : .other(recorded)
        }
        switch turn {
        case .shown, .dropped: break
        case .new:
            note(.line(line))
            output(line)
        case .other(let recorded):
            standStill(
                RunPause(
                    .diverged, message: "the script printed \"\(line)\", where it had printed \"\(recorded)\"",
                    hint: Self.divergenceHint, at: clock.now))
        }
    }

    /// What is to become of an error that nothing in the script would catch.
    func resolution(of error: LuaError, in context: CallContext) async -> Resolution {
        let step = DeliveryID(task: context.task, ordinal: context.ordinal).description
        let (decision, mayFail) = state.withLock { state in
            (state.recording.decisions[step], !state.hasEffects || state.isSealed)
        }
        switch decision?.choice {
        case .skip: return .value(decision?.value?.value ?? .nil)
        case .fail: return .fail
        case .retry, nil: break
        }
        // Nothing was changed yet: the script can be run again from its beginning.
        if mayFail { return .fail }
        standStill(
            RunPause(
                .failed, step: step, function: context.function, position: error.where.map { "\($0)" },
                message: error.message, hint: error.hint, rule: error.rule, at: clock.now))
        _ = try? await never() as [LuaValue]
        return .fail
    }

    // MARK: The order of the run

    /// The time at which the script is: that of the last turn that was taken again, until the run has gone on beyond its journal.
    ///
    /// So a sleep that was begun before a crash ends when it would have ended.
    var now: Timestamp {
        state.withLock { state in
            if state.hasGoneOn || state.recording.turns.isEmpty { return nil }
            return state.turn == 0 ? startedAt : Timestamp(milliseconds: state.recording.turns[state.turn - 1].at)
        } ?? clock.now
    }

    /// Until when the journal knows what happened.
    var frontier: Timestamp? { state.withLock { $0.recording.turns.last?.at }.map(Timestamp.init(milliseconds:)) }

    func next() -> DeliveryID? {
        state.withLock { state in
            state.isSealed || state.turn >= state.recording.turns.count ? nil : state.recording.turns[state.turn].wait
        }
    }

    func deliver(_ delivery: Delivery) {
        let id = delivery.id.description
        let (isNew, hasDiverged, notes) = state.withLock { state -> (Bool, Bool, [StepNote]) in
            let notes = state.notes.removeValue(forKey: id) ?? []
            let isRepeating = state.turn < state.recording.turns.count
            guard delivery.hasTurn else { return (false, delivery.kind == .ending && isRepeating, notes) }
            if isRepeating { state.turn += 1 } else { state.hasGoneOn = true }
            return (!isRepeating && !state.isSealed, false, notes)
        }
        if isNew { note(.turn(wait: id, at: clock.now.milliseconds)) }
        if hasDiverged {
            standStill(
                RunPause(
                    .diverged,
                    message: "the script does not come to the wait \(next()?.description ?? "") that its journal has",
                    hint: Self.divergenceHint, at: clock.now))
            seal()
        }
        guard !notes.isEmpty else { return }
        let show = hooks.withLock { $0.show }
        for note in notes { show(note) }
    }

    static let divergenceHint =
        "the run was made by another version of Perilune; resume it with that one, or end it: perilune runs cancel"

    // MARK: Standing still

    /// Has the run stand still, for the first reason that is given.
    func standStill(_ pause: RunPause) {
        let isQuiet = state.withLock { state in
            if state.pause == nil { state.pause = pause }
            return state.underWay == 0
        }
        if isQuiet { seal() }
    }

    /// Has the run stop where it is, without waiting for what is under way: the engine drives that on.
    func interrupt() {
        state.withLock { state in
            guard state.pause == nil, state.hasEffects || state.hasAsked || state.turn < state.recording.turns.count
            else { return }
            state.pause = RunPause(.interrupted, message: "interrupted", at: clock.now)
        }
        if pause != nil { seal() }
    }

    private func effectEnded() {
        let isQuiet = state.withLock { state in
            state.underWay -= 1
            return state.underWay == 0 && state.pause != nil
        }
        if isQuiet { seal() }
    }

    private func seal() {
        let isFirst = state.withLock { state in
            defer { state.isSealed = true }
            return !state.isSealed
        }
        if isFirst { hooks.withLock { $0.onSeal }() }
    }

    /// Waits until it is cancelled.
    private func never<Value>() async throws -> Value {
        for await _ in AsyncStream<Void>(Void.self, { _ in }) {}
        throw CancellationError()
    }

    // MARK: Writing

    /// Adds an entry that becomes durable with the next commit.
    func note(_ entry: JournalEntry, with writes: [@Sendable (any VaultWriter) throws -> Void] = []) {
        guard !state.withLock({ $0.isSealed }) else { return }
        do { journal.note(try entry.text, with: writes) } catch { return fail(error) }
        let isFirst = state.withLock { state in
            defer { state.willFlush = true }
            return !state.willFlush
        }
        if isFirst { Task(executorPreference: executor) { await self.flushSoon() } }
    }

    /// What no step follows for a while (a long sleep comes next) becomes durable all the same.
    private func flushSoon() async {
        try? await clock.sleep(seconds: 0.2)
        state.withLock { $0.willFlush = false }
        try? await flush()
    }

    /// Adds an entry, and returns when it is durable with all before it.
    private func write(
        _ entry: JournalEntry, with writes: [@Sendable (any VaultWriter) throws -> Void] = []
    ) async throws {
        note(entry, with: writes)
        do { try await journal.commit() } catch {
            fail(error)
            throw CancellationError()
        }
    }

    /// Makes what was noted durable.
    func flush() async throws {
        do { try await journal.commit() } catch {
            fail(error)
            throw error
        }
    }

    private func fail(_ error: any Error) {
        state.withLock { $0.failure = $0.failure ?? error }
        seal()
    }
}
