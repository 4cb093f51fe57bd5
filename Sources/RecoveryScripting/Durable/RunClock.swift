import LuaHost
import SiteModel

/// The clock of a run that keeps a journal: what was waited for before is not waited for again.
struct RunClock: LuaClock {
    let clock: EngineLuaClock
    let keeper: StepKeeper

    var now: Duration { .milliseconds(keeper.now.milliseconds) }

    func sleep(for duration: Duration) async throws { try await sleep(until: now + duration) }

    func sleep(until deadline: Duration) async throws {
        if let frontier = keeper.frontier, deadline <= .milliseconds(frontier.milliseconds) { return }
        try await clock.sleep(until: deadline)
    }
}
