// The system's Lua 5.4. Only CLuaShim imports this module: every other target sees Lua through it.
#include <stddef.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
