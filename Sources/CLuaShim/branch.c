// The branches of scopes: what they are started with, and what they end with. These run protected, for task.c.
#include "scope.h"

// Pushes the function and arguments of a branch onto its thread, and returns how many arguments. Runs protected.
int push_branch(lua_State *L, lua_State *co, uint64_t scope, uint32_t index) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    if (lua_rawgeti(L, -1, (lua_Integer)scope) != LUA_TTABLE) return luaL_error(L, "no such scope");
    int table = lua_gettop(L);
    int arguments = 0;
    if (lua_rawgeti(L, table, SCOPE_CELLS) != LUA_TNIL && index > 1) {
        lua_rawgeti(L, table, SCOPE_LIST);
        lua_rawgeti(L, -1, index);
        int packed = lua_gettop(L);
        lua_getfield(L, packed, "n");
        int n = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        luaL_checkstack(L, n + 2, "too many arguments");
        luaL_checkstack(co, n + 2, "too many arguments");
        for (int i = 1; i <= n; i++) lua_rawgeti(L, packed, i);
        lua_xmove(L, co, n);
        lua_pushnil(L);
        lua_rawseti(L, packed - 1, index);
        return n - 1;
    }
    lua_pop(L, 1);
    if (lua_rawgeti(L, table, SCOPE_FUNCTION) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_rawgeti(L, table, SCOPE_LIST);
        lua_rawgeti(L, -1, index);
        lua_remove(L, -2);
    } else if (lua_rawgeti(L, table, SCOPE_LIST) == LUA_TNIL) {
        lua_pop(L, 1);
    } else {
        lua_rawgeti(L, -1, index);
        lua_remove(L, -2);
        lua_pushinteger(L, index);
        arguments = 2;
    }
    luaL_checkstack(co, arguments + 1, NULL);
    lua_xmove(L, co, arguments + 1);
    return arguments;
}

// Of the branches whose cancelled waits left something behind, the first one tells.
static void keep_left(lua_State *L, int table, const CLuaTask *task) {
    int top = lua_gettop(L);
    if (lua_rawgeti(L, table, SCOPE_LEFT) != LUA_TNIL) {
        lua_rawgeti(L, -1, 1);
        if (lua_tointeger(L, -1) <= (lua_Integer)task->index) {
            lua_settop(L, top);
            return;
        }
    }
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, task->index);
    lua_rawseti(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
    lua_rawgetp(L, -1, task);
    lua_rawseti(L, -3, 2);
    lua_pop(L, 1);
    lua_rawseti(L, table, SCOPE_LEFT);
    lua_settop(L, top);
}

// What close handlers raised in branches that were cancelled, and what belongs to the error of the one that failed.
static void keep_branch_suppressed(lua_State *L, int table, CLuaTask *task, int error) {
    if (!task->has_suppressed) return;
    int top = lua_gettop(L);
    luaL_checkstack(L, 20, NULL);
    if (lua_rawgeti(L, table, SCOPE_SUPPRESSED) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, table, SCOPE_SUPPRESSED);
    }
    hand_up_suppressed(L, task, error, top + 1);
    lua_settop(L, top);
}

// Keeps what a branch ended with: its `count` results, or its error, which are on top of L. Runs protected.
void keep_branch(lua_State *L, CLuaTask *task, bool failed, int count) {
    int first = lua_gettop(L) - count + 1;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    if (lua_rawgeti(L, -1, (lua_Integer)task->scope) != LUA_TTABLE) return;
    int table = lua_gettop(L);
    if (task->has_ending) keep_left(L, table, task);
    bool spawned = lua_rawgeti(L, table, SCOPE_CELLS) != LUA_TNIL && task->index > 1;
    if (spawned) {
        lua_rawgeti(L, -1, task->index);
        int cell = lua_gettop(L);
        lua_pushboolean(L, !failed);
        lua_setfield(L, cell, "ok");
        for (int i = 0; i < count; i++) {
            lua_pushvalue(L, first + i);
            lua_rawseti(L, cell, i + 1);
        }
        lua_pushinteger(L, count);
        lua_setfield(L, cell, "n");
        if (!failed) return;
    }
    if (failed) {
        keep_branch_suppressed(L, table, task, first);
        if (task->cancelled || lua_rawgeti(L, table, SCOPE_ERROR) != LUA_TNIL) return;
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, first);
        lua_rawseti(L, -2, 1);
        lua_rawseti(L, table, SCOPE_ERROR);
        return;
    }
    lua_rawgeti(L, table, SCOPE_RESULTS);
    int results = lua_gettop(L);
    lua_rawgeti(L, table, SCOPE_SINGLE);
    if (lua_toboolean(L, -1)) {
        if (count == 0) return;
        lua_pushvalue(L, first);
        lua_rawseti(L, results, task->index);
        return;
    }
    if (task->cancelled || lua_getfield(L, results, "n") != LUA_TNIL) return;
    for (int i = 0; i < count; i++) {
        lua_pushvalue(L, first + i);
        lua_rawseti(L, results, i + 1);
    }
    lua_pushinteger(L, count);
    lua_setfield(L, results, "n");
}
