// The base functions that scripts get: an allow-list, with those replaced that could swallow an abort, show an
// address or reach outside.
#include <limits.h>

#include "internal.h"

// ---- pcall and xpcall: the same results and as suspendable as Lua's, but an error that ends the run passes through

// Called with the status of a protected call; the error value is on top.
static void guard_status(lua_State *L, int status, bool was_ending) {
    leave_guard(L);
    if (status == LUA_ERRMEM) begin_abort(L, CLUA_ABORT_MEMORY);
    if (!must_catch(L, was_ending)) return;
    if (status == LUA_ERRRUN || status == LUA_ERRERR) keep_suppressed(L, -1, false);
    raise_ending(L);
}

enum { PCALL_ENDING = 1, PCALL_SKIP = 2 };  // the context: whether the end had begun, and what lies below the results

static int finish_pcall(lua_State *L, int status, lua_KContext context) {
    guard_status(L, status, context & PCALL_ENDING);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (context & PCALL_SKIP ? 2 : 0);
}

static int guard_pcall(lua_State *L) {
    check_abort(L);
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    lua_KContext context = is_ending(L) ? PCALL_ENDING : 0;
    enter_guard(L);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, context, finish_pcall);
    return finish_pcall(L, status, context);
}

static int guarded_handler(lua_State *L) {
    if (must_catch(L, lua_toboolean(L, lua_upvalueindex(2)))) return 1;
    luaL_checkstack(L, 4, NULL);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int guard_xpcall(lua_State *L) {
    check_abort(L);
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushboolean(L, is_ending(L));
    lua_pushcclosure(L, guarded_handler, 2);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);  // function, handler, true, function, arguments
    lua_KContext context = PCALL_SKIP | (is_ending(L) ? PCALL_ENDING : 0);
    enter_guard(L);
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, context, finish_pcall);
    return finish_pcall(L, status, context);
}

// ---- metatables

static int guard_setmetatable(lua_State *L) {
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

static int guard_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    see_through_view(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int next_of_view(lua_State *L) {
    see_through_view(L, 1);
    return guard_next(L);
}

static int guard_rawset(lua_State *L) {
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

// ---- text

// As tostring, but without addresses.
void push_tostring(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 6, NULL);
    int result = lua_gettop(L) + 1;
    if (luaL_callmeta(L, index, "__tostring")) {
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    } else if (lua_type(L, index) <= LUA_TSTRING && lua_type(L, index) != LUA_TLIGHTUSERDATA) {
        luaL_tolstring(L, index, NULL);
    } else {
        const char *name = luaL_typename(L, index);
        size_t length = strlen(name);
        if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) name = lua_tolstring(L, -1, &length);
        char shown[NAME_SHOWN + 2];
        if (length > NAME_SHOWN) length = NAME_SHOWN;
        shown[0] = '<';
        memcpy(shown + 1, name, length);
        shown[length + 1] = '>';
        lua_pushlstring(L, shown, length + 2);
    }
    // One value and no more: callers have a luaL_Buffer beneath it.
    lua_copy(L, -1, result);
    lua_settop(L, result);
}

static int guard_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    push_tostring(L, 1);
    return 1;
}

static int guard_print(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t total = 0;
    for (int i = 1; i <= n; i++) {
        push_tostring(L, i);
        size_t length;
        lua_tolstring(L, -1, &length);
        total += length + 1;
        if (total > LINE_LIMIT) raise(L, "size", "print: a line may have at most %d bytes", LINE_LIMIT);
        luaL_addvalue(&b);
        if (i < n) luaL_addchar(&b, '\t');
    }
    luaL_pushresult(&b);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    spend(L, length / 16);
    int64_t entered = enter_host(e);
    e->host.print(e->host.context, text, length);
    leave_host(e, entered);
    return 0;
}

// ---- load: text only

static int guard_load(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_abort(L);
    bool has_environment = lua_gettop(L) >= 4;
    const char *name = luaL_optstring(L, 2, "=(load)");
    const char *mode = luaL_optstring(L, 3, "t");
    lua_settop(L, 4);
    // A name that is shown as it is stands in every error.
    if ((*name == '@' || *name == '=') && strlen(name) > TEXT_LIMIT)
        raise(L, "size", "load: the name of a chunk may have at most %d bytes", TEXT_LIMIT);
    if (!strchr(mode, 't')) raise(L, "argument", "load: only text chunks can be loaded");
    if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        size_t total = 0, length;
        for (;;) {
            lua_pushvalue(L, 1);
            lua_call(L, 0, 1);
            if (lua_isnil(L, -1)) break;
            if (lua_type(L, -1) != LUA_TSTRING) return luaL_error(L, "reader function must return a string");
            lua_tolstring(L, -1, &length);
            if (length == 0) break;
            total += length;
            if (total > e->limits.source_bytes) raise(L, "size", "load: the text is too long");
            luaL_addvalue(&b);
        }
        lua_pop(L, 1);
        luaL_pushresult(&b);
        lua_replace(L, 1);
    }
    size_t length;
    const char *text = lua_tolstring(L, 1, &length);
    if (length > e->limits.source_bytes) raise(L, "size", "load: the text is too long");
    spend(L, length);
    int status = luaL_loadbufferx(L, text, length, name, "t");
    if (status == LUA_ERRMEM) {
        begin_abort(L, CLUA_ABORT_MEMORY);
        raise_abort(L);
    }
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_environment) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    }
    return 1;
}

static int guard_collectgarbage(lua_State *L) {
    const char *what = luaL_optstring(L, 1, "collect");
    if (strcmp(what, "count") != 0)
        raise(L, "argument", "collectgarbage: only \"count\" is available; the host collects garbage");
    lua_pushnumber(L, (lua_Number)engine_of(L)->used / 1024);
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

// ---- globals

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

// Fills the table on top, which scripts read through their environment and cannot change.
void open_base(lua_State *L) {
    static const char *const kept[] = {
        "assert", "error",    "getmetatable", "ipairs", "rawequal",
        "rawlen", "type",  "_VERSION",     NULL,
    };
    static const luaL_Reg replaced[] = {
        {"pcall", guard_pcall},   {"xpcall", guard_xpcall},     {"setmetatable", guard_setmetatable},
        {"rawset", guard_rawset}, {"tostring", guard_tostring}, {"print", guard_print},
        {"load", guard_load},     {"pairs", guard_pairs},       {"next", next_of_view},
        {"rawget", guard_rawget},
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
    lua_settop(L, base);
}
