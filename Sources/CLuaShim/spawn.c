// task.spawn and its handles: locked userdata around the cell, which is shared with the scope.
#include "scope.h"

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
    spend(L, (size_t)n);
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
    spend(L, WAIT_FUEL);
    CLuaAsk ask = {
        .question = CLUA_ASK_JOIN, .scope = handle->scope, .index = handle->index, .guarded = is_guarded(L)};
    if (e->host.ask(e->host.context, &ask) != CLUA_REPLY_WAIT)
        raise(L, "script", "task:wait: the tasks would wait for each other for ever");
    return pass_wait_up(L, 0, after_join);
}

int spawn_task(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_ending(L);
    check_function(L, 1, "task.spawn");
    int n = lua_gettop(L);
    spend(L, WAIT_FUEL + (size_t)n);  // they are moved twice, once when the task starts
    CLuaAsk ask = {.question = CLUA_ASK_SPAWN};
    if (!e->current) raise(L, "script", "task.spawn: no task is running");
    lua_State *outer = e->calling;
    e->calling = L;
    CLuaReply reply = e->host.ask(e->host.context, &ask);
    e->calling = outer;
    if (reply != CLUA_REPLY_VALUES) {
        lua_settop(L, 0);
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        return lua_error(L);
    }
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

void open_task_handles(lua_State *L) {
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
