// require: host modules first, then what the host's resolver finds. The module's chunk may wait.
#include "internal.h"

static bool valid_name(const char *name, size_t length) {
    if (length == 0 || length > 200) return false;
    bool start = true;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (c == '.') {
            if (start) return false;
            start = true;
        } else if (
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-') {
            start = false;
        } else {
            return false;
        }
    }
    return !start;
}

static CLuaReply ask_module(lua_State *L, CLuaQuestion question) {
    CLuaEngine *e = engine_of(L);
    CLuaAsk ask = {.question = question, .guarded = is_guarded(L)};
    ask.name = lua_tolstring(L, 1, &ask.length);
    return e->host.ask(e->host.context, &ask);
}

static int require(lua_State *L);

static int after_other_task(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    check_ending(L);
    lua_settop(L, 1);
    return require(L);
}

// Stack: 1 name, 2 loaded, 3 loading, 4 result or error
static int after_module(lua_State *L, int status, lua_KContext context) {
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_rawset(L, 3);
    ask_module(L, CLUA_ASK_LOADED);
    if (status != LUA_OK && status != LUA_YIELD) {
        if (status == LUA_ERRMEM) begin_abort(L, CLUA_ABORT_MEMORY);
        if (must_catch(L, context)) {
            if (status != LUA_ERRMEM) keep_suppressed(L, 4, false);
            raise_ending(L);
        }
        lua_settop(L, 4);
        return lua_error(L);
    }
    lua_settop(L, 4);
    if (lua_isnil(L, 4)) {
        lua_pushboolean(L, 1);
        lua_replace(L, 4);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 4);
    lua_rawset(L, 2);
    return 1;
}

// Whether another task loads the module, and this one can wait for it. The coroutine that began to load it is on top; it
// may have been given up, and its task may have ended since: then nobody loads it, and it is loaded anew.
static bool is_loading(lua_State *L, const char *name) {
    lua_State *co = lua_tothread(L, -1);
    lua_Debug ar;
    switch (ask_module(L, CLUA_ASK_LOADER)) {
    case CLUA_REPLY_WAIT:
        if (!can_wait(L))
            raise(
                L, "script", "require: '%s' is being loaded by another task, and a wait is not possible here", name);
        check_ending(L);
        return true;
    case CLUA_REPLY_ERROR:
        if (lua_status(co) == LUA_YIELD)
            raise(
                L, "script",
                "require: '%s' is being loaded by a coroutine that is suspended; resume or close that first", name);
        if (co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar)))
            raise(L, "script", "require: the modules require each other in a circle, which comes back to '%s'", name);
        return false;
    default:
        return false;
    }
}

static int require(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_abort(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    lua_settop(L, 1);
    if (!valid_name(name, length))
        raise(L, "argument", "require: '%.80s' is no module name; write words separated by dots, without a path", name);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADING);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL) return 1;
    lua_pop(L, 1);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 3) != LUA_TNIL && is_loading(L, name)) {
        spend(L, WAIT_FUEL);
        if (ask_module(L, CLUA_ASK_MODULE) != CLUA_REPLY_WAIT)
            raise(L, "script", "require: tasks wait in a circle for each other to load modules, one of them '%s'", name);
        return pass_wait_up(L, 0, after_other_task);
    }
    lua_settop(L, 3);
    spend(L, WAIT_FUEL);  // what finds modules may look into files
    int64_t entered = enter_host(e);
    CLuaReply reply = e->host.module(e->host.context, name, length);
    leave_host(e, entered);
    int count = decode_values(L, e->reply.bytes, e->reply.length);
    if (reply == CLUA_REPLY_ERROR) return lua_error(L);
    if (count < 2) raise(L, "undefined", "require: no module '%s'", name);
    const char *chunk = lua_pushfstring(L, "@%s", lua_tostring(L, 4));
    const char *source = lua_tolstring(L, 5, &length);
    if (length > e->limits.source_bytes) raise(L, "size", "require: module '%s' is too long", name);
    if (count > 2 && lua_toboolean(L, 6)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LENIENT);
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, chunk);
    }
    spend(L, length);
    int status = luaL_loadbufferx(L, source, length, chunk, "t");
    if (status == LUA_ERRMEM) {
        begin_abort(L, CLUA_ABORT_MEMORY);
        raise_abort(L);
    }
    if (status != LUA_OK) raise(L, "syntax", "require: %s", lua_tostring(L, -1));
    lua_replace(L, 5);
    lua_settop(L, 5);
    lua_remove(L, 4);
    lua_pushvalue(L, 1);
    lua_pushthread(L);
    lua_rawset(L, 3);
    lua_pushvalue(L, 1);
    ask_module(L, CLUA_ASK_LOADING);
    // No guard: this call hands every error on.
    lua_KContext was_ending = is_ending(L);
    status = lua_pcallk(L, 1, 1, 0, was_ending, after_module);
    return after_module(L, status, was_ending);
}

void open_modules(lua_State *L) {
    lua_pushcfunction(L, require);
    lua_setfield(L, -2, "require");
}
