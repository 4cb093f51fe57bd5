--- A test failover from begin to end: start, look, clean up, whatever happens in between.
local drill = {}

--- Starts a test, calls `check` with its job, and cleans up; returns the clean-up's job.
--
-- @param vm a vm, item or relationship
-- @param options those of test_failover
-- @param check what to look at; its error is raised again after the clean-up
function drill.test(vm, options, check)
   local test <const> = vm:test_failover(options or {})
   for _, finding in ipairs(test.findings) do print(test.vm .. ": " .. finding) end
   local well, problem = pcall(check or function() end, test)
   local notes <const> = well and "the check passed" or ("the check failed: " .. tostring(problem):sub(1, 500))
   local cleaned <const> = vm:clean_up_test { notes = notes }
   if not well then error(problem, 0) end
   return cleaned
end

return drill
