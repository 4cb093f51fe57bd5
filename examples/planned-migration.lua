-- A planned migration: a VM goes to the other site, works there, and comes home, and every step is checked.
--
-- For maintenance of a site, or a flood that is forecast: both sites are up, so nothing may be lost, and nothing is
-- begun that is not known to end well. Needs a VM that is replicated (two-servers.lua or one-server-two-clouds.lua):
--
--    perilune run --grant lab examples/planned-migration.lua -- web

local health <const>, report <const> = require "health", require "report"

local vault <const> = recovery.vault()
local name <const> = ... or "web"
local item <const> = vault:replicated(name)
local address <const> = lab.guest(name).address
local rows <const> = {}

--- What the guest says of its own log. An answer is only taken from an unbroken chain of records.
local function ask()
   local reply <const> = health.http { vm = item, host = address, within = "2min" }
   assert(reply.intact, ("%s: its log is damaged: %s"):format(name, reply.error))
   return reply
end

--- Before: whatever would make the move fail, or make it a risk, ends the script here, where the VM still runs.
local function ready()
   for _, operation in ipairs { "sync", "planned-failover" } do
      local allowed <const>, why = item:can(operation)
      assert(allowed, why and ("%s: %s %s"):format(operation, why.message, why.hint))
   end
   -- One more point now: the shorter the last copy, the shorter the VM is down.
   item:sync()
   local state <const> = item:health()
   assert(state.health ~= "critical", table.concat(state.reasons, " "))
   print(("  %s is well: a point %s old, %s to send"):format(
      name, report.seconds(state.rpo), state.pending and report.bytes(state.pending) or "little"))
end

--- After: it runs at the other site and nowhere else, from the last point of all, with everything that it had.
local function arrived(site, records)
   assert(item.owner.site == site, ("%s is at site %s"):format(name, item.owner.site))
   assert(item.newest_point.kind == "planned", "the last point was not taken at rest")
   local reply <const> = ask()
   assert(reply.boot_records >= records, ("%s has %d of %d records"):format(name, reply.boot_records, records))
   return reply.boot_records
end

--- It works: what it had when it came up, and more by now.
local function works(records)
   health.until_(function() return ask().records > records end, { within = "1min", what = name .. " writes" })
end

--- There, or back: the same steps. Until the commit the way back is `item:undo()`, and nothing is lost by it either.
local function move()
   local from <const>, to <const> = item.source.site, item.target.site
   print(("%s: from site %s to site %s"):format(name, from, to))
   ready()
   local before <const> = ask().records
   local moved <const> = item:failover { kind = "planned", shutdown_limit = "2min" }
   local records <const> = arrived(to, before)
   works(records)
   item:commit()
   local reversed <const> = item:reverse()
   assert(item.state == "protected" and item.target.site == from, name .. " is not protected towards site " .. from)
   print(("  it runs at site %s with all %d records, protected towards site %s"):format(to, records, from))
   local way <const> = ("%s to %s"):format(from, to)
   rows[#rows + 1] = { way, before, records, report.seconds(moved.took), report.seconds(reversed.took) }
end

local home <const> = item.owner.site
move()
move()
assert(item.owner.site == home, "not home again")
print("\n" .. report.table({ "move", "records before", "after", "failover", "reverse" }, rows))
