// The base functions that scripts get: an allow-list, with those replaced that could swallow an abort, show an
// address or reach outside.
#include "internal.h"

// What is held depends on the collector and the seed of the hashes, which differ from run to run: so "count" tells how
// much was asked for since the state was opened, as far as that depends on scripts alone.
static int guard_collectgarbage(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        raise(L, "argument", "collectgarbage: only \"count\" is available; the host collects garbage");
    lua_pushnumber(L, (lua_Number)(e->asked + e->unseen) / 1024);
    return 1;
}

static int safe_traceback(lua_State *L) {
    if (!lua_isnoneornil(L, 1) && !lua_isstring(L, 1)) return lua_settop(L, 1), 1;
    lua_settop(L, 1);
    // Each look at a level far out walks there.
    spend(L, (size_t)stack_depth(L) * 8);
    push_traceback(L, L);
    lua_pushfstring(L, "%s%sstack traceback:\n%s", luaL_optstring(L, 1, ""), lua_isnil(L, 1) ? "" : "\n",
                    lua_tostring(L, -1));
    return 1;
}

// Lua's own, which go through what they are given without a look at the budgets.
static int guard_tonumber(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) spend(L, lua_rawlen(L, 1) / 8);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int guard_select(lua_State *L) {
    spend(L, (size_t)lua_gettop(L) / 16);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

// Fills the table on top, which scripts read through their environment and cannot change.
void open_base(lua_State *L) {
    static const char *const kept[] = {
        "assert", "error", "getmetatable", "ipairs", "rawequal", "type", "_VERSION", NULL,
    };
    static const luaL_Reg replaced[] = {
        {"pcall", guard_pcall},   {"xpcall", guard_xpcall},     {"setmetatable", guard_setmetatable},
        {"rawset", guard_rawset}, {"tostring", guard_tostring}, {"print", guard_print},
        {"load", guard_load},     {"pairs", guard_pairs},       {"next", next_of_view},
        {"rawget", guard_rawget}, {"rawlen", guard_rawlen},
        {"inspect", inspect},     {"collectgarbage", guard_collectgarbage}, {NULL, NULL},
    };
    int base = lua_gettop(L);
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    for (int i = 0; kept[i]; i++) {
        lua_getfield(L, -1, kept[i]);
        lua_setfield(L, base, kept[i]);
    }
    lua_getfield(L, -1, "tonumber");
    lua_pushcclosure(L, guard_tonumber, 1);
    lua_setfield(L, base, "tonumber");
    lua_getfield(L, -1, "select");
    lua_pushcclosure(L, guard_select, 1);
    lua_setfield(L, base, "select");
    lua_settop(L, base);
    luaL_setfuncs(L, replaced, 0);
    lua_newtable(L);
    lua_pushcfunction(L, safe_traceback);
    lua_setfield(L, -2, "traceback");
    push_frozen(L, "debug", false);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "debug");
    lua_pop(L, 1);
    lua_setfield(L, base, "debug");
    open_globals(L);
    lua_settop(L, base);
}
