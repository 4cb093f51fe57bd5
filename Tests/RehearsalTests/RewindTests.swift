import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Runs that are repeated from a step on")
struct RewindTests {
    /// Makes things, then stands still; the step after the first policy reads.
    static let script = """
        local vault <const> = recovery.vault()
        vault:policy { name = "one", copy_frequency = "30s" }
        local found = #vault:policies()
        recovery.log("found " .. found)
        if found == 1 then vault:policy("none") end
        return found
        """

    private func standing(_ script: String = script) async throws -> (Stage, String) {
        let stage = try Stage()
        let outcome = try await stage.world.run { try await stage.run(script, by: stage.engine("one")) }
        #expect(outcome.pause != nil)
        return (stage, outcome.id)
    }

    private func step(_ function: String, of id: String, _ stage: Stage) async throws -> String {
        let steps = try await RunSteps.read(of: id, in: stage.engine("looks"))
        return try #require(steps.first { $0.function == function }?.step)
    }

    @Test("What comes after the step is asked of the world again, and what was done before it is not done again")
    func again() async throws {
        let (stage, id) = try await standing()
        let outcome = try await stage.world.run {
            let step = try await step("vault:policies", of: id, stage)
            try await stage.engine("other").ensurePolicy(
                Policy(id: "two", name: "two", copyFrequencySeconds: 300, recoveryPoints: 0))
            return try await stage.resume(id, by: stage.engine("two"), from: Rewind(to: step, by: "me"))
        }
        #expect(outcome.error == nil)
        #expect(outcome.values == [2])
        let events = try await stage.vault.read { try $0.events(about: id, limit: 100) }.map(\.text)
        #expect(events.contains("found 1") && events.contains("found 2"))
    }

    @Test("A run that has gone on from a rewind is cut off anywhere and resumed as any other")
    func afterCrash() async throws {
        for death in 1...12 {
            let (stage, id) = try await standing()
            let (outcome, found) = try await stage.world.run {
                let step = try await step("vault:policies", of: id, stage)
                try await stage.engine("other").ensurePolicy(
                    Policy(id: "two", name: "two", copyFrequencySeconds: 300, recoveryPoints: 0))
                let (life, rewind) = (EngineLife(), Rewind(to: step, by: "me"))
                life.end(afterSteps: death)
                _ = try? await stage.resume(id, by: stage.engine("dies", life: life), from: rewind)
                let (run, next) = (try await stage.engine("looks").run(id), stage.engine("two"))
                var outcome: RunOutcome?
                // It died before the rewind was written: it stands as it stood.
                if run.pause != nil {
                    outcome = try await stage.resume(id, by: next, from: rewind)
                } else if run.endedAt == nil {
                    outcome = try await stage.resume(id, by: next)
                }
                let events = try await stage.vault.read { try $0.events(about: id, limit: 100) }
                return (outcome, events.count { $0.text == "found 2" })
            }
            if let outcome { #expect(outcome.values == [2], "death \(death): \(outcome)") }
            #expect(found == 1, "death \(death)")
        }
    }

    @Test("A step that it would do twice has to be named, and one that is not there is said to be none")
    func named() async throws {
        let (stage, id) = try await standing(
            """
            local vault <const> = recovery.vault()
            vault:policy { name = "one", copy_frequency = "30s" }
            pcall(function() vault:group_point { name = "g", vms = { "none" } } end)
            vault:policy("none")
            """)
        try await stage.world.run {
            let (first, group) = (
                try await step("vault:policy", of: id, stage), try await step("vault:group_point", of: id, stage)
            )
            await #expect(throws: EngineError.self) {
                try await stage.resume(id, by: stage.engine("two"), from: Rewind(to: first, by: "me"))
            }
            await #expect(throws: EngineError.self) {
                try await stage.resume(id, by: stage.engine("two"), from: Rewind(to: "0#99", by: "me"))
            }
            let outcome = try await stage.resume(
                id, by: stage.engine("two"), from: Rewind(to: first, again: [group], by: "me"))
            #expect(outcome.pause?.function == "vault:policy")
        }
    }
}
