// The trampoline: every call from Lua into the host comes through here, and every jump out of one starts here.
//
//   Lua -> host_entry: arguments to slots -> Swift callback -> code -> push results | lua_error | lua_yieldk
//                                                                                          |
//   Lua <- after_wait: push results | lua_error  <- lua_resume <- scheduler  <-------------+
#include <stdlib.h>

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

static int serve_again(lua_State *L, CLuaEngine *e, const Entry *f, int count);

static int raise_reply(lua_State *L, CLuaEngine *e) {
    luaL_checkstack(L, 8, NULL);
    lua_settop(L, 0);
    if (decode_values(L, e->reply.bytes, e->reply.length) != 1) raise(L, "host", "the host's error is malformed");
    return lua_error(L);
}

// The arguments are still on the stack: a call may be made again.
static int after_wait(lua_State *L, int status, lua_KContext count) {
    (void)status;
    CLuaEngine *e = engine_of(L);
    if (e->reply_kind == CLUA_REPLY_ERROR) {
        keep_ending(L, e);
        check_ending(L);
        return raise_reply(L, e);
    }
    check_ending(L);
    if (e->reply_kind == CLUA_REPLY_RETRY) {
        lua_settop(L, (int)count);
        return serve_again(L, e, lua_touserdata(L, lua_upvalueindex(1)), (int)count);
    }
    lua_settop(L, 0);
    return decode_values(L, e->reply.bytes, e->reply.length);
}

static _Noreturn void refuse_object(lua_State *L, const Entry *f) {
    const char *wanted = push_type_name(L, f->type);
    raise(L, "argument", "%s: expected a %s as the object; call it with ':'", f->name, wanted);
}

static void check_object(lua_State *L, const Entry *f) {
    if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) refuse_object(L, f);
    if (lua_topointer(L, -1) != f->meta) refuse_object(L, f);
    lua_pop(L, 1);
}

static void check_wait(lua_State *L, const Entry *f) {
    if (is_ending(L)) raise_ending(L);
    if (!can_wait(L))
        raise(
            L, "script",
            "%s waits, and a wait is not possible here (inside a sort comparator, a gsub callback, __tostring or "
            "a load reader)",
            f->name);
}

// The common case, without leaving this function.
static inline bool fill_integers(lua_State *L, CLuaEngine *e, int count) {
    if (count > 4 || (uint32_t)count > e->slot_capacity) return false;
    CLuaSlot *slot = e->slots;
    for (int i = 1; i <= count; i++, slot++) {
        if (!lua_isinteger(L, i)) return false;
        slot->tag = CLUA_TAG_INTEGER;
        slot->word = lua_tointegerx(L, i, NULL);
    }
    return true;
}

// What the callback asked for, when that is not the common thing.
static __attribute__((noinline)) int act(lua_State *L, CLuaEngine *e, CLuaReply reply, const CLuaCall *call) {
    switch (reply) {
    case CLUA_REPLY_SLOTS:
        if (e->reply_lost) raise(L, "memory", "the host's reply does not fit into memory");
        return push_slots(L, e, e->results, call->result_count);
    case CLUA_REPLY_WAIT:
        return pass_wait_up(L, (lua_KContext)call->count, after_wait);
    case CLUA_REPLY_ERROR:
        return raise_reply(L, e);
    default:
        lua_settop(L, 0);  // there may be no room for many arguments and many results
        return decode_values(L, e->reply.bytes, e->reply.length);
    }
}

static inline __attribute__((always_inline)) int serve(lua_State *L, CLuaEngine *e, const Entry *f, int count) {
    if (!fill_integers(L, e, count)) fill_slots(L, e, (uint32_t)count, f->name);
    CLuaTask *task = e->current;
    CLuaCall call;
    call.count = (uint32_t)count;
    call.result_count = 0;
    call.ordinal = task ? task->calls : 0;
    call.arguments = e->slots;
    call.results = e->results;
    call.guarded = is_guarded(L);
    if (e->reply.length) buffer_clear(&e->reply);
    e->reply_lost = false;
    lua_State *outer = e->calling;
    e->calling = L;
    CLuaReply reply;
    if (__builtin_expect(f->timed, 0)) {
        int64_t entered = enter_host(e);
        reply = f->callback(f->binding, &call);
        leave_host(e, entered);
    } else {
        e->called_untimed = true;
        reply = f->callback(f->binding, &call);
    }
    e->calling = outer;
    // Up to four integers in and one out need no more room than Lua gives every C function.
    if (__builtin_expect(reply == CLUA_REPLY_SLOTS, 1) && call.result_count == 1
        && e->results[0].tag == CLUA_TAG_INTEGER && count <= 4) {
        lua_pushinteger(L, e->results[0].word);
        return 1;
    }
    return act(L, e, reply, &call);
}

static int serve_again(lua_State *L, CLuaEngine *e, const Entry *f, int count) { return serve(L, e, f, count); }

int host_entry(lua_State *L) {
    const Entry *f = lua_touserdata(L, lua_upvalueindex(1));
    CLuaEngine *e = f->engine;
    if (__builtin_expect(must_look(e), 0)) check_abort(L);
    if (f->meta) check_object(L, f);
    if (f->waits) check_wait(L, f);
    e->fuel_used += f->waits ? WAIT_FUEL : CALL_FUEL;
    if (e->current) e->current->calls++;
    return serve(L, e, f, lua_gettop(L));
}

bool clua_call_can_wait(CLuaEngine *e) { return e->calling && can_wait(e->calling); }

const char *clua_call_position(CLuaEngine *e, int32_t *line) {
    lua_Debug ar;
    if (!e->calling || !find_position(e->calling, 1, &ar)) return NULL;
    *line = ar.currentline;
    // The text must hold after this frame: of unnamed chunks Lua makes it here.
    const char *label = chunk_label(ar.source, ar.short_src);
    if (label != ar.short_src) return label;
    memcpy(e->position_text, ar.short_src, sizeof e->position_text);
    return e->position_text;
}

// ---- installing

typedef struct {
    CLuaPlace place;
    const char *container, *name;
    Entry *entry;
} Install;

static void push_entry(lua_State *L, const Install *i) {
    lua_pushlightuserdata(L, i->entry);
    lua_pushcclosure(L, host_entry, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HOST_FUNCTIONS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, i->entry->id);
    lua_pop(L, 1);
}

static int install(lua_State *L) {
    Install *i = lua_touserdata(L, 1);
    if (i->place == CLUA_IN_GLOBALS) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
    } else if (i->place == CLUA_IN_MODULE) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
        lua_getfield(L, -1, i->container);
    } else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
        lua_getfield(L, -1, i->container);
        lua_getfield(L, -1, "type");
        i->entry->type = (uint32_t)lua_tointeger(L, -1);
        lua_getfield(L, -2, "meta");
        i->entry->meta = lua_topointer(L, -1);
        lua_pop(L, 2);
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
    uint32_t function, bool waits, bool timed, CLuaCallback callback, void *binding) {
    Entry *entry = allocation_fails() ? NULL : calloc(1, sizeof *entry);
    if (!entry) return CLUA_NO_MEMORY;
    *entry = (Entry){
        .engine = e, .callback = callback, .binding = binding, .name = strdup(public_name), .id = function,
        .waits = waits, .timed = timed, .next = e->entries,
    };
    e->entries = entry;
    if (!entry->name) return CLUA_NO_MEMORY;
    Install i = {place, container, name, entry};
    return protect(e, install, &i);
}

void free_entries(CLuaEngine *e) {
    while (e->entries) {
        Entry *entry = e->entries;
        e->entries = entry->next;
        free(entry->name);
        free(entry);
    }
    free(e->slots);
}
