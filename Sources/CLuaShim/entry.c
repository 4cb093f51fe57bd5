// The trampoline: every call from Lua into the host comes through here, and every jump out of one starts here.
//
//   Lua -> host_entry: decode arguments -> Swift callback -> code -> push results | lua_error | lua_yieldk
//                                                                                        |
//   Lua <- after_wait: push results | lua_error  <- lua_resume <- scheduler  <-----------+
#include "entry.h"

#include "internal.h"

// Whether a wait here would get through to the scheduler: no C function that cannot be suspended is in between.
bool can_wait(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    return e->current && e->blocked == 0 && lua_isyieldable(L);
}

// Yields the private sentinel: the wrapped coroutine functions hand it on to the scheduler, and no script can make it.
int pass_wait_up(lua_State *L, lua_KContext context, lua_KFunction next) {
    lua_pushlightuserdata(L, (void *)&KEY_SENTINEL);
    return lua_yieldk(L, 1, context, next);
}

static int act_on_reply(lua_State *L, CLuaReply reply) {
    CLuaEngine *e = engine_of(L);
    if (reply == CLUA_REPLY_ERROR) {
        luaL_checkstack(L, 8, NULL);
        lua_settop(L, 0);
        if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
        lua_error(L);
    }
    lua_settop(L, 0);
    return decode_values(L, e->reply.bytes, e->reply.length);
}

static int after_wait(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    check_abort(L);
    CLuaEngine *e = engine_of(L);
    if (e->reply_kind != CLUA_REPLY_ERROR) check_cancelled(L);
    return act_on_reply(L, e->reply_kind);
}

int host_entry(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_abort(L);
    bool waits = lua_toboolean(L, lua_upvalueindex(ENTRY_WAITS));
    const char *name = lua_tostring(L, lua_upvalueindex(ENTRY_NAME));
    lua_Integer type = lua_tointeger(L, lua_upvalueindex(ENTRY_TYPE));
    if (type >= 0) {
        Object *self = to_object(L, 1);
        if (!self || self->type != (uint32_t)type) {
            const char *wanted = push_type_name(L, (uint32_t)type);
            raise(L, "argument", "%s: expected a %s as the object; call it with ':'", name, wanted);
        }
    }
    if (waits) {
        if (e->current && e->current->cancelled) raise_ending(L);
        if (!can_wait(L))
            raise(
                L, "script",
                "%s waits, and a wait is not possible here (inside a sort comparator, a gsub callback, __tostring or "
                "a load reader)",
                name);
    }
    e->fuel_used += waits ? WAIT_FUEL : CALL_FUEL;
    int count = lua_gettop(L);
    buffer_clear(&e->arguments);
    for (int i = 1; i <= count; i++) encode_value(L, &e->arguments, i, (Blame){name, "argument"}, i);
    lua_Debug ar;
    CLuaCall call = {
        .function = (uint32_t)lua_tointeger(L, lua_upvalueindex(ENTRY_ID)),
        .count = (uint32_t)count,
        .arguments = e->arguments.bytes,
        .length = e->arguments.length,
    };
    if (find_position(L, L, 1, &ar)) {
        call.chunk = chunk_label(ar.source, ar.short_src);
        call.line = ar.currentline;
    }
    CLuaReply reply = e->host.call(e->host.context, &call);
    if (reply == CLUA_REPLY_WAIT) {
        lua_settop(L, 0);
        return pass_wait_up(L, 0, after_wait);
    }
    return act_on_reply(L, reply);
}

// ---- installing

typedef struct {
    CLuaPlace place;
    const char *container, *name, *public_name;
    uint32_t function;
    bool waits;
    lua_Integer type;
} Install;

static void push_entry(lua_State *L, const Install *i) {
    lua_pushinteger(L, i->function);
    lua_pushboolean(L, i->waits);
    lua_pushstring(L, i->public_name);
    lua_pushinteger(L, i->type);
    lua_pushcclosure(L, host_entry, 4);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HOST_FUNCTIONS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, i->function);
    lua_pop(L, 1);
}

static int install(lua_State *L) {
    Install *i = lua_touserdata(L, 1);
    i->type = -1;
    if (i->place == CLUA_IN_GLOBALS) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
    } else if (i->place == CLUA_IN_MODULE) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
        lua_getfield(L, -1, i->container);
    } else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
        lua_getfield(L, -1, i->container);
        lua_getfield(L, -1, "type");
        i->type = lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (i->place == CLUA_AS_DESCRIPTION) {
            push_entry(L, i);
            lua_setfield(L, -2, "describe");
            return 0;
        }
        lua_getfield(L, -1, i->place == CLUA_AS_METHOD ? "methods" : "fields");
    }
    if (!lua_istable(L, -1)) return luaL_error(L, "no container '%s'", i->container);
    push_entry(L, i);
    lua_setfield(L, -2, i->name);
    return 0;
}

CLuaStatus clua_install_function(
    CLuaEngine *e, CLuaPlace place, const char *container, const char *name, const char *public_name,
    uint32_t function, bool waits) {
    Install i = {place, container, name, public_name, function, waits, -1};
    return protect(e, install, &i);
}
