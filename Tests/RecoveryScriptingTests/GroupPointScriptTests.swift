import LuaHost
import RecoveryEngine
import SiteModel
import Testing

@testable import RecoveryScripting

@Suite("Points of held guests in scripts")
struct GroupPointScriptTests {
    private func run(_ text: String) async throws -> RunOutcome {
        let bench = Bench()
        let prepared = try await bench.run(Situation.protected.preparation)
        try #require(prepared.error == nil, "\(prepared)")
        return try await bench.run("\(Situation.protected.names)\n\(text)")
    }

    @Test("A group point is made, found again, listed, and says which points are its members'")
    func made() async throws {
        let outcome = try await run(
            """
            local made = vault:group_point { name = "g", vms = { item, "vmm01" }, consistency = "application" }
            local found, points = vault:group_point "g", item:points()
            return #vault:group_points(), found.name, found.consistency, #found.members, points[#points].group,
              points[#points].consistency, made.members[1].point == points[#points].number
            """)
        #expect(outcome.values == [1, "g", "application", 2, "g", "application", true], "\(outcome)")
    }

    @Test("A failover takes a group point as its point, and each VM its own member")
    func failedOver() async throws {
        let outcome = try await run(
            """
            local group = vault:group_point { name = "g", vms = { item } }
            item:sync()
            local job = item:failover { kind = "unplanned", point = group }
            return job.point == group.members[1].point, job.point < #item:points() + 1
            """)
        #expect(outcome.values.first == true, "\(outcome)")
    }

    @Test("A cycle made to be application-consistent says what it is")
    func sync() async throws {
        let outcome = try await run(
            """
            local job = item:sync { consistency = "application" }
            return job.consistency, job.reason, item:sync { consistency = "crash" }.consistency
            """)
        #expect(outcome.values.first == "application" && outcome.error == nil, "\(outcome)")
    }

    @Test(
        "What is no consistency, no VM or no group point is told",
        arguments: [
            ("item:sync { consistency = 'perfect' }", "argument"),
            ("vault:group_point { name = 'g', vms = { 'nobody' } }", "unknown"),
            ("vault:group_point { name = 'g', vms = {} }", "invalid"),
            ("vault:group_point 'g'", "unknown"),
        ])
    func mistakes(text: String, kind: String) async throws {
        let outcome = try await run(text)
        #expect(outcome.error?.kind.rawValue == kind, "\(outcome)")
    }
}
