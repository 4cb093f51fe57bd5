--- Waiting until something is well: the step between a failover and its commit.
local health = {}

local function failure(message, last)
   local hint = last and ("the last attempt said: " .. tostring(last)) or nil
   return setmetatable({ kind = "timeout", message = message, hint = hint }, {
      __tostring = function(self) return self.hint and self.message .. " (" .. self.hint .. ")" or self.message end,
   })
end

--- Refuses an option that the function does not know: it would be ignored without a word.
local function check_options(name, options, known)
   for key in pairs(options) do
      if not known[key] then
         local names = {}
         for each in pairs(known) do names[#names + 1] = each end
         error(("health.%s has no option '%s'; it takes: %s"):format(name, key, table.concat(names, ", ")), 3)
      end
   end
end

local until_options <const> = { within = true, every = true, what = true }
local http_options <const> = { vm = true, host = true, port = true, path = true, within = true, every = true }

--- Calls a function again and again until it returns something true, and returns that.
--
-- An error that the same call may not raise again (e.retryable) counts as "not yet"; any other error ends the wait.
-- @param check what to call
-- @param options within: how long at most ("1min"); every: how long to wait between calls ("500ms");
--    what: words for the message
-- @raise kind "timeout", with what the last attempt said as the hint
function health.until_(check, options)
   options = options or {}
   check_options("until_", options, until_options)
   local within <const>, every <const> = options.within or "1min", options.every or "500ms"
   local last
   local function attempts()
      while true do
         local called, result = pcall(check)
         if called and result then return result end
         if not called then
            if type(result) == "string" or not result.retryable then error(result, 0) end
            last = result
         end
         task.sleep(every)
      end
   end
   local ended, result = pcall(task.timeout, within, attempts)
   if ended then return result end
   if type(result) == "string" or result.kind ~= "timeout" then error(result, 0) end
   error(failure(("%s: not well within %s"):format(options.what or "the check", within), last), 0)
end

--- Asks a guest over HTTP, from the site where it runs, until it answers with status 200; returns what it says.
--
-- The answer is the decoded table when the guest speaks JSON, else its text.
-- @param options vm: a vm, item or relationship; host: the guest's address; port (80); path ("/");
--    within: how long at most ("1min"); every ("500ms")
function health.http(options)
   check_options("http", options, http_options)
   local vm <const> = options.vm
   local what <const> = ("%s at %s:%d"):format(vm.name, options.host, options.port or 80)
   return health.until_(function()
      local reply <const> = vm:probe { host = options.host, port = options.port, path = options.path, timeout = "2s" }
      return reply.status == 200 and (reply.json or reply.body)
   end, { within = options.within, every = options.every, what = what })
end

return health
