-- One management server with two clouds: protect everything in the first, and keep the server itself recoverable.
--
-- Both clouds are one server's, and the server is itself a VM at the first site. Lost with that site, it could recover
-- nobody; so the hosts replicate it, below every cloud, and it comes up first. Begin with an empty vault:
--
--    perilune lab up && perilune vault create
--    perilune run --grant hosts --grant lab examples/one-server-two-clouds.lua
--
-- single-server.lua goes on from here: it loses the site.

local report <const> = require "report"

local vault <const> = recovery.vault()
vault:settings { goal = "one-server" }

-- The hosts of both sites, and the server with a cloud for each site.
local hosts <const> = {}
for _, letter in ipairs { "a", "b" } do
   local site <const> = lab.site(letter)
   hosts[letter] = vault:host {
      name = "host-" .. letter, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
      store = site.store, fence = site.fence,
   }
end
local vmm <const> = vault:server { name = "vmm01", vm = "vmm01" }
local gold <const> = vmm:cloud { name = "gold", hosts = { hosts.a } }
local silver <const> = vmm:cloud { name = "silver", hosts = { hosts.b } }

-- How often, how many points, from where to where, and on which network VMs come up there.
local fast <const> = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 }
gold:pair { with = silver, policy = fast }
gold:map_network { from = "gold-net", to = "silver-net" }

-- The server's own VM: cloud:vms() leaves it out, and protecting it through a cloud is refused.
local own <const> = hosts.a:vm("vmm01")
local server <const> = own:relationship()
   or own:replicate { to = hosts.b, policy = fast, networks = { ["gold-net"] = "silver-net" } }

-- Every other VM of the cloud, two first copies at a time.
local items <const> = task.map(gold:vms(), { limit = 2 }, function(vm) return vm:item() or vm:protect() end)

-- What there is now, what may come next, and why the rest may not.
local rows <const> = {}
for _, object in ipairs { server, table.unpack(items) } do
   local point <const> = object:sync().point
   local allowed <const>, why = object:can("reverse")
   assert(not allowed, object.name .. ": nothing has failed over, so there is nothing to reverse")
   local next <const> = object:next().steps[1].operation
   rows[#rows + 1] = { object.name, object.state, object.source.name, object.target.name, point, next, why.rule }
end
print(report.table({ "VM", "state", "from", "to", "point", "next", "reverse is refused by" }, rows))
