-- Two management servers, a cloud each: one VM from its registration to the day it lives at the other site.
--
-- Each site has its own server, which owns the site's cloud; the vault pairs the two clouds. Begin with an empty vault.
-- Run again, the VM moves home.
--
--    perilune lab up && perilune vault create
--    perilune run --grant hosts --grant lab examples/two-servers.lua -- web

local drill <const>, health <const>, report <const> = require "drill", require "health", require "report"

local vault <const> = recovery.vault()
local name <const> = ... or "web"

-- Register: at each site a host, the server that owns it, and a cloud.
local function cloud_at(letter, server, cloud)
   local site <const> = lab.site(letter)
   local host <const> = vault:host {
      name = "host-" .. letter, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
      store = site.store, fence = site.fence,
   }
   return vault:server { name = server, version = "0.1.0" }:cloud { name = cloud, hosts = { host } }
end

local gold <const> = cloud_at("a", "vmm-a", "gold")
local silver <const> = cloud_at("b", "vmm-b", "silver")

-- Pair: from now on the vault refuses a pair within one server, so no slip can pair a site with itself.
vault:settings { goal = "two-servers" }
gold:pair { with = silver, policy = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 } }

-- Map networks, there and back: a NIC whose network is not mapped comes up unconnected.
gold:map_network { from = "gold-net", to = "silver-net" }
silver:map_network { from = "silver-net", to = "gold-net" }

-- Protect: the first copy travels now; each later point only what has changed.
local item <const> = gold:vm(name):item() or gold:vm(name):protect()
local first <const> = item:sync()
print(("%s is %s: point %d holds it"):format(item.name, item.state, first.point))

-- Test: a copy in a network of its own, beside production, gone when it was looked at.
local tested <const> = drill.test(item, { network = "create", within = "1h" }, function(test)
   print(("%s runs from point %d"):format(test.vm, test.point))
end)
assert(tested.passed, "the test did not pass: do not move what does not come up")

-- Move: shut down here, last changes sent, started there. Nothing is lost, and the guest says so itself.
local function records()
   return health.http { vm = item, host = lab.guest(name).address, within = "2min" }
end

local from <const>, before <const> = item.owner.site, records().records
local moved <const> = item:failover { kind = "planned" }
local after <const> = records().boot_records
assert(after >= before, ("%s came up with %d of %d records"):format(name, after, before))

-- Commit makes the move final; reverse replicates it back to where it came from.
item:commit()
local back <const> = item:reverse()

print(report.table({ "VM", "from", "to", "records before", "after", "move", "reverse" }, {
   { name, from, item.owner.site, before, after, report.seconds(moved.took), report.seconds(back.took) },
}))
