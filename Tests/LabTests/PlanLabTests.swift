import Foundation
import Lab
import Testing

/// A recovery plan over real guests, as an operator has it: a script, and the commands beside it.
@Suite("A plan of three tiers, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct PlanLabTests {
    private struct Row: Decodable {
        var vm: String
        var state: String
        var owner: String
    }

    private static let tiers = ["orders", "middle", "web"]

    /// Two clouds of one server, with the lab's two hosts.
    private static let sites = """
        local vault = recovery.vault()
        local hosts = {}
        for _, name in ipairs { "a", "b" } do
           local site = lab.site(name)
           hosts[name] = vault:host {
              name = "host-" .. name, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
              store = site.store, fence = site.fence,
           }
        end
        local vmm = vault:server { name = "vmm01", version = "0.1.0" }
        local gold = vmm:cloud { name = "gold", hosts = { hosts.a } }
        local silver = vmm:cloud { name = "silver", hosts = { hosts.b } }
        gold:pair { with = silver, policy = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 2 } }
        gold:map_network { from = "gold-net", to = "silver-net" }
        """

    @Test("examples/three-tier.lua tests its plan beside production, moves it over, and moves it home when run again")
    func overAndBack() async throws {
        try await withLab("plan", agentProgram: builtProgram, siteBytes: 4 << 30) { lab in
            let root = lab.configuration.root
            let vault = "\(root)/vault/vault.db"
            try await lab.up()
            try await lab.createGuests(
                Self.tiers.enumerated().map { LabGuest(name: $1, address: "10.77.0.\(21 + $0)") }, at: .a)
            let script = "\(root)/sites.lua"
            try Self.sites.write(toFile: script, atomically: true, encoding: .utf8)
            func perilune(_ words: String...) throws -> String {
                try output(of: [builtProgram] + words + ["--vault", vault])
            }
            _ = try perilune("vault", "create")
            _ = try perilune("run", script, "--grant", "hosts", "--grant", "lab", "--lab-root", root)

            for (owner, direction) in [("host-b", "over"), ("host-a", "back")] {
                let printed = try await timed("examples/three-tier.lua, \(direction)") {
                    try output(
                        of: [builtProgram, "run", projectFile("examples/three-tier.lua"), "--vault", vault, "--"]
                            + Self.tiers)
                }
                print(printed)
                let rows = try JSONDecoder().decode([Row].self, from: Data(try perilune("status", "--json").utf8))
                #expect(rows.map(\.vm).sorted() == Self.tiers.sorted())
                for row in rows { #expect(row.state == "protected" && row.owner == owner, "\(row)") }
            }
            #expect(try perilune("recovery-plan", "show", "shop").contains("database"))

            // What a guest wrote since its last point is known without reading its disks.
            let waiting = try output(of: [builtProgram, "health", "web", "--vault", vault])
            #expect(waiting.contains("waits to be sent") && !waiting.contains("not known"), "\(waiting)")

            // What the hosts have can be simulated elsewhere.
            let recorded = "\(root)/recorded.json"
            try perilune("site", "record").write(toFile: recorded, atomically: true, encoding: .utf8)
            let look = "\(root)/look.lua"
            try """
            local names = {}
            for _, vm in ipairs(recovery.vault():host("host-a"):vms()) do names[#names + 1] = vm.name end
            print(table.concat(names, " "))
            """.write(toFile: look, atomically: true, encoding: .utf8)
            let simulated = try output(of: [builtProgram, "run", look, "--simulate", recorded])
            for tier in Self.tiers { #expect(simulated.contains(tier), "\(simulated)") }
        }
    }
}
