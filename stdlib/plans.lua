--- Recovery plans whose actions are functions of the script itself.
--
-- A function of a module ("module.function") needs none of this: it is called in a state of its own, whoever runs
-- the plan.
local plans = {}

--- Descriptions of the plans made here: the vault names their functions by number, so they must stay alive.
local kept <const> = {}

--- Makes a plan, as vault:plan does, whose actions may be functions of this script.
-- @param vault the vault
-- @param description what vault:plan takes; an action may be a function, or have one as `call`
function plans.make(vault, description)
   kept[#kept + 1] = description
   return vault:plan(description)
end

--- Answers calls of the script's functions until the plan's run is over.
local function serve(plan)
   while true do
      local id <const>, fn <const>, context <const> = plan:next_call()
      if not id then return end
      local well <const>, said <const> = pcall(fn, context)
      plan:answer_call(id, well, said ~= nil and tostring(said) or "")
   end
end

--- Runs a plan and calls the script's functions when their turn comes.
-- @param plan a plan of plans.make
-- @param method "test", "clean_up_test", "failover", "commit" or "reverse"
-- @param options what that method takes
-- @return what that method returns; its errors are raised as they are
function plans.run(plan, method, options)
   local outcome
   plan:serve_calls()
   task.all {
      function() serve(plan) end,
      function() outcome = table.pack(pcall(plan[method], plan, options)) end,
   }
   if not outcome[1] then error(outcome[2], 0) end
   return outcome[2]
end

return plans
