// task.all, map, race and timeout: the branches' functions and results stay in Lua; the scheduler only counts.
//
// KEY_SCOPES: id -> { list, function, results, error, whether each branch gives one value }
#include "internal.h"

enum { SCOPE_LIST = 1, SCOPE_FUNCTION = 2, SCOPE_RESULTS = 3, SCOPE_ERROR = 4, SCOPE_SINGLE = 5 };

static const char *const names[] = {"task.all", "task.map", "task.race", "task.timeout"};

static int after_scope(lua_State *L, int status, lua_KContext context) {
    (void)status;
    CLuaEngine *e = engine_of(L);
    CLuaScopeMode mode = (CLuaScopeMode)(context & 3);
    lua_Integer id = (lua_Integer)(context >> 2);
    luaL_checkstack(L, 10, NULL);
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    lua_rawgeti(L, 1, id);
    lua_pushnil(L);
    lua_rawseti(L, 1, id);
    check_cancelled(L);
    if (e->reply_kind == CLUA_REPLY_ERROR) {
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        return lua_error(L);
    }
    lua_rawgeti(L, 2, SCOPE_ERROR);
    if (!lua_isnil(L, -1)) {  // boxed, as the value raised may be nil
        lua_rawgeti(L, -1, 1);
        return lua_error(L);
    }
    lua_rawgeti(L, 2, SCOPE_RESULTS);
    if (mode == CLUA_SCOPE_ALL || mode == CLUA_SCOPE_MAP) return 1;
    int results = lua_gettop(L);
    lua_getfield(L, results, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n, "too many results");
    for (int i = 1; i <= n; i++) lua_rawgeti(L, results, i);
    return n;
}

static uint32_t check_list(lua_State *L, int index, const char *name, bool functions) {
    if (lua_type(L, index) != LUA_TTABLE)
        raise(L, "argument", "%s: expected a list, got %s", name, luaL_typename(L, index));
    lua_Integer n = 0;
    while (lua_rawgeti(L, index, n + 1) != LUA_TNIL) {
        n++;
        if (functions && !lua_isfunction(L, -1))
            raise(L, "argument", "%s: item %d is not a function, but a %s", name, (int)n, luaL_typename(L, -1));
        lua_pop(L, 1);
        if (n > 10000000) raise(L, "size", "%s: the list is too long", name);
    }
    lua_pop(L, 1);
    return (uint32_t)n;
}

static uint32_t check_limit(lua_State *L, int index, const char *name) {
    if (lua_isnoneornil(L, index)) return 0;
    if (lua_type(L, index) != LUA_TTABLE)
        raise(L, "argument", "%s: expected options such as { limit = 4 }, got %s", name, luaL_typename(L, index));
    uint32_t limit = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "limit") != 0) {
            lua_pop(L, 1);
            raise(L, "argument", "%s: unknown option '%.80s'; the only one is 'limit'", name,
                  lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
        }
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > INT32_MAX)
            raise(L, "argument", "%s: 'limit' must be an integer from 1", name);
        limit = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    return limit;
}

static void check_function(lua_State *L, int index, const char *name) {
    if (!lua_isfunction(L, index))
        raise(L, "argument", "%s: expected a function, got %s", name, luaL_typename(L, index));
}

static int open_scope(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    CLuaScopeMode mode = (CLuaScopeMode)lua_tointeger(L, lua_upvalueindex(1));
    const char *name = names[mode];
    check_cancelled(L);
    if (!can_wait(L)) raise(L, "script", "%s waits, and a wait is not possible here", name);
    buffer_clear(&e->arguments);
    CLuaScopeCall call = {.mode = mode};
    int list = 1, function = 0;
    switch (mode) {
    case CLUA_SCOPE_ALL:
    case CLUA_SCOPE_RACE:
        lua_settop(L, 1);
        call.count = check_list(L, 1, name, true);
        if (mode == CLUA_SCOPE_RACE && call.count == 0) raise(L, "argument", "%s: the list is empty", name);
        break;
    case CLUA_SCOPE_MAP:
        function = lua_isfunction(L, 2) ? 2 : 3;
        lua_settop(L, 3);
        call.count = check_list(L, 1, name, false);
        if (function == 3) call.limit = check_limit(L, 2, name);
        check_function(L, function, name);
        break;
    case CLUA_SCOPE_TIMEOUT:
        lua_settop(L, 2);
        check_function(L, 2, name);
        encode_value(L, &e->arguments, 1, (Blame){name, "argument"}, 1);
        call.count = 1;
        list = 0;
        function = 2;
        break;
    }
    if (call.count == 0) {
        lua_newtable(L);
        return 1;
    }
    call.scope = e->next_scope++;
    call.arguments = e->arguments.bytes;
    call.length = e->arguments.length;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    lua_createtable(L, 5, 0);
    if (list) {
        // A copy: the script may change its list while the branches start.
        lua_createtable(L, (int)call.count, 0);
        for (uint32_t i = 1; i <= call.count; i++) {
            lua_rawgeti(L, list, i);
            lua_rawseti(L, -2, i);
        }
        lua_rawseti(L, -2, SCOPE_LIST);
    }
    if (function) {
        lua_pushvalue(L, function);
        lua_rawseti(L, -2, SCOPE_FUNCTION);
    }
    lua_newtable(L);
    lua_rawseti(L, -2, SCOPE_RESULTS);
    lua_pushboolean(L, mode == CLUA_SCOPE_ALL || mode == CLUA_SCOPE_MAP);
    lua_rawseti(L, -2, SCOPE_SINGLE);
    lua_rawseti(L, -2, (lua_Integer)call.scope);
    if (e->host.scope(e->host.context, &call) == CLUA_REPLY_ERROR) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)call.scope);
        lua_settop(L, 0);
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        return lua_error(L);
    }
    return pass_wait_up(L, (lua_KContext)(call.scope << 2 | mode), after_scope);
}

// ---- for task.c

// Pushes the function and arguments of a branch onto its thread, and returns how many arguments. Runs protected.
int push_branch(lua_State *L, lua_State *co, uint64_t scope, uint32_t index) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    if (lua_rawgeti(L, -1, (lua_Integer)scope) != LUA_TTABLE) return luaL_error(L, "no such scope");
    int table = lua_gettop(L);
    int arguments = 0;
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

// Keeps what a branch ended with: its `count` results, or its error, which are on top of L. Runs protected.
void keep_branch(lua_State *L, const CLuaTask *task, bool failed, int count) {
    int first = lua_gettop(L) - count + 1;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    if (lua_rawgeti(L, -1, (lua_Integer)task->scope) != LUA_TTABLE) return;
    int table = lua_gettop(L);
    if (failed) {
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

void open_tasks(lua_State *L) {
    int base = lua_gettop(L);
    lua_newtable(L);
    for (int mode = 0; mode < 4; mode++) {
        lua_pushinteger(L, mode);
        lua_pushcclosure(L, open_scope, 1);
        lua_setfield(L, -2, strchr(names[mode], '.') + 1);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "task");
    lua_pop(L, 1);
    push_frozen(L, "task", true);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "task");
    lua_pop(L, 1);
    lua_setfield(L, base, "task");
}
