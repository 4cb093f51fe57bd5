-- How not to write a failover: three mistakes that `perilune verify` finds before the worst hour does.
--
--    perilune verify --simulate examples/simulated-lab.json --set-up examples/careless-site.lua \
--       --grant hosts,lab examples/careless.lua
--
-- 1. It forgets the fence: an unplanned failover must know that the source is down.
-- 2. It reverses before it commits.
-- 3. It swallows errors: whatever goes wrong, it says that all went well.

local gold <const> = recovery.vault():server("vmm01"):cloud("gold")
local web <const> = gold:vm("web"):item()

lab.lose("a")

-- Mistake 1: no source = "fence", and site a is lost, so nobody knows that web is down there.
local ok = pcall(function() web:failover { kind = "unplanned" } end)
if not ok then
   -- Somebody added the fence once it had failed in a drill, and left the first attempt where it was.
   pcall(function() web:failover { kind = "unplanned", source = "fence" } end)
end

-- Mistake 2: replication is turned round before the failover is final.
pcall(function() web:reverse() end)

-- Mistake 3: what of this fails, nobody hears of.
pcall(function() web:commit() end)
print("web is safe")
