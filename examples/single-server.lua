-- Two sites, one management server, and the day site a is lost.
--
-- The management server vmm01 is itself a VM. It runs at site a with the workloads it manages, so it is replicated by
-- the hosts alone, outside every cloud, and comes up first. The steps carry the numbers of the scenario for a
-- standalone management server: A1 to A8 set up, 1 to 7b are the outage and the way back.
--
--    export PERILUNE_VAULT=/var/lib/perilune-lab/vault/vault.db
--    perilune lab up && perilune vault create
--    perilune run --grant hosts --grant lab examples/single-server.lua
--
-- Each guest keeps a checksummed log on its disks and says over HTTP how many records it found when it booted. So no
-- figure below is taken on trust: what a recovery point held, and what a failover lost, the guests say themselves.

local health <const> = require "health"
local report <const> = require "report"

local vault <const> = recovery.vault()
local workloads <const> = { "orders", "web" }
local cycles <const> = 4

local held = {} -- by VM and point: between which counts of records the point was taken
local rows = {} -- of the table at the end

-- Helpers ------------------------------------------------------------------------------------------------------------

local function heading(text) print("\n" .. text) end

--- What the guest says of its own log. Its answer is only taken from an unbroken chain of records.
local function ask(object, within)
   local reply <const> = health.http { vm = object, host = lab.guest(object.name).address, within = within or "2min" }
   assert(reply.intact, ("%s: its log is damaged: %s"):format(object.name, reply.error))
   return reply
end

--- Calls a function that a rule must refuse, and shows the refusal.
local function refused(rule, attempt)
   local allowed <const>, problem = pcall(attempt)
   assert(not allowed, "the rule " .. rule .. " did not refuse")
   assert(type(problem) ~= "string" and problem.rule == rule, problem)
   print(("  refused by %s: %s"):format(rule, problem.hint))
end

local function record(object, operation, took, records, seconds)
   rows[#rows + 1] = { object.name, operation, records, report.seconds(seconds), report.seconds(took) }
end

--- One change cycle while the guest writes. The point holds what was durable before it, and nothing written after it.
local function cycle(object)
   local before <const> = ask(object).records
   local job <const> = object:sync()
   local after <const> = ask(object).records
   held[object.name][job.point] = { at_least = before, at_most = after, at = job.at }
   print(("  %s: point %d holds %d to %d records, %s in %s"):format(
      object.name, job.point, before, after, report.bytes(job.bytes), report.seconds(job.took)))
end

--- Checks that a guest came up with what its recovery point held, neither less nor more.
local function check_point(object, point)
   local reply <const>, bounds = ask(object), held[object.name][point]
   assert(bounds, ("%s came up from point %d, which this script did not make"):format(object.name, point))
   assert(reply.boot_records >= bounds.at_least and reply.boot_records <= bounds.at_most,
      ("%s came up with %d records; point %d held %d to %d"):format(
         object.name, reply.boot_records, point, bounds.at_least, bounds.at_most))
   return reply.boot_records
end

-- Setting up ---------------------------------------------------------------------------------------------------------

--- A2 to A4: both sites' hosts, the management server, and a cloud at each site.
local function register()
   heading("Registering hosts, server and clouds")
   local hosts = {}
   for _, name in ipairs { "a", "b" } do
      local site <const> = lab.site(name)
      hosts[name] = vault:host {
         name = "host-" .. name, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
         store = site.store, fence = site.fence,
      }
   end
   local vmm <const> = vault:server { name = "vmm01", vm = "vmm01" }
   local gold <const> = vmm:cloud { name = "gold", hosts = { hosts.a } }
   local silver <const> = vmm:cloud { name = "silver", hosts = { hosts.b } }
   return hosts, gold, silver
end

--- A5 and A6: how VMs are replicated, from where to where, and on which network they come up there.
local function pair(gold, silver)
   local fast <const> = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = cycles }
   gold:pair { with = silver, policy = fast }
   gold:map_network { from = "gold-net", to = "silver-net" }
   return fast
end

--- A7: the workloads are protected through their cloud. Both first copies travel at once.
local function protect_workloads(gold)
   heading("Protecting the workloads (A7)")
   return task.map(workloads, { limit = 2 }, function(name)
      local vm <const> = gold:vm(name)
      local item <const> = vm:item() or vm:protect()
      print(("  %s: %s"):format(name, item.state))
      return item
   end)
end

--- A1 and A8: the management server's own VM belongs to no cloud; the hosts replicate it.
local function replicate_server(hosts, gold, policy)
   heading("Replicating the management server by the hosts (A8)")
   refused("management-vm-outside-clouds", function() gold:vm("vmm01"):protect() end)
   local vm <const> = hosts.a:vm("vmm01")
   return vm:relationship()
      or vm:replicate { to = hosts.b, policy = policy, networks = { ["gold-net"] = "silver-net" } }
end

--- Several cycles while the guests write.
local function replicate_changes(objects)
   heading(("Replicating changes, %d cycles"):format(cycles))
   for _, object in ipairs(objects) do held[object.name] = {} end
   for _ = 1, cycles do
      task.map(objects, { limit = 3 }, cycle)
      task.sleep("2s")
   end
end

-- The outage ---------------------------------------------------------------------------------------------------------

--- Site a is gone, at one instant. Returns when, and what each guest had written just before.
local function lose_site(objects)
   heading("Site a is lost")
   local last = {}
   for _, object in ipairs(objects) do last[object.name] = ask(object).records end
   local at <const> = recovery.now()
   lab.lose("a")
   return at, last
end

--- 1 and 2a: the management server first, by the hosts alone; then it is seen to answer.
local function recover_server(server, workload, lost_at, last)
   heading("Failing the management server over (1, 2a)")
   refused("management-server-first", function() workload:failover { kind = "unplanned", source = "fence" } end)
   local job <const> = server:failover { kind = "unplanned", source = "fence" }
   local booted <const> = check_point(server, job.point)
   record(server, "unplanned failover", job.took, last[server.name] - booted, lost_at - job.at)
   print(("  %s runs at site %s from point %d"):format(server.name, server.owner.site, job.point))
end

--- 2b: the workloads, each from its latest point.
local function recover_workloads(items, lost_at, last)
   heading("Failing the workloads over (2b)")
   local jobs <const> = task.map(items, { limit = 2 }, function(item)
      return item:failover { kind = "unplanned", point = "latest", source = "fence" }
   end)
   for index, item in ipairs(items) do
      local booted <const> = check_point(item, jobs[index].point)
      record(item, "unplanned failover", jobs[index].took, last[item.name] - booted, lost_at - jobs[index].at)
   end
end

--- 2c: one of them is wanted as it was earlier; then every failover is made final.
local function choose_and_commit(items, server, lost_at, last)
   heading("Choosing an older point, committing (2c)")
   local orders <const> = items[1]
   local points <const> = orders:points()
   local older <const> = points[#points - 2]
   local job <const> = orders:change_point { point = older }
   local booted <const> = check_point(orders, older.number)
   record(orders, "change of point", job.took, last[orders.name] - booted, lost_at - older.at)
   print(("  orders went back from point %d to point %d"):format(points[#points].number, older.number))
   refused("commit-before-reverse", function() orders:reverse() end)
   for _, item in ipairs(items) do item:commit() end
   server:commit()
end

--- 3: users work at site b.
local function work(objects)
   heading("Working at site b (3)")
   for _, object in ipairs(objects) do
      local reply = ask(object)
      reply = health.until_(function()
         local now <const> = ask(object)
         return now.records > reply.records and now
      end, { within = "1min", what = object.name .. " writes" })
      print(("  %s: %d records and counting"):format(object.name, reply.records))
   end
end

-- The way back -------------------------------------------------------------------------------------------------------

--- 4 to 5b for the server, 6 to 7b for a workload: reverse, come home by planned failover, commit, reverse again.
local function bring_home(object)
   object:reverse()
   object:sync()
   local before <const> = ask(object).records
   local job <const> = object:failover { kind = "planned", shutdown_limit = "2min" }
   assert(object.newest_point.kind == "planned", object.name .. ": the last point was not taken at rest")
   local at_power_off <const> = lab.console(object.name, "b").records_at_poweroff
   local booted <const> = ask(object).boot_records
   assert(booted >= before, ("%s lost records it had told of: %d of %d"):format(object.name, booted, before))
   assert(booted == at_power_off, ("%s came home with %d records; it powered off with %s"):format(
      object.name, booted, at_power_off))
   object:commit()
   object:reverse()
   print(("  %s is home with all %d records"):format(object.name, booted))
   return { took = job.took, lost = at_power_off - booted }
end

local function bring_server_home(server, workload)
   heading("Site a returns; the management server goes home (4, 5a, 5b)")
   lab.restore("a")
   refused("management-server-home-first", function() workload:reverse() end)
   local home <const> = bring_home(server)
   record(server, "planned failover", home.took, home.lost, 0)
end

local function bring_workloads_home(items)
   heading("The workloads go home (6, 7a, 7b)")
   local homes <const> = task.map(items, { limit = 2 }, bring_home)
   for index, item in ipairs(items) do
      record(item, "planned failover", homes[index].took, homes[index].lost, 0)
   end
end

--- As on the day before: every VM at site a, protected towards site b.
local function check_steady_state(objects)
   for _, object in ipairs(objects) do
      assert(object.state == "protected" and object.owner.site == "a",
         ("%s is %s at site %s"):format(object.name, object.state, object.owner.site))
   end
end

-- The day ------------------------------------------------------------------------------------------------------------

local hosts <const>, gold <const>, silver <const> = register()
local policy <const> = pair(gold, silver)
local items <const> = protect_workloads(gold)
local server <const> = replicate_server(hosts, gold, policy)
local everything <const> = { server, items[1], items[2] }
refused("nothing-to-reverse", function() items[1]:reverse() end)
replicate_changes(everything)

local lost_at <const>, last <const> = lose_site(everything)
recover_server(server, items[1], lost_at, last)
recover_workloads(items, lost_at, last)
choose_and_commit(items, server, lost_at, last)
work(everything)

bring_server_home(server, items[1])
bring_workloads_home(items)
check_steady_state(everything)

heading("What it cost")
print(report.table({ "VM", "operation", "records lost", "seconds lost", "took" }, rows))
