// Tasks: the coroutines that the scheduler runs. Each outcome is a status; each error a report in the output buffer.
#define _GNU_SOURCE  // pthread_getattr_np
#include <pthread.h>
#include <stdlib.h>

#include "internal.h"

int push_branch(lua_State *L, lua_State *co, uint64_t scope, uint32_t index);
void keep_branch(lua_State *L, CLuaTask *task, bool failed, int count);

static void report_text(lua_State *L, Buffer *b, int index) {
    encode_value(L, b, index, (Blame){NULL, "report"}, 1);
}

// ---- the outermost function of each task
//
// An error thrown from inside a hook leaves hooks switched off, and Lua switches them on again only where it catches
// the error. So a task catches its own: the close handlers of its variables then run with budgets, and may wait. The
// report is made in the message handler, while the stack still shows where the error arose.

static int report_body(lua_State *L) {
    CLuaTask *task = lua_touserdata(L, 1);
    lua_settop(L, 2);
    report_error(L, L, &task->report);
    return 0;
}

static int suppress_body(lua_State *L) {
    keep_suppressed(L, 1, true);
    return 0;
}

static int report_handler(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    CLuaTask *task = e->current;
    lua_settop(L, 1);
    // While a run is being ended every step raises again: the first report is the one that tells where.
    if (!task || task->thread != L) return 1;
    if (is_ending(L) && task->report.length > 0) {
        if (!lua_checkstack(L, 10)) return 1;
        lua_pushcfunction(L, suppress_body);
        lua_pushvalue(L, 1);
        lua_pcall(L, 1, 0, 0);
        lua_settop(L, 1);
        return 1;
    }
    buffer_clear(&task->report);
    if (!lua_checkstack(L, 10)) return 1;
    lua_pushcfunction(L, report_body);
    lua_pushlightuserdata(L, task);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) buffer_clear(&task->report);
    lua_settop(L, 1);
    return 1;
}

static int after_body(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
    return lua_gettop(L) - 1;
}

static int task_body(lua_State *L) {
    check_ending(L);  // a branch may be cancelled before it starts
    lua_pushcfunction(L, report_handler);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, after_body);
    return after_body(L, status, 0);
}

// ---- making tasks

typedef struct {
    CLuaTask *task;
    const uint8_t *arguments;
    size_t length;
} Start;

static lua_State *new_thread(lua_State *L, CLuaTask *task) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TASKS);
    lua_State *co = lua_newthread(L);
    *thread_word(co) = (uintptr_t)engine_of(L);
    install_hook(co);
    lua_rawsetp(L, -2, task);
    lua_pop(L, 1);
    lua_pushcfunction(co, task_body);
    return co;
}

static int start_main(lua_State *L) {
    Start *s = lua_touserdata(L, 1);
    luaL_checkstack(L, 20, NULL);
    lua_State *co = new_thread(L, s->task);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_CHUNK);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_CHUNK);
    int count = decode_values(L, s->arguments, s->length);
    luaL_checkstack(co, count + 1, NULL);
    lua_xmove(L, co, count + 1);
    s->task->start_count = count + 1;
    s->task->thread = co;
    return 0;
}

static int start_branch(lua_State *L) {
    Start *s = lua_touserdata(L, 1);
    luaL_checkstack(L, 20, NULL);
    lua_State *co = new_thread(L, s->task);
    s->task->start_count = push_branch(L, co, s->task->scope, s->task->index) + 1;
    s->task->thread = co;
    return 0;
}

static CLuaTask *make(CLuaEngine *e, lua_CFunction start, CLuaTask task, const uint8_t *arguments, size_t length) {
    CLuaTask *made = allocation_fails() ? NULL : malloc(sizeof *made);
    if (!made) return NULL;
    e->live_tasks++;
    *made = task;
    Start s = {made, arguments, length};
    if (protect(e, start, &s) == CLUA_OK) return made;
    clua_task_free(e, made);
    return NULL;
}

CLuaTask *clua_task_main(CLuaEngine *e, const uint8_t *arguments, size_t length, bool print) {
    return make(e, start_main, (CLuaTask){.print = print}, arguments, length);
}

CLuaTask *clua_task_branch(CLuaEngine *e, uint64_t scope, uint32_t index) {
    return make(e, start_branch, (CLuaTask){.scope = scope, .index = index}, NULL, 0);
}

void clua_task_cancel(CLuaTask *task) { task->cancelled = true; }

uint64_t clua_task_calls(const CLuaTask *task) { return task->calls; }

static int forget(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TASKS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, lua_touserdata(L, 1));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, lua_touserdata(L, 1));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SUPPRESSED);
    lua_pushnil(L);
    lua_rawsetp(L, -2, lua_touserdata(L, 1));
    return 0;
}

void clua_task_free(CLuaEngine *e, CLuaTask *task) {
    protect(e, forget, task);
    buffer_free(&task->report);
    e->live_tasks--;
    free(task);
}

// ---- running

typedef struct {
    CLuaTask *task;
    int count;
} End;

static int encode_printed(lua_State *L) {
    Buffer *b = lua_touserdata(L, 1);
    encode_value(L, b, 2, (Blame){NULL, "result"}, 1);
    return 0;
}

// Results to the output buffer. For a session each is a value, or nil where Swift cannot hold it, and its text.
static int give_results(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    Buffer *b = &engine_of(L)->output;
    luaL_checkstack(L, end->count + 20, "too many results");
    int first = lua_gettop(L) + 1;
    lua_xmove(end->task->thread, L, end->count);
    for (int i = 0; i < end->count; i++) {
        if (!end->task->print) {
            encode_value(L, b, first + i, (Blame){NULL, "result"}, i + 1);
            continue;
        }
        size_t mark = b->length;
        lua_pushcfunction(L, encode_printed);
        lua_pushlightuserdata(L, b);
        lua_pushvalue(L, first + i);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
            lua_pop(L, 1);
            b->length = mark;
            lua_pushnil(L);
            encode_value(L, b, -1, (Blame){NULL, "result"}, i + 1);
            lua_pop(L, 1);
        }
        lua_pushcfunction(L, inspect);
        lua_pushvalue(L, first + i);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
            lua_pop(L, 1);
            push_safe_text(L, first + i);
        }
        encode_value(L, b, -1, (Blame){NULL, "result"}, i + 1);
        lua_pop(L, 1);
    }
    return 0;
}

// Copies the error of a task that failed; the original stays on its stack, where its close handlers find it.
static void push_task_error(lua_State *L, lua_State *co) {
    luaL_checkstack(L, 20, NULL);
    if (!lua_checkstack(co, 1)) {
        lua_pushliteral(L, "stack overflow");
        return;
    }
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
}

static int give_error(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    push_task_error(L, end->task->thread);
    report_error(L, end->task->thread, &engine_of(L)->output);
    return 0;
}

// The error of a task that ended well, and too late.
static int give_abort(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    CLuaEngine *e = engine_of(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
    lua_rawgeti(L, -1, e->abort);
    report_error(L, end->task->thread, &e->output);
    return 0;
}

static int keep(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    if (end->count < 0)
        push_task_error(L, end->task->thread);
    else
        luaL_checkstack(L, end->count + 20, "too many results");
    if (end->count >= 0) lua_xmove(end->task->thread, L, end->count);
    keep_branch(L, end->task, end->count < 0, end->count < 0 ? 1 : end->count);
    return 0;
}

static int report_own_error(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    lua_settop(L, 2);
    report_error(L, end->task->thread, &engine_of(L)->output);
    return 0;
}

// As protect, but an error becomes a report.
static CLuaStatus finish(CLuaEngine *e, lua_CFunction body, End *end) {
    lua_State *L = e->main;
    int top = lua_gettop(L);
    buffer_clear(&e->output);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, end);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return CLUA_OK;
    if (status != LUA_ERRMEM) {
        buffer_clear(&e->output);
        lua_pushcfunction(L, report_own_error);
        lua_pushlightuserdata(L, end);
        lua_pushvalue(L, -3);
        status = lua_pcall(L, 2, 0, 0);
    }
    lua_settop(L, top);
    return status == LUA_OK ? CLUA_ERROR : CLUA_NO_MEMORY;
}

// Ends the report with what close handlers raised meanwhile.
static int give_suppressed(lua_State *L) {
    End *end = lua_touserdata(L, 1);
    push_task_error(L, end->task->thread);
    push_suppressed(L, end->task);
    report_text(L, &engine_of(L)->output, -1);
    return 0;
}

static void add_suppressed(CLuaEngine *e, End *end) {
    lua_State *L = e->main;
    int top = lua_gettop(L);
    size_t mark = e->output.length;
    lua_pushcfunction(L, give_suppressed);
    lua_pushlightuserdata(L, end);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) e->output.length = mark;
    lua_settop(L, top);
}

static CLuaStatus fail(CLuaEngine *e, CLuaTask *task) {
    End end = {task, -1};
    // Without its error the scope would pass for one that ended well.
    if (task->scope && protect(e, keep, &end) != CLUA_OK && !task->cancelled) return CLUA_NO_MEMORY;
    if (task->report.length == 0) {
        CLuaStatus status = finish(e, give_error, &end);
        if (status != CLUA_OK) return status;
    } else {
        buffer_free(&e->output);
        e->output = task->report;
        task->report = (Buffer){0};
    }
    if (task->has_suppressed) add_suppressed(e, &end);
    return CLUA_ERROR;
}

// Notes where the C stack of this thread ends: nested coroutines need to know how much of it is left.
static void look_at_stack(CLuaEngine *e) {
    uintptr_t self = (uintptr_t)pthread_self();
    if (e->stack_thread == self) return;
    e->stack_thread = self;
    e->stack_low = UINTPTR_MAX;
    pthread_attr_t attributes;
    void *low;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0) e->stack_low = (uintptr_t)low;
    pthread_attr_destroy(&attributes);
}

CLuaStatus clua_task_resume(CLuaEngine *e, CLuaTask *task, CLuaReply reply, const uint8_t *bytes, size_t length) {
    lua_State *co = task->thread;
    e->reply_kind = reply;
    clua_reply_set(e, bytes, length);
    set_waiting(co, false);
    e->current = task;
    e->blocked = 0;
    e->resume_depth = 0;
    look_at_stack(e);
    begin_slice(e);
    if (task->cancelled && !task->closing_fuel_end) {
        task->closing_fuel_end = e->fuel_used + e->limits.closing_fuel;
        task->closing_time_end = lua_time(e) + e->limits.closing_time_nanoseconds;
    }
    int count = 0, arguments = task->start_count > 0 ? task->start_count : 0;
    task->start_count = -1;
    refresh_hook(co);
    e->running = co;
    int status = lua_resume(co, NULL, arguments, &count);
    e->running = e->main;
    CLuaStatus result;
    if (status == LUA_YIELD) {
        lua_pop(co, count);
        set_waiting(co, true);
        result = CLUA_WAITING;
    } else if (status == LUA_OK && !task->scope && look_at_end(co)) {
        End end = {task, -1};
        result = finish(e, give_abort, &end);
        if (result == CLUA_OK) result = CLUA_ERROR;
    } else if (status == LUA_OK) {
        End end = {task, count};
        result = finish(e, task->scope ? keep : give_results, &end);
    } else {
        if (status == LUA_ERRMEM) begin_abort(co, CLUA_ABORT_MEMORY);
        result = fail(e, task);
    }
    end_slice(e);
    e->running = NULL;
    e->current = NULL;
    return result;
}
