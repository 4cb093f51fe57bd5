import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Runs that survive their engine")
struct DurableRunTests {
    /// Two VMs protected side by side, moved, and seen to run: tasks, a race, a caught error, random numbers and times.
    static let script = """
        local vault <const> = recovery.vault()
        local hosts = {}
        for _, name in ipairs { "a", "b" } do
           local site <const> = lab.site(name)
           hosts[name] = vault:host { name = "host-" .. name, site = site.name, uri = site.uri, agent = site.agent,
              address = site.address, store = site.store, fence = site.fence }
        end
        local vmm <const> = vault:server { name = "vmm02", version = "0.1.0" }
        local gold <const> = vmm:cloud { name = "gold", hosts = { hosts.a } }
        local silver <const> = vmm:cloud { name = "silver", hosts = { hosts.b } }
        gold:pair { with = silver, policy = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 2 } }
        gold:map_network { from = "gold-net", to = "silver-net" }
        local items <const> = task.map({ "orders", "web" }, { limit = 2 }, function(name)
           return gold:vm(name):protect()
        end)
        print("protected", #items, math.random(1000))
        local first <const> = task.race {
           function() task.sleep("1h") return "sleep" end,
           function() items[1]:sync() return "sync" end,
        }
        local ok, problem = pcall(function() items[1]:reverse() end)
        print(first, ok, problem.rule, os.time() > 0)
        recovery.log("moving")
        task.map(items, { limit = 2 }, function(item)
           item:failover { kind = "planned" }
           item:commit()
        end)
        print(tostring(items[1]), items[2].state, items[1].owner.site)
        return #items
        """

    /// What the world and the vault look like when all is over, whatever happened on the way.
    private func ending(_ stage: Stage) async throws -> String {
        var lines = stage.world.look { state in
            state.hosts.values.flatMap { host in
                host.domains.values.map { "\(host.name): \($0.name) \($0.power)" }
            }
        }.sorted()
        let relationships = try await stage.vault.read { try $0.objects(Relationship.self).map(\.value) }
        let hosts = try await stage.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        lines += relationships.map { relationship in
            let owner = hosts.first { $0.id == relationship.owner }?.name ?? ""
            return "\(relationship.name) \(relationship.state) epoch \(relationship.epoch) owner \(owner)"
        }
        let jobs = try await stage.jobs.map { "\($0.operation) \($0.state)" }.sorted()
        let events = try await stage.vault.read { try $0.events(about: nil, limit: 1000) }
            .filter { $0.text == "moving" }.map(\.text)
        return (lines + jobs + events).joined(separator: "\n")
    }

    @Test("An undisturbed run does what it says, and its journal has every effect once")
    func undisturbed() async throws {
        let stage = try Stage()
        let outcome = try await stage.world.run {
            try await stage.run(Self.script, by: stage.engine("one"))
        }
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "") \(String(describing: outcome.pause))")
        #expect(outcome.values == [2])
        #expect(stage.world.violations == [])
        let effects = try await stage.world.run { try await stage.effects(of: outcome.id) }
        #expect(effects.count { $0 == "vm:protect" } == 2)
        #expect(effects.count { $0 == "item:commit" } == 2)
    }

    @Test(
        "Killed after any step of its engine, a run that is resumed ends as if nothing had happened",
        arguments: ["two VMs", "single-server.lua"])
    func everyDeath(_ name: String) async throws {
        let script = name == "two VMs" ? Self.script : try Stage.text(name)
        let whole = try Stage()
        let life = EngineLife()
        let expected = try await whole.world.run {
            let outcome = try await whole.run(script, by: whole.engine("one", life: life))
            #expect(outcome.error == nil)
            return try await ending(whole)
        }
        #expect(life.steps > 100)
        for step in Self.deaths(of: life.steps, name) {
            let stage = try Stage()
            let died = EngineLife()
            died.end(afterSteps: step)
            let (got, problem) = try await stage.world.run {
                _ = try? await stage.run(script, by: stage.engine("dies", life: died))
                guard let run = try await stage.runs.first else {
                    // It died before its run was recorded: nothing was done.
                    #expect(step == 1)
                    return (expected, nil as String?)
                }
                let next = stage.engine("next")
                if run.endedAt != nil { return (try await ending(stage), nil) }
                async let recovered = next.recoverOpenJobs()
                let outcome = try await stage.resume(run.id, by: next)
                _ = try await recovered
                return (try await ending(stage), outcome.error.map { "\($0)" })
            }
            #expect(problem == nil, "killed after step \(step) of \(life.steps)")
            #expect(got == expected, "killed after step \(step) of \(life.steps)")
            #expect(stage.world.violations == [], "killed after step \(step)")
            if problem != nil || got != expected { break }
        }
    }

    /// Every step of the short script; of the long one as many as `PERILUNE_DEATHS` says, spread evenly, else forty.
    private static func deaths(of steps: Int, _ name: String) -> [Int] {
        guard name != "two VMs" else { return Array(1..<steps) }
        let wanted = ProcessInfo.processInfo.environment["PERILUNE_DEATHS"].flatMap(Int.init) ?? 40
        return Array(stride(from: 1, to: steps, by: max(1, steps / wanted)))
    }
}
