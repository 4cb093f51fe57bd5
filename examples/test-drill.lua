-- A drill of every VM of cloud gold, while production replicates on:
--   perilune run examples/test-drill.lua
-- Each VM comes up in an isolated network of its own, and all of it is gone afterwards.
local drill <const>, report <const> = require "drill", require "report"

local vault <const> = recovery.vault()
local rows <const> = {}
for _, vm in ipairs(vault:server("vmm01"):cloud("gold"):vms()) do
  local item <const> = vm:item()
  if item and item:can("test-failover") then
    local cleaned <const> = drill.test(item, { network = "create", within = "1h" }, function(test)
      print(("%s runs from point %d beside production"):format(test.vm, test.point))
    end)
    rows[#rows + 1] = { vm.name, cleaned.passed and "passed" or "not passed", report.seconds(cleaned.took) }
  end
end
print(report.table({ "VM", "test", "clean-up" }, rows))
