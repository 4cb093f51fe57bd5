// task.all, map, race, timeout and scope: opening one, and what it gives when it has ended.
#include "scope.h"

const char *const scope_names[SCOPE_MODES] = {"task.all", "task.map", "task.race", "task.timeout", "task.scope"};

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
        lua_settop(L, 2);
    }
    bool has_suppressed = lua_rawgeti(L, 2, SCOPE_SUPPRESSED) != LUA_TNIL;
    int suppressed = lua_gettop(L);
    if (has_suppressed && is_ending(L)) take_suppressed(L, suppressed);
    check_ending(L);
    if (e->reply_kind == CLUA_REPLY_ERROR) {
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        add_cause(L);
        if (has_suppressed) attach_suppressed(L, lua_gettop(L), suppressed);
        return lua_error(L);
    }
    lua_rawgeti(L, 2, SCOPE_ERROR);
    if (!lua_isnil(L, -1)) {  // boxed, as the value raised may be nil
        lua_rawgeti(L, -1, 1);
        if (has_suppressed) attach_suppressed(L, lua_gettop(L), suppressed);
        return lua_error(L);
    }
    lua_rawgeti(L, 2, SCOPE_RESULTS);
    if (mode == CLUA_SCOPE_ALL || mode == CLUA_SCOPE_MAP) return 1;
    int results = lua_gettop(L);
    lua_getfield(L, results, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n, "too many results");
    spend(L, (size_t)n);
    for (int i = 1; i <= n; i++) lua_rawgeti(L, results, i);
    return n;
}

static uint32_t check_list(lua_State *L, int index, const char *name, bool functions) {
    if (lua_type(L, index) != LUA_TTABLE)
        raise(L, "argument", "%s: expected a list, got %s", name, luaL_typename(L, index));
    see_through(L, index);
    lua_Integer n = 0;
    size_t steps = 0;
    while (lua_rawgeti(L, index, n + 1) != LUA_TNIL) {
        n++;
        charge_step(L, &steps);
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
    see_through(L, index);
    uint32_t limit = 0;
    // Of several that are unknown, the first in the fixed order is told.
    OrderedKey least = {0}, key;
    bool is_unknown = false;
    size_t steps = 0;
    int unknown = lua_gettop(L) + 1;
    lua_pushnil(L);
    charge_walk(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        charge_step(L, &steps);
        if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "limit") == 0) {
            if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > INT32_MAX)
                raise(L, "argument", "%s: 'limit' must be an integer from 1", name);
            limit = (uint32_t)lua_tointeger(L, -1);
        } else {
            classify_key(L, -2, &key);
            if (!is_unknown || compare_keys(&key, &least) < 0) {
                least = key;
                lua_copy(L, -2, unknown);
            }
            is_unknown = true;
        }
        lua_pop(L, 1);
    }
    if (is_unknown)
        raise(L, "argument", "%s: unknown option '%.80s'; the only one is 'limit'", name,
              lua_type(L, unknown) == LUA_TSTRING ? lua_tostring(L, unknown) : luaL_typename(L, unknown));
    lua_settop(L, unknown - 1);
    return limit;
}

void check_function(lua_State *L, int index, const char *name) {
    if (!lua_isfunction(L, index))
        raise(L, "argument", "%s: expected a function, got %s", name, luaL_typename(L, index));
}

int open_scope(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    CLuaScopeMode mode = (CLuaScopeMode)lua_tointeger(L, lua_upvalueindex(1));
    const char *name = scope_names[mode];
    check_ending(L);
    if (!can_wait(L)) raise(L, "script", "%s waits, and a wait is not possible here", name);
    spend(L, WAIT_FUEL);
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
        size_t steps = 0;
        for (uint32_t i = 1; i <= call.count; i++) {
            lua_rawgeti(L, list, i);
            lua_rawseti(L, -2, i);
            charge_step(L, &steps);
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
    lua_State *outer = e->calling;
    e->calling = L;
    CLuaReply reply = e->host.scope(e->host.context, &call);
    e->calling = outer;
    if (reply == CLUA_REPLY_ERROR) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)call.scope);
        lua_settop(L, 0);
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        return lua_error(L);
    }
    return pass_wait_up(L, (lua_KContext)(call.scope << 3 | mode), after_scope);
}
