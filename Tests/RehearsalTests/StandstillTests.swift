import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Runs that stand still, and what lets them go on")
struct StandstillTests {
    /// Makes something, and then asks for what a rule forbids.
    static let refused = """
        local vault <const> = recovery.vault()
        vault:policy { name = "fast", copy_frequency = "30s" }
        print("made")
        local hosts = vault:policy("slow")
        print("and", hosts and "found" or "none", tostring(hosts))
        return 7
        """

    private func standing(_ script: String = refused) async throws -> (Stage, RunOutcome) {
        let stage = try Stage()
        let outcome = try await stage.world.run { try await stage.run(script, by: stage.engine("one")) }
        return (stage, outcome)
    }

    @Test("A run whose step fails where nothing catches it stands still before anything unwinds")
    func standsStill() async throws {
        let (stage, outcome) = try await standing(
            """
            local closed <close> = setmetatable({}, { __close = function() print("unwound") end })
            """ + "\n" + Self.refused)
        let pause = try #require(outcome.pause)
        #expect(pause.cause == .failed)
        #expect(pause.function == "vault:policy")
        #expect(pause.position == "test.lua:5")
        #expect(stage.printed.all == ["made"], "nothing has unwound")
        let run = try #require(try await stage.runs.first)
        #expect(run.pause == pause)
        #expect(run.endedAt == nil)
    }

    @Test("A run that has changed nothing yet just fails")
    func failsAtOnce() async throws {
        let (stage, outcome) = try await standing("recovery.vault():policy('slow')")
        #expect(outcome.pause == nil)
        #expect(outcome.error != nil)
        #expect(try await stage.runs.first?.endedAt != nil)
    }

    @Test("What a script catches does not pause it")
    func caught() async throws {
        let (stage, outcome) = try await standing(
            "recovery.vault():policy { name = 'fast', copy_frequency = '30s' } "
                + "return (pcall(function() return recovery.vault():policy('slow') end))")
        #expect(outcome.error == nil)
        #expect(outcome.values == [false])
        #expect(try await stage.runs.first?.endedAt != nil)
    }

    @Test("It wants to be told what becomes of its step")
    func wantsDecision() async throws {
        let (stage, outcome) = try await standing()
        await #expect(throws: EngineError.self) {
            try await stage.world.run { try await stage.resume(outcome.id, by: stage.engine("two")) }
        }
    }

    @Test("Retried, the step is made again when its cause was mended; nothing before it is done or said twice")
    func retry() async throws {
        let (stage, outcome) = try await standing()
        let end = try await stage.world.run {
            let again = try await stage.resume(outcome.id, by: stage.engine("two"), RunDecision(.retry, by: "me"))
            #expect(again.pause?.function == "vault:policy", "the cause is still there")
            try await stage.engine("mends").ensurePolicy(
                Policy(id: "slow", name: "slow", copyFrequencySeconds: 300, recoveryPoints: 0))
            return try await stage.resume(outcome.id, by: stage.engine("three"), RunDecision(.retry, by: "me"))
        }
        #expect(end.error == nil)
        #expect(end.values == [7])
        #expect(stage.printed.all == ["made", "and\tfound\tpolicy<slow>"])
        #expect(try await stage.runs.first?.outcome == "succeeded")
    }

    @Test("Skipped, the step returns the value that was said; failed, its error is raised")
    func skipAndFail() async throws {
        let (stage, outcome) = try await standing()
        let skipped = try await stage.world.run {
            try await stage.resume(
                outcome.id, by: stage.engine("two"), RunDecision(.skip, value: "it", reason: "not needed", by: "me"))
        }
        #expect(skipped.values == [7])
        #expect(stage.printed.all == ["made", "and\tfound\tit"])

        let (other, first) = try await standing()
        let failed = try await other.world.run {
            try await other.resume(first.id, by: other.engine("two"), RunDecision(.fail, by: "me"))
        }
        #expect(failed.pause == nil)
        #expect(failed.error?.message.contains("slow") == true)
        #expect(try await other.runs.first?.endedAt != nil)
    }

    @Test("A decision on a run that waits for none is refused")
    func noDecision() async throws {
        let (stage, outcome) = try await standing("return 1")
        await #expect(throws: EngineError.self) {
            try await stage.world.run {
                try await stage.resume(outcome.id, by: stage.engine("two"), RunDecision(.retry, by: "me"))
            }
        }
    }

    @Test("A step that may not be done twice, and was under way when the engine died, waits for a person")
    func unknownOutcome() async throws {
        let script = """
            recovery.vault():policy { name = "fast", copy_frequency = "30s" }
            local group = recovery.vault():group_point { name = "g", vms = { "none" } }
            return tostring(group)
            """
        // The engine dies with the step begun: its journal says "began", and no more.
        var found: (Stage, String)?
        for step in 1..<40 where found == nil {
            let stage = try Stage()
            let life = EngineLife()
            life.end(afterSteps: step)
            try await stage.world.run { _ = try? await stage.run(script, by: stage.engine("dies", life: life)) }
            guard let run = try await stage.runs.first else { continue }
            let steps = try await stage.world.run { try await RunSteps.read(of: run.id, in: stage.engine("looks")) }
            if steps.last?.function == "vault:group_point", steps.last?.isOver == false { found = (stage, run.id) }
        }
        let (stage, id) = try #require(found)
        let outcome = try await stage.world.run { try await stage.resume(id, by: stage.engine("two")) }
        #expect(outcome.pause?.cause == .unknown)
        let end = try await stage.world.run {
            try await stage.resume(
                id, by: stage.engine("three"), RunDecision(.skip, value: "made", reason: "seen", by: "me"))
        }
        #expect(end.values == ["made"])
    }

    @Test("An open run can be ended, and is not resumed then")
    func cancelled() async throws {
        let (stage, outcome) = try await standing()
        try await stage.world.run {
            let ended = try await stage.engine("two").cancelRun(outcome.id, reason: "drill is over")
            #expect(ended.outcome == "cancelled: drill is over")
            await #expect(throws: EngineError.self) { try await stage.resume(outcome.id, by: stage.engine("three")) }
        }
    }
}
