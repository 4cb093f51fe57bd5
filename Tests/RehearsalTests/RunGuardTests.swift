import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("What a run is held to when it goes on")
struct RunGuardTests {
    private static let script = """
        local waits <const> = require "waits"
        recovery.vault():policy { name = "fast", copy_frequency = "30s" }
        print(waits.word, os.time(), math.random(1000000))
        waits.long()
        print("over", recovery.now() > 0)
        """

    /// A run that has died in its long sleep, with its module in a folder of its own, and what is then done with it.
    private func afterDeath<Result: Sendable>(
        after seconds: Double, _ body: @escaping @Sendable (Stage, Run, _ folder: String) async throws -> Result
    ) async throws -> (Stage, Result) {
        let folder = NSTemporaryDirectory() + "perilune-run-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "return { word = 'first', long = function() task.sleep('10min') end }"
            .write(toFile: folder + "/waits.lua", atomically: true, encoding: .utf8)
        var made = try Stage()
        made.options.scriptFolder = folder
        let (stage, life) = (made, EngineLife())
        let result = try await stage.world.run {
            let dead = Task(executorPreference: stage.world.executor) {
                try await stage.run(Self.script, by: stage.engine("dies", life: life))
            }
            try await stage.world.clock.sleep(seconds: seconds)
            life.end()
            let result = try await body(stage, try #require(try await stage.runs.first), folder)
            dead.cancel()
            _ = await dead.result
            return result
        }
        return (stage, result)
    }

    @Test("A run goes on with the modules that it began with, whatever becomes of their files")
    func pinned() async throws {
        let (stage, outcome) = try await afterDeath(after: 60) { stage, run, folder in
            try "error('other')".write(toFile: folder + "/waits.lua", atomically: true, encoding: .utf8)
            return try await stage.resume(run.id, by: stage.engine("two"))
        }
        #expect(outcome.error == nil)
        #expect(stage.printed.all.count { $0.hasPrefix("first") } == 1, "said before the crash, and not again")
        #expect(stage.printed.all.last == "over\ttrue")
    }

    @Test("A sleep that was begun before a crash ends when it would have ended", arguments: [60.0, 590])
    func sleeps(_ seconds: Double) async throws {
        let (_, slept) = try await afterDeath(after: seconds) { stage, run, _ in
            _ = try await stage.resume(run.id, by: stage.engine("two"))
            return stage.world.clock.now.seconds(since: run.startedAt)
        }
        // The lease of the dead engine has to run out first: 15 s from its last renewal, each 5 s.
        #expect((600...606).contains(slept), "\(slept)")
    }

    @Test("Two engines do not drive one run; one that was held up for long finds that it has lost it")
    func oneDriver() async throws {
        let stage = try Stage()
        let script = """
            recovery.vault():policy { name = "fast", copy_frequency = "30s" }
            task.sleep("1min")
            recovery.log("once")
            """
        try await stage.world.run {
            let first = Task(executorPreference: stage.world.executor) {
                try await stage.run(script, by: stage.engine("one"))
            }
            try await stage.world.clock.sleep(seconds: 5)
            let id = try #require(try await stage.runs.first).id
            await #expect(throws: EngineError.self) { try await stage.resume(id, by: stage.engine("two")) }
            // Its lease passes to another as if it had not been renewed for long.
            try await stage.vault.write { vault in
                let lease = try #require(try vault.lease("run:\(id)"))
                try vault.release(lease)
            }
            let second = try await stage.resume(id, by: stage.engine("two"))
            #expect(second.error == nil)
            await #expect(throws: VaultError.self) { try await first.value }
        }
        let logged = try await stage.vault.read { try $0.events(about: nil, limit: 100) }.count { $0.text == "once" }
        #expect(logged == 1)
    }

    @Test("A journal that was changed is not gone on with")
    func changedJournal() async throws {
        let (_, kind) = try await afterDeath(after: 60) { stage, run, _ in
            try await stage.vault.write { vault in
                var rows = try vault.journal(of: run.id, after: 0, limit: .max)
                try vault.removeJournal(of: run.id, after: 0)
                rows[1].body = rows[1].body.replacing("policy", with: "polity")
                for row in rows { try vault.append(row, toJournalOf: run.id) }
            }
            let error = await #expect(throws: LuaError.self) { try await stage.resume(run.id, by: stage.engine("two")) }
            return error?.kind
        }
        #expect(kind == "journal")
    }

    @Test("A script that takes another way than its journal stands still, and the error names both")
    func diverged() async throws {
        let (_, outcome) = try await afterDeath(after: 60) { stage, run, _ in
            try await stage.vault.write { vault in
                var run = try #require(try vault.object(Run.self, id: run.id))
                run.value.text = run.value.text.replacing(
                    ":policy { name = \"fast\", copy_frequency = \"30s\" }", with: ":servers()")
                try vault.update(run)
            }
            return try await stage.resume(run.id, by: stage.engine("two"))
        }
        #expect(outcome.pause?.cause == .diverged)
        let message = outcome.pause?.message ?? ""
        #expect(message.contains("vault:policy") && message.contains("vault:servers"), "\(message)")
    }
}
