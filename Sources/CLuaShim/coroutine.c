// The coroutine library, made to live with waits of the host.
//
// A wait inside a script's coroutine yields the private sentinel. The wrapped resume sees it, marks the coroutine as
// waiting, and yields it on, up to the scheduler; when the wait is over the same chain is resumed downwards. So a
// script's own yields and the host's waits never meet, and nobody but the scheduler can wake a coroutine that waits.
#include "internal.h"

static bool has_sentinel(lua_State *co, int count) {
    return count == 1 && lua_touserdata(co, -1) == (void *)&KEY_SENTINEL && lua_islightuserdata(co, -1);
}

static lua_State *check_coroutine(lua_State *L, int index) {
    lua_State *co = lua_tothread(L, index);
    luaL_argexpected(L, co, index, "coroutine");
    return co;
}

enum { FAILED = -1, PASS_UP = -2 };
enum { AS_WRAP = 1, WAS_ENDING = 2 };  // how a coroutine is resumed: errors go on; the end had begun

// Lua counts nested C calls over all coroutines that resume each other, and each of them takes two here: one to resume
// it, one for coroutine_body. So where enough of the C stack is left for as many calls as Lua allows in all, the
// coroutine counts its own anew, and what is counted instead is how many are nested.
static bool has_stack(CLuaEngine *e) {
    // Not the address of a variable: sanitizers keep those elsewhere.
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return e->stack_low != UINTPTR_MAX && here > e->stack_low + STACK_RESERVE;
}

// Resumes once. Returns how many results were moved to L, FAILED with the error on L, or PASS_UP.
static int resume_once(lua_State *L, lua_State *co, int arguments, int how) {
    CLuaEngine *e = engine_of(L);
    lua_Debug ar;
    bool starts = lua_status(co) == LUA_OK;  // then the function itself lies above coroutine_body
    if (starts && lua_getstack(co, 0, &ar)) {
        lua_pushliteral(L, "cannot resume non-suspended coroutine");
        return FAILED;
    }
    if (e->resume_depth >= NESTED_COROUTINES) {
        lua_pushliteral(L, "C stack overflow");
        return FAILED;
    }
    set_inherited(co, !(how & AS_WRAP) || is_guarded(L));
    if (!lua_checkstack(co, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return FAILED;
    }
    lua_xmove(L, co, arguments);
    // A wait in the coroutine has to get through this frame too.
    int blocks = lua_isyieldable(L) ? 0 : 1, count = 0;
    e->blocked += blocks;
    e->resume_depth++;
    refresh_hook(co);
    e->running = co;
    int status = lua_resume(co, has_stack(e) ? NULL : L, arguments + (starts ? 1 : 0), &count);
    e->running = L;
    e->resume_depth--;
    e->blocked -= blocks;
    if (status == LUA_OK || status == LUA_YIELD) {
        if (status == LUA_YIELD && has_sentinel(co, count)) {
            lua_pop(co, 1);
            set_waiting(co, true);
            return PASS_UP;
        }
        if (!lua_checkstack(L, count + 1)) {
            lua_pop(co, count);
            lua_pushliteral(L, "too many results to resume");
            return FAILED;
        }
        lua_xmove(co, L, count);
        return count;
    }
    if (status == LUA_ERRMEM) begin_abort(L, CLUA_ABORT_MEMORY);
    luaL_checkstack(L, 4, NULL);
    lua_xmove(co, L, 1);
    return FAILED;
}

static const char *refusal(lua_State *L, lua_State *co) {
    CLuaEngine *e = engine_of(L);
    if (is_waiting(co)) return "cannot resume a coroutine that waits for the host";
    if (e->current && co == e->current->thread && co != L) return "cannot resume the coroutine of a task";
    return NULL;
}

static int after_resume(lua_State *L, int status, lua_KContext context);

// For resume: the coroutine at index 1, the results above. For wrap: the same, and errors go on.
static int finish_resume(lua_State *L, int count, int how) {
    bool wrap = how & AS_WRAP;
    if (count == PASS_UP) {
        lua_settop(L, 1);
        return pass_wait_up(L, how, after_resume);
    }
    if (count != FAILED) {
        if (must_catch(L, how & WAS_ENDING)) raise_ending(L);
        if (wrap) return count;
        lua_pushboolean(L, 1);
        lua_insert(L, -(count + 1));
        return count + 1;
    }
    // Its close handlers have run: see coroutine_body.
    if (must_catch(L, how & WAS_ENDING)) {
        if (engine_of(L)->abort != CLUA_ABORT_MEMORY) keep_suppressed(L, -1, false);
        raise_ending(L);
    }
    if (!wrap) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int after_resume(lua_State *L, int status, lua_KContext context) {
    (void)status;
    lua_settop(L, 1);
    lua_State *co = lua_tothread(L, 1);
    set_waiting(co, false);
    // No check for an abort here: the coroutine has to run on, so that it unwinds.
    return finish_resume(L, resume_once(L, co, 0, (int)context), (int)context);
}

static int guard_resume(lua_State *L) {
    check_abort(L);
    lua_State *co = check_coroutine(L, 1);
    const char *why = refusal(L, co);
    if (why) {
        lua_pushboolean(L, 0);
        lua_pushstring(L, why);
        return 2;
    }
    int arguments = lua_gettop(L) - 1;
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cannot resume dead coroutine");
        return 2;
    }
    int how = is_ending(L) ? WAS_ENDING : 0;
    return finish_resume(L, resume_once(L, co, arguments, how), how);
}

static int call_wrapped(lua_State *L) {
    check_abort(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = lua_tothread(L, 1);
    const char *why = refusal(L, co);
    if (why) return luaL_error(L, "%s", why);
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) return luaL_error(L, "cannot resume dead coroutine");
    int how = AS_WRAP | (is_ending(L) ? WAS_ENDING : 0), arguments = lua_gettop(L) - 1;
    return finish_resume(L, resume_once(L, co, arguments, how), how);
}

// The outermost function of a coroutine. It catches the coroutine's errors, as task_body does: hooks are on again when
// close handlers run, and those run where the error arose, not when somebody closes the coroutine.
static int after_coroutine(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
    return lua_gettop(L);
}

static int coroutine_body(lua_State *L) {
    return after_coroutine(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, after_coroutine), 0);
}

static int create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    *thread_word(co) = (uintptr_t)engine_of(L);
    lua_pushcfunction(co, coroutine_body);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int guard_wrap(lua_State *L) {
    create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

// The coroutine of a task belongs to the scheduler, which has no use for a script's values.
static bool is_task(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    return e->current && e->current->thread == L;
}

static int guard_yield(lua_State *L) {
    check_abort(L);
    if (is_task(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int guard_isyieldable(lua_State *L) {
    lua_State *co = lua_isnone(L, 1) ? L : check_coroutine(L, 1);
    lua_pushboolean(L, lua_isyieldable(co) && !is_task(co));
    return 1;
}

static int guard_running(lua_State *L) {
    lua_pushthread(L);
    lua_pushboolean(L, is_task(L));
    return 2;
}

static int guard_close(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_abort(L);
    lua_State *co = check_coroutine(L, 1);
    if (is_waiting(co)) return luaL_error(L, "cannot close a coroutine that waits for the host");
    lua_Debug ar;
    int status = lua_status(co);
    if (co == L || is_task(co) || (status == LUA_OK && lua_getstack(co, 0, &ar)))
        return luaL_error(L, "cannot close a running coroutine");
    if (e->close_depth >= CLOSE_DEPTH) raise(L, "size", "coroutine.close: more than %d nested calls", CLOSE_DEPTH);
    bool was_ending = is_ending(L);
    e->close_depth++;
    e->blocked++;  // nothing in a close handler can be suspended by 5.4's lua_resetthread
    refresh_hook(co);
    e->running = co;
    status = lua_resetthread(co);
    e->running = L;
    e->blocked--;
    e->close_depth--;
    if (status == LUA_ERRMEM) begin_abort(L, CLUA_ABORT_MEMORY);
    if (status != LUA_OK && must_catch(L, was_ending)) {
        if (status != LUA_ERRMEM) keep_suppressed(co, -1, false);
        raise_ending(L);
    }
    if (status == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

void open_coroutine(lua_State *L) {
    static const luaL_Reg members[] = {
        {"create", create},           {"resume", guard_resume},   {"wrap", guard_wrap},   {"yield", guard_yield},
        {"isyieldable", guard_isyieldable}, {"running", guard_running}, {"close", guard_close}, {NULL, NULL},
    };
    int base = lua_gettop(L);
    luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 0);
    luaL_newlib(L, members);
    lua_getfield(L, -2, "status");
    lua_setfield(L, -2, "status");
    push_frozen(L, LUA_COLIBNAME, false);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, LUA_COLIBNAME);
    lua_pop(L, 1);
    lua_setfield(L, base, LUA_COLIBNAME);
    lua_settop(L, base);
}
