@testable import RecoveryScripting

/// Puts a bench into the situation that an example of the reference needs.
extension Situation {
    /// What comes about from the situation before, and which that is.
    private var step: (before: Situation?, lua: String) {
        switch self {
        case .bare: (nil, "")
        case .unpaired:
            (
                .bare,
                """
                for _, name in ipairs { "a", "b" } do
                  local site = lab.site(name)
                  vault:host { name = name .. "1", site = name, uri = site.uri, agent = site.agent,
                    address = site.address, store = site.store, fence = site.fence }
                end
                vmm = vault:server { name = "vmm01", vm = "vmm01" }
                gold = vmm:cloud { name = "gold", hosts = { vault:host("a1") } }
                silver = vmm:cloud { name = "silver", hosts = { vault:host("b1") } }
                fast = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 }
                vm = gold:vm("orders")
                """
            )
        case .registered:
            (.unpaired, "gold:pair { with = silver, policy = fast }")
        case .protected:
            (
                .registered,
                """
                gold:map_network { from = "gold-net", to = "silver-net" }
                item = vm:protect()
                relationship = vault:host("a1"):vm("vmm01"):replicate { to = vault:host("b1"), policy = fast }
                for _ = 1, 3 do item:sync() relationship:sync() end
                """
            )
        case .paused: (.protected, "item:pause() relationship:pause()")
        case .testing: (.protected, "item:test_failover() relationship:test_failover()")
        case .failedOver:
            (
                .protected,
                "item:failover { kind = 'unplanned' } relationship:failover { kind = 'unplanned', source = 'declared lost' }"
            )
        case .committed: (.protected, "item:failover { kind = 'unplanned' } item:commit()")
        case .managementCommitted: (.failedOver, "item:commit() relationship:commit()")
        case .planKept:
            (.protected, "plan = vault:plan { name = 'shop', source = vmm, groups = { { vms = { 'orders' } } } }")
        case .planTested: (.planKept, "plan:test()")
        case .planFailedOver: (.planKept, "plan:failover { kind = 'unplanned' }")
        case .planCommitted: (.planFailedOver, "plan:commit()")
        case .lost: (.protected, "lab.lose('a')")
        }
    }

    private var all: [Situation] { (step.before?.all ?? []) + [self] }

    /// Lua that makes the situation out of an empty vault.
    var preparation: String { "vault = recovery.vault()\n" + all.map(\.step.lua).joined(separator: "\n") }

    /// Lua that gives the examples' names a meaning, in a run after the preparation; it changes nothing.
    var names: String {
        var lines = ["local vault <const> = recovery.vault()"]
        if all.contains(.unpaired) {
            lines += [
                "local vmm <const>, fast <const> = vault:server('vmm01'), vault:policy('fast')",
                "local gold <const>, silver <const> = vmm:cloud('gold'), vmm:cloud('silver')",
            ]
        }
        if all.contains(.unpaired), self != .lost { lines.append("local vm <const> = gold:vm('orders')") }
        if all.contains(.protected) {
            lines.append(
                "local item <const>, relationship <const> = vault:replicated('orders'), vault:replicated('vmm01')")
        }
        if all.contains(.planKept) { lines.append("local plan <const> = vault:plan('shop')") }
        return lines.joined(separator: "\n")
    }
}
