// What scripts read where a name is no local of theirs: their own globals, then the base, which raises for names that
// do not exist; and _G, a view of both that gives nil for them.
#include <limits.h>

#include "internal.h"

// Whether the function that reads a global belongs to a library written for any Lua.
static bool is_foreign(lua_State *L) {
    lua_Debug ar;
    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "S", &ar)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LENIENT);
    bool foreign = lua_getfield(L, -1, ar.source) != LUA_TNIL;
    lua_pop(L, 2);
    return foreign;
}

static int unknown_global(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING || is_foreign(L)) return 0;
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    int distance = INT_MAX;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
    const char *best = push_nearest(L, name, length, -1, NULL, &distance);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    best = push_nearest(L, name, length, -1, best, &distance);
    if (best) raise(L, "undefined", "unknown global '%.80s'; did you mean '%s'?", name, best);
    raise(L, "undefined", "unknown global '%.80s'", name);
}

static void copy_fields(lua_State *L, int to, int from) {
    size_t steps = 0;
    charge_walk(L, from);
    lua_pushnil(L);
    while (lua_next(L, from)) {
        charge_step(L, &steps);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
}

// _G.name: asking whether a global exists, so nil is an answer.
static int view_index(lua_State *L) {
    lua_settop(L, 2);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        else
            lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) != LUA_TNIL) return 1;
    }
    return 1;
}

static int view_newindex(lua_State *L) {
    lua_settop(L, 3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_replace(L, 1);
    if (lua_isnil(L, 2)) return luaL_error(L, "index is nil");
    lua_settable(L, 1);
    return 0;
}

static int globals_pairs(lua_State *L) {
    lua_settop(L, 1);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
    copy_fields(L, 2, 3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    copy_fields(L, 2, 4);
    lua_settop(L, 2);
    return push_hidden_pairs(L, 1, 2);
}

// Makes the globals of scripts over the base, which is on top.
void open_globals(lua_State *L) {
    int base = lua_gettop(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, base);

    // The script's own environment: what it writes stays in it, what it reads beyond is the base, which raises for
    // names that do not exist. _G is a view of both that gives nil for them.
    static const luaL_Reg view[] = {
        {"__index", view_index}, {"__newindex", view_newindex}, {"__pairs", globals_pairs}, {NULL, NULL},
    };
    lua_newtable(L);
    lua_newtable(L);
    luaL_newlib(L, view);
    lua_pushliteral(L, "globals");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_GLOBALS_VIEW);
    lua_setfield(L, -2, "_G");
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, base);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "globals");
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, globals_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_setmetatable(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}
