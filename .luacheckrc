-- Globals of the API. The table read_globals is what Perilune's declarations say: a test compares.
std = "lua54"
max_line_length = 120
read_globals = {
   "help",
   "apropos",
   "inspect",
   "exec",
   recovery = { fields = { "vault", "now", "log", "ask" } },
   task = { fields = { "all", "map", "race", "sleep", "timeout", "scope", "spawn" } },
   files = { fields = { "read", "write", "append", "list", "remove", "exists" } },
   http = { fields = { "get", "post", "request" } },
   lab = { fields = { "site", "guest", "console", "lose", "restore" } },
}
