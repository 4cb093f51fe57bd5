-- The day site a is lost, and the vault with it.
--
-- The vault lies on a disk of site a and is shipped to site b every few seconds. When site a is lost, the process that
-- worked on the vault is lost too, in the middle of whatever it did. So this is a script in three parts, each run by
-- itself:
--
--    before   at site a: everything is protected, and the vault is told where its second place is (scripts/lost-vault)
--    after    at site b, on the promoted copy: the hosts alone have brought the management server up, the rest follows
--    home     at site b: site a has returned, and everything goes home
--
-- scripts/lost-vault runs all of it in the lab.

local health <const> = require "health"

local vault <const> = recovery.vault()
local part <const> = ...

local function ask(object)
   local reply <const> = health.http { vm = object, host = lab.guest(object.name).address, within = "2min" }
   assert(reply.intact, ("%s: its log is damaged: %s"):format(object.name, reply.error))
   return reply
end

local function register()
   local hosts = {}
   for _, name in ipairs { "a", "b" } do
      local site <const> = lab.site(name)
      hosts[name] = vault:host {
         name = "host-" .. name, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
         store = site.store, fence = site.fence,
      }
   end
   return hosts
end

local function before()
   local hosts <const> = register()
   local server <const> = vault:server { name = "vmm01", vm = "vmm01" }
   local gold <const> = server:cloud { name = "gold", hosts = { hosts.a } }
   local silver <const> = server:cloud { name = "silver", hosts = { hosts.b } }
   local fast <const> = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 }
   gold:pair { with = silver, policy = fast }
   gold:map_network { from = "gold-net", to = "silver-net" }
   for _, name in ipairs { "orders", "web" } do print(("  %s: %s"):format(name, gold:vm(name):protect().state)) end
   hosts.a:vm("vmm01"):replicate { to = hosts.b, policy = fast, networks = { ["gold-net"] = "silver-net" } }
   print "  vmm01: replicated by the hosts"
end

--- Every item, and the management server's own VM first.
local function everything()
   local gold <const> = vault:server("vmm01"):cloud("gold")
   return vault:replicated("vmm01"), gold:vm("orders"):item(), gold:vm("web"):item()
end

local function after()
   local server <const>, orders <const>, web <const> = everything()
   -- The hosts brought it up with no vault; perilune replicate finds that out and the vault takes it over.
   health.until_(function() return server.owner.site == "b" end, { within = "1min", what = "the vault knows of vmm01" })
   print(("  vmm01 answers at site b with %d records"):format(ask(server).boot_records))
   for _, item in ipairs { orders, web } do
      local job <const> = item:failover { kind = "unplanned", source = "declared lost" }
      print(("  %s runs at site b from point %d, with %d records"):format(item.name, job.point, ask(item).boot_records))
   end
   for _, object in ipairs { server, orders, web } do object:commit() end
end

local function home()
   for _, object in ipairs { everything() } do
      object:reverse()
      local records <const> = ask(object).records
      object:failover { kind = "planned" }
      local booted <const> = ask(object).boot_records
      assert(booted >= records, ("%s came home with %d of %d records"):format(object.name, booted, records))
      object:commit()
      object:reverse()
      print(("  %s is home with %d records"):format(object.name, booted))
   end
end

local parts <const> = { before = before, after = after, home = home }
assert(parts[part], "say which part: before, after or home")()
