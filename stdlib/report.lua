--- Tables and figures for people to read.
local report = {}

--- Seconds as people say them: "0.42 s", "12.3 s", "3 min 05 s".
function report.seconds(seconds)
   if seconds < 10 then return ("%.2f s"):format(seconds) end
   if seconds < 120 then return ("%.1f s"):format(seconds) end
   return ("%d min %02d s"):format(seconds // 60, seconds % 60 // 1)
end

--- Bytes as people say them: "512 B", "1.5 MiB".
function report.bytes(bytes)
   local units <const> = { "KiB", "MiB", "GiB", "TiB" }
   if bytes < 1024 then return ("%d B"):format(bytes) end
   local amount, unit = bytes / 1024, 1
   while amount >= 1024 and unit < #units do
      amount, unit = amount / 1024, unit + 1
   end
   return ("%.1f %s"):format(amount, units[unit])
end

--- The text of a table: a line of headings, a rule, and one line a row. Columns of numbers stand right.
-- @param headings a list of texts
-- @param rows a list of lists, each value text or number
function report.table(headings, rows)
   local widths, right = {}, {}
   for column, heading in ipairs(headings) do
      widths[column], right[column] = utf8.len(heading) or #heading, #rows > 0
      for _, row in ipairs(rows) do
         local text <const> = tostring(row[column])
         widths[column] = math.max(widths[column], utf8.len(text) or #text)
         right[column] = right[column] and text:match("^[-+]?%d") ~= nil
      end
   end

   local function line(values)
      local cells = {}
      for column in ipairs(headings) do
         local text <const> = tostring(values[column])
         local gap <const> = (" "):rep(widths[column] - (utf8.len(text) or #text))
         cells[column] = right[column] and gap .. text or text .. gap
      end
      return (table.concat(cells, "  "):gsub("%s+$", ""))
   end

   local rule = {}
   for column in ipairs(headings) do rule[column] = ("-"):rep(widths[column]) end
   local lines = { line(headings), table.concat(rule, "  ") }
   for _, row in ipairs(rows) do lines[#lines + 1] = line(row) end
   return table.concat(lines, "\n")
end

return report
