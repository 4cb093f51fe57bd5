-- An application of three tiers by one plan: tested, moved in its order, committed, and made to replicate back.
-- Run again, it moves home. Needs registered sites (single-server.lua does that) and a VM for each tier:
--    perilune run examples/three-tier.lua -- orders middle web
local plans <const> = require "plans"
local report <const> = require "report"

local names <const> = { ... }
local database <const>, middle <const>, front <const> = names[1] or "orders", names[2] or "middle", names[3] or "web"

local vault <const> = recovery.vault()
local vmm <const> = vault:server("vmm01")
local gold <const> = vmm:cloud("gold")
for _, name in ipairs { database, middle, front } do
   if not gold:vm(name):item() then gold:vm(name):protect() end
   vault:replicated(name):sync()
end

local function tell(context)
   local vms = {}
   for index, vm in ipairs(context.vms) do vms[index] = ("%s at %s"):format(vm.name, vm.owner) end
   print(("  %s %s: %s"):format(context.place, context.group, table.concat(vms, ", ")))
end

-- The database first; each tier answers before the next one is started. Shut down is in the reverse order.
local shop <const> = plans.make(vault, {
   name = "shop", source = vmm, target = vmm,
   groups = {
      { name = "database", vms = { database }, after = { { name = "tell", call = tell } } },
      { name = "middle", vms = { middle }, before = { { wait = "1s" } }, after = { { name = "tell", call = tell } } },
      {
         name = "front", vms = { front },
         after = { { name = "tell", call = tell }, { name = "undo firewall", call = tell, on = { "clean-up-test" } } },
      },
   },
})
print(shop:tree())

local function show(result)
   local rows = {}
   for index, row in ipairs(result.vms) do
      rows[index] = {
         row.vm, row.group, row.outcome, row.owner, row.point or "-", row.loss and report.seconds(row.loss) or "-",
         row.took and report.seconds(row.took) or "-",
      }
   end
   print(("\n%s, %s: %s"):format(result.operation, result.direction, result.state))
   print(report.table({ "VM", "group", "outcome", "owner", "point", "lost", "took" }, rows))
end

show(plans.run(shop, "test"))
show(plans.run(shop, "clean_up_test"))
show(plans.run(shop, "failover", { kind = "planned" }))
show(plans.run(shop, "commit"))
show(plans.run(shop, "reverse"))
