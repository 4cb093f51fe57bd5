// Metatables, and functions that look into tables raw.
#include "internal.h"

int guard_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) raise(L, "script", "cannot change a protected metatable");
    lua_settop(L, 2);
    if (type == LUA_TTABLE) {
        // Finalizers run where no hook does, and weak tables meet a memory error of Lua 5.4.4.
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            raise(L, "argument", "setmetatable: '__gc' is not available; use a <close> variable");
        lua_pushliteral(L, "__mode");
        if (lua_rawget(L, 2) != LUA_TNIL) raise(L, "argument", "setmetatable: '__mode' is not available");
        lua_settop(L, 2);
    }
    lua_setmetatable(L, 1);
    return 1;
}

// What scripts know as _G is a view; functions that look into tables raw get the table behind it.
static void see_through_view(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE) return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_GLOBALS_VIEW);
    if (lua_rawequal(L, index, -1)) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        lua_replace(L, index);
    }
    lua_pop(L, 1);
}

int guard_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    see_through_view(L, 1);
    see_through(L, 1);
    lua_rawget(L, 1);
    return 1;
}

int guard_rawlen(lua_State *L) {
    int type = lua_type(L, 1);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
    lua_settop(L, 1);
    see_through(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

int next_of_view(lua_State *L) {
    if (lua_type(L, 1) == LUA_TTABLE) {
        see_through_view(L, 1);
        see_through(L, 1);
    }
    return guard_next(L);
}

int guard_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    lua_pushvalue(L, 1);
    lua_insert(L, 1);  // what is returned
    see_through_view(L, 2);
    if (is_frozen(L, 2)) raise(L, "script", "rawset: the table is read-only");
    lua_rawset(L, 2);
    lua_settop(L, 1);
    return 1;
}
