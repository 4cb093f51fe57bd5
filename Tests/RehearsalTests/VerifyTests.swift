import Foundation
import RecoveryScripting
import Testing

@testable import Rehearsal

@Suite("Trying a script against everything")
struct VerifyTests {
    private func scenario(_ text: String, setUp: String? = nil, name: String = "x.lua") throws -> Scenario {
        let site = try String(contentsOfFile: "\(Stage.root)/examples/simulated-lab.json", encoding: .utf8)
        return Scenario(
            site: site, setUp: setUp.map { Scenario.Script(name: "set-up.lua", text: $0) },
            script: Scenario.Script(name: name, text: text),
            options: ScriptOptions(standardLibrary: "\(Stage.root)/stdlib", grants: [.hosts, .lab]))
    }

    @Test("The careless example is caught with each of its mistakes, and the shortest way to each can be repeated")
    func careless() async throws {
        let scenario = try scenario(
            Stage.text("careless.lua"), setUp: Stage.text("careless-site.lua"), name: "careless.lua")
        let report = try await Explorer(scenario, budget: 3600, most: 80, lanes: 2).explore()
        let refused = report.findings.filter { $0.kind == .refused }.map(\.sentence)
        #expect(refused.contains { $0.contains("source-must-be-down") }, "forgets the fence: \(refused)")
        #expect(refused.contains { $0.contains("commit-before-reverse") }, "reverses before commit: \(refused)")
        let swallowed = try #require(report.violations.first { $0.kind == .swallowed }, "swallows errors")
        #expect(swallowed.sequence.count == 1)
        let again = try await Explorer(scenario, budget: 5).replay(swallowed.sequence)
        #expect(again.violations.contains { $0.kind == .swallowed && $0.sentence == swallowed.sentence })
    }

    @Test("A careful script has no violation, however it is disturbed")
    func careful() async throws {
        let careful = """
            local web <const> = recovery.vault():server("vmm01"):cloud("gold"):vm("web"):item()
            lab.lose("a")
            web:failover { kind = "unplanned", source = "fence" }
            web:commit()
            """
        let report = try await Explorer(
            scenario(careful, setUp: Stage.text("careless-site.lua")), budget: 3600, most: 60, lanes: 2
        ).explore()
        #expect(report.findings == [], "\(report.findings.map { ($0.sentence, $0.sequence, $0.details) })")
        #expect(report.executions == 61)
        #expect(Set(report.tried.keys).isSuperset(of: ["crashes", "calls that fail", "answers that are lost"]))
    }

    @Test("A script that a rule refuses though nothing goes wrong is told so at once")
    func refusedAtOnce() async throws {
        let script = "recovery.vault():server('vmm01'):cloud('gold'):vm('web'):item():reverse()"
        let report = try await Explorer(
            scenario(script, setUp: Stage.text("careless-site.lua")), budget: 5
        ).explore()
        #expect(report.executions == 1)
        #expect(report.violations.map(\.kind) == [.fails])
    }

    @Test("A script that never ends is found out")
    func endless() async throws {
        let report = try await Explorer(scenario("while true do task.sleep('1d') end"), budget: 5).explore()
        #expect(report.violations.map(\.kind) == [.endless])
    }

    @Test("The beginning of what is tried lies evenly over the whole", arguments: [1, 2, 3, 7, 100, 1000])
    func spread(_ count: Int) {
        let numbers = Explorer.spread(1..<count + 1)
        #expect(numbers.sorted() == Array(1...count))
        let first = numbers.prefix(max(1, count / 4)).sorted()
        let gaps = zip(first, first.dropFirst()).map { $1 - $0 }
        #expect((gaps.max() ?? 0) <= 12)
    }

    @Test(
        "Each disturbance can be written down and read back",
        arguments: [
            Disturbance.crash(step: 3), .call(7, .fails), .call(1, .unheard), .call(2, .hangs), .refuses(.stop),
            .refuses(.start), .unreachable(site: "a:b", second: 30), .order(9),
        ])
    func words(_ disturbance: Disturbance) {
        #expect(Disturbance(disturbance.description) == disturbance)
        #expect(!disturbance.words.isEmpty)
    }
}
