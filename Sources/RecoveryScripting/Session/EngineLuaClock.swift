import LuaHost
import RecoveryEngine
import SiteModel

/// The engine's clock as Lua reads it, so that a run has one time.
struct EngineLuaClock: LuaClock {
    let clock: any EngineClock

    var now: Duration { .milliseconds(clock.now.milliseconds) }

    func sleep(for duration: Duration) async throws {
        let (seconds, attoseconds) = duration.components
        try await clock.sleep(seconds: Double(seconds) + Double(attoseconds) / 1e18)
    }
}
