// task.all, map, race and timeout: the branches' functions and results stay in Lua; the scheduler only counts.
//
// KEY_SCOPES: id -> { list, function, results, error, whether each branch gives one value, what a cancelled wait left }
// In an open scope the list holds, for each branch that was spawned, its packed function and arguments, and the results
// hold a cell for each, which its handle shares: { state, results or error }.
#include "internal.h"

enum {
    SCOPE_LIST = 1, SCOPE_FUNCTION = 2, SCOPE_RESULTS = 3, SCOPE_ERROR = 4, SCOPE_SINGLE = 5, SCOPE_LEFT = 6,
    SCOPE_CELLS = 7,
};

static const char *const names[] = {"task.all", "task.map", "task.race", "task.timeout", "task.scope"};
enum { MODE_COUNT = 5, SPAWN = 5, FIRST_ID = 0x40000000 };

// A time limit that cancelled a wait says what the wait left behind. The error is on top, the scope at 2.
static void add_cause(lua_State *L) {
    int error = lua_gettop(L);
    if (lua_rawgeti(L, 2, SCOPE_LEFT) != LUA_TNIL && push_error_fields(L, error)) {
        lua_rawgeti(L, -2, 2);
        lua_setfield(L, -2, "cause");
    }
    lua_settop(L, error);
}

static int after_scope(lua_State *L, int status, lua_KContext context) {
    (void)status;
    CLuaEngine *e = engine_of(L);
    CLuaScopeMode mode = (CLuaScopeMode)(context & 7);
    lua_Integer id = (lua_Integer)(context >> 3);
    luaL_checkstack(L, 10, NULL);
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    lua_rawgeti(L, 1, id);
    lua_pushnil(L);
    lua_rawseti(L, 1, id);
    if (is_ending(L) && e->current && !e->current->has_ending && lua_rawgeti(L, 2, SCOPE_LEFT) != LUA_TNIL) {
        lua_rawgeti(L, -1, 2);
        set_ending(L, e->current);
    }
    check_ending(L);
    if (e->reply_kind == CLUA_REPLY_ERROR) {
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        add_cause(L);
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
    check_ending(L);
    if (!can_wait(L)) raise(L, "script", "%s waits, and a wait is not possible here", name);
    buffer_clear(&e->arguments);
    CLuaScopeCall call = {.mode = mode, .guarded = is_guarded(L), .ordinal = ++e->current->calls};
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
    case CLUA_SCOPE_OPEN:
        lua_settop(L, 1);
        check_function(L, 1, name);
        call.count = 1;
        list = 0;
        function = 1;
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
    if (mode == CLUA_SCOPE_OPEN) {
        lua_newtable(L);
        lua_rawseti(L, -2, SCOPE_CELLS);
    }
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
    return pass_wait_up(L, (lua_KContext)(call.scope << 3 | mode), after_scope);
}

// ---- for task.c

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
        int n = (int)lua_rawlen(L, packed);
        lua_getfield(L, packed, "n");
        n = (int)lua_tointeger(L, -1);
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

// Keeps what a branch ended with: its `count` results, or its error, which are on top of L. Runs protected.
void keep_branch(lua_State *L, const CLuaTask *task, bool failed, int count) {
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

// ---- task.spawn and its handles: locked userdata around the cell, which is shared with the scope

typedef struct {
    uint64_t scope;
    uint32_t index;
} Handle;

static Handle *check_handle(lua_State *L) {
    if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HANDLE_META);
        bool same = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (same) return lua_touserdata(L, 1);
    }
    raise(L, "argument", "task:wait: expected a task as the object; call it with ':'");
}

static int take_results(lua_State *L) {
    lua_getiuservalue(L, 1, 1);
    int cell = lua_gettop(L);
    if (lua_getfield(L, cell, "ok") == LUA_TNIL) return -1;
    bool ok = lua_toboolean(L, -1);
    lua_getfield(L, cell, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n + 1, "too many results");
    for (int i = 1; i <= n; i++) lua_rawgeti(L, cell, i);
    return ok ? n : lua_error(L);
}

static int after_join(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    check_ending(L);
    lua_settop(L, 1);
    int n = take_results(L);
    if (n < 0) raise(L, "cancelled", "task:wait: the task was cancelled");
    return n;
}

static int wait_for_task(lua_State *L) {
    Handle *handle = check_handle(L);
    lua_settop(L, 1);
    int n = take_results(L);
    if (n >= 0) return n;
    lua_settop(L, 1);
    CLuaEngine *e = engine_of(L);
    check_ending(L);
    if (!can_wait(L)) raise(L, "script", "task:wait waits, and a wait is not possible here");
    CLuaAsk ask = {
        .question = CLUA_ASK_JOIN, .scope = handle->scope, .index = handle->index, .guarded = is_guarded(L)};
    if (e->host.ask(e->host.context, &ask) != CLUA_REPLY_WAIT)
        raise(L, "script", "task:wait: the tasks would wait for each other for ever");
    return pass_wait_up(L, 0, after_join);
}

static int spawn(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_ending(L);
    check_function(L, 1, "task.spawn");
    int n = lua_gettop(L);
    CLuaAsk ask = {.question = CLUA_ASK_SPAWN};
    if (!e->current || e->host.ask(e->host.context, &ask) != CLUA_REPLY_VALUES)
        raise(L, "script", "task.spawn: call it within the function of task.scope, which ends when its tasks have");
    luaL_checkstack(L, 10, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SCOPES);
    lua_rawgeti(L, -1, (lua_Integer)ask.scope);
    int scope = lua_gettop(L);
    if (lua_rawgeti(L, scope, SCOPE_LIST) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, scope, SCOPE_LIST);
    }
    lua_createtable(L, n, 1);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    lua_rawseti(L, -2, ask.index);
    Handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);
    *handle = (Handle){ask.scope, ask.index};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HANDLE_META);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    lua_rawgeti(L, scope, SCOPE_CELLS);
    lua_insert(L, -2);
    lua_rawseti(L, -2, ask.index);
    lua_pop(L, 1);
    return 1;
}

static int handle_newindex(lua_State *L) { raise(L, "script", "the fields of a task cannot be set"); }

static void open_handles(lua_State *L) {
    lua_createtable(L, 0, 4);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, wait_for_task);
    lua_setfield(L, -2, "wait");
    push_frozen(L, "task", true);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, handle_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "task");
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "task");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_HANDLE_META);
}

// The functions of this file have numbers among the host's, so that the host can name them.
static void keep_function(lua_State *L, int which) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HOST_FUNCTIONS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, FIRST_ID + which);
    lua_pop(L, 1);
}

bool task_function_id(lua_State *L, int index, uint64_t *id) {
    lua_CFunction function = lua_tocfunction(L, index);
    if (function == spawn) {
        *id = FIRST_ID + SPAWN;
        return true;
    }
    if (function != open_scope) return false;
    lua_getupvalue(L, index, 1);
    *id = FIRST_ID + (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return true;
}

const char *clua_function_name(uint64_t id) {
    uint64_t which = (id & ~CLUA_HOST_FUNCTION) - FIRST_ID;
    return which < MODE_COUNT ? names[which] : which == SPAWN ? "task.spawn" : NULL;
}

void open_tasks(lua_State *L) {
    int base = lua_gettop(L);
    open_handles(L);
    lua_newtable(L);
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        lua_pushinteger(L, mode);
        lua_pushcclosure(L, open_scope, 1);
        keep_function(L, mode);
        lua_setfield(L, -2, strchr(names[mode], '.') + 1);
    }
    lua_pushcfunction(L, spawn);
    keep_function(L, SPAWN);
    lua_setfield(L, -2, "spawn");
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
