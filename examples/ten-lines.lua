-- Move one VM to the other site and lose nothing. Run again, it moves the VM back.
-- Runs as it is in the lab once single-server.lua has registered the sites: perilune run examples/ten-lines.lua
local health <const> = require "health"

local vault <const> = recovery.vault()
local gold <const> = vault:server("vmm01"):cloud("gold")
local web <const> = gold:vm("web")
local item <const> = web:item() or web:protect()

item:sync()
item:failover { kind = "planned" }
local guest <const> = health.http { vm = item, host = "10.77.0.12", within = "2min" }
item:commit()
item:reverse()
print(("web runs at site %s with all %d records"):format(item.owner.site, guest.boot_records))
