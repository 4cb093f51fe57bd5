// Frozen tables: what the host and Lua's libraries hand to scripts and nobody may change. Scripts get an empty table, the
// view, whose metatable leads to the real one; no script can get hold of that, or of the metatable.
//
// Reading through __index is about as quick as reading a table. What reads tables raw (the encoder of arguments, next,
// rawget, rawlen, inspect, the lists of task.all) looks through the view first.
#include <limits.h>

#include "internal.h"

// In the metatable of a view: &KEY_FROZEN -> the real table, and these; in that of a real one: &KEY_FROZEN -> true.
enum { FROZEN_NAME = 1, FROZEN_IS_DATA = 2 };

bool is_frozen(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    bool frozen = lua_rawgetp(L, -1, &KEY_FROZEN) != LUA_TNIL;
    lua_pop(L, 2);
    return frozen;
}

bool is_frozen_data(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, -1, &KEY_FROZEN);
    lua_rawgeti(L, -2, FROZEN_IS_DATA);
    bool data = lua_istable(L, -2) && lua_toboolean(L, -1);
    lua_pop(L, 3);
    return data;
}

bool see_through(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
    bool view = lua_rawgetp(L, -1, &KEY_FROZEN) == LUA_TTABLE;
    if (view) lua_copy(L, -1, index);
    lua_pop(L, 2);
    return view;
}

static int frozen_newindex(lua_State *L) {
    if (!is_frozen(L, 1) || !lua_getmetatable(L, 1)) return luaL_error(L, "not a frozen table");
    lua_rawgeti(L, -1, FROZEN_NAME);
    raise(L, "script", "'%s' is read-only", lua_tostring(L, -1));
}

static int frozen_pairs(lua_State *L) {
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    if (!see_through(L, 2)) return luaL_error(L, "not a frozen table");
    return push_hidden_pairs(L, 1, 2);
}

static int frozen_len(lua_State *L) {
    lua_settop(L, 1);
    see_through(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int missing_member(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    const char *module = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING) raise(L, "undefined", "'%s' has no such member", module);
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    int distance = INT_MAX;
    const char *best = push_nearest(L, name, length, 1, NULL, &distance);
    if (best) raise(L, "undefined", "no field '%.80s' in '%s'; did you mean '%s'?", name, module, best);
    raise(L, "undefined", "no field '%.80s' in '%s'", name, module);
}

// Replaces the table on top by a view of it.
static void push_view(lua_State *L, const char *name, bool is_data) {
    luaL_checkstack(L, 8, NULL);
    int real = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 2, 6);
    lua_pushvalue(L, real);
    lua_rawsetp(L, -2, &KEY_FROZEN);
    lua_pushstring(L, name);
    lua_rawseti(L, -2, FROZEN_NAME);
    lua_pushboolean(L, is_data);
    lua_rawseti(L, -2, FROZEN_IS_DATA);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, frozen_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, frozen_pairs);
    lua_setfield(L, -2, "__pairs");
    if (is_data) {
        lua_pushcfunction(L, frozen_len);
        lua_setfield(L, -2, "__len");
    } else {
        lua_pushstring(L, name);
        lua_setfield(L, -2, "__name");
    }
    lua_pushstring(L, is_data ? "constant" : "module");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_replace(L, real);
}

void push_frozen(lua_State *L, const char *name, bool strict) {
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 3);
    if (strict) {
        lua_pushstring(L, name);
        lua_pushcclosure(L, missing_member, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pushliteral(L, "module");
    lua_setfield(L, -2, "__metatable");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &KEY_FROZEN);
    lua_setmetatable(L, -2);
    push_view(L, name, false);
}

void push_frozen_data(lua_State *L, const char *name) {
    luaL_checkstack(L, 8, NULL);
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_istable(L, -1)) {
            if (lua_type(L, -2) == LUA_TSTRING)
                lua_pushfstring(L, "%s.%s", name, lua_tostring(L, -2));
            else
                lua_pushfstring(L, "%s[]", name);
            lua_insert(L, -2);
            push_frozen_data(L, lua_tostring(L, -2));
            lua_remove(L, -2);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, table);  // of a key that is there, which a traversal allows
        } else {
            lua_pop(L, 1);
        }
    }
    push_view(L, name, true);
}
