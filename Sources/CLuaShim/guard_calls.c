// pcall and xpcall: the same results and as suspendable as Lua's, but an error that ends the run passes through.
#include "internal.h"

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

int guard_pcall(lua_State *L) {
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

int guard_xpcall(lua_State *L) {
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
