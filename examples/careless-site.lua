-- What examples/careless.lua takes for given: two clouds, and web protected from one to the other.

local vault <const> = recovery.vault()
local hosts <const> = {}
for _, name in ipairs { "a", "b" } do
   local site <const> = lab.site(name)
   hosts[name] = vault:host {
      name = "host-" .. name, site = site.name, uri = site.uri, agent = site.agent, address = site.address,
      store = site.store, fence = site.fence,
   }
end
local vmm <const> = vault:server { name = "vmm01", version = "0.1.0" }
local gold <const> = vmm:cloud { name = "gold", hosts = { hosts.a } }
local silver <const> = vmm:cloud { name = "silver", hosts = { hosts.b } }
gold:pair {
   with = silver, policy = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 },
}
gold:map_network { from = "gold-net", to = "silver-net" }
gold:vm("web"):protect()
