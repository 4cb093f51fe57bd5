// The abort that no script can catch, and the end of tasks that are cancelled.
#include <stdio.h>

#include "internal.h"

void begin_abort(lua_State *L, CLuaAbort why) {
    CLuaEngine *e = engine_of(L);
    if (e->abort) return;
    e->abort = why;
    e->closing_fuel_end = e->fuel_used + e->limits.closing_fuel;
    e->closing_time_end = lua_time(e) + e->limits.closing_time_nanoseconds;
    lua_Debug ar;
    e->abort_line = 0;
    if (find_position(L, 0, &ar)) {
        snprintf(e->abort_chunk, sizeof e->abort_chunk, "%s", chunk_label(ar.source, ar.short_src));
        e->abort_line = ar.currentline;
    }
}

// The error objects were made when the state was opened, so this needs no memory.
_Noreturn void raise_abort(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
    lua_rawgeti(L, -1, e->abort);
    lua_error(L);
    __builtin_unreachable();
}

// A cancelled wait may have told what it left behind, such as a job that goes on: then that is the error.
_Noreturn void raise_ending(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    luaL_checkstack(L, 4, NULL);
    CLuaTask *task = e->current;
    if (task && task->has_ending && (!e->abort || e->abort == CLUA_ABORT_CANCELLED)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
        lua_rawgetp(L, -1, task);
        lua_error(L);
    }
    if (e->abort) raise_abort(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
    lua_rawgeti(L, -1, CLUA_ABORT_CANCELLED);
    lua_error(L);
    __builtin_unreachable();
}

void set_ending(lua_State *L, CLuaTask *task) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, task);
    lua_pop(L, 1);
    task->has_ending = true;
}

void keep_ending(lua_State *L, CLuaEngine *e) {
    bool cancelled = e->cancel && atomic_load_explicit(&e->cancel->value, memory_order_relaxed);
    if (!e->current || e->current->has_ending || !(is_ending(L) || cancelled)) return;
    luaL_checkstack(L, 10, NULL);
    int top = lua_gettop(L);
    if (decode_values(L, e->reply.bytes, e->reply.length) == 1 && push_error_fields(L, top + 1)) {
        lua_getfield(L, -1, "kind");
        bool is_cancelled = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "cancelled") == 0;
        lua_settop(L, top + 1);
        if (is_cancelled)
            set_ending(L, e->current);
        else  // the wait failed in its own way while it was cancelled
            keep_suppressed(L, top + 1, false);
    }
    lua_settop(L, top);
}

bool is_ending(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    return e->abort || (e->current && e->current->cancelled);
}

bool is_spent(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    return e->spent || (e->current && e->current->spent);
}

// A protected call that was there before the end began hands every error on. One that a close handler makes
// meanwhile works as ever, until the time for closing is over.
bool must_catch(lua_State *L, bool was_ending) { return is_ending(L) && (!was_ending || is_spent(L)); }

void check_abort(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    if (!e->abort && e->cancel && atomic_load_explicit(&e->cancel->value, memory_order_relaxed)) {
        begin_abort(L, CLUA_ABORT_CANCELLED);
        raise_ending(L);
    }
    if (is_spent(L)) raise_ending(L);
}

void check_ending(lua_State *L) {
    check_abort(L);
    if (is_ending(L)) raise_ending(L);
}
