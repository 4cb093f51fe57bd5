// Tasks: the coroutines that the scheduler runs. Each outcome is a status; each error a report in the output buffer.
#include <stdlib.h>

#include "internal.h"

int push_branch(lua_State *L, lua_State *co, uint64_t scope, uint32_t index);
void keep_branch(lua_State *L, const CLuaTask *task, bool failed, int count);

// ---- loading

typedef struct {
    const uint8_t *source;
    size_t length;
    const char *chunk;
    bool expression;
    CLuaStatus status;
} Load;

static void report_text(lua_State *L, Buffer *b, int index) {
    encode_value(L, b, index, (Blame){NULL, "report"}, 1);
}

// A syntax error reads "chunk:line: text"; the chunk is known, so what stands before it can be cut exactly.
static void report_syntax(lua_State *L, const Load *load) {
    Buffer *b = &engine_of(L)->output;
    const char *text = lua_tostring(L, -1), *label = load->chunk + 1;
    size_t length = strlen(label);
    long line = 0;
    const char *message = text;
    // Lua shortens long names, but leaves their end: look for the first ":<digits>: ".
    const char *start = strncmp(text, label, length) == 0 ? text + length : strchr(text, ':');
    for (const char *p = start; p; p = strchr(p + 1, ':')) {
        char *end;
        if (*p == ':' && (line = strtol(p + 1, &end, 10)) > 0 && end[0] == ':' && end[1] == ' ') {
            message = end + 2;
            break;
        }
        line = 0;
    }
    lua_pushstring(L, message);
    report_text(L, b, -1);
    lua_pushliteral(L, "");
    report_text(L, b, -2);
    report_text(L, b, -1);
    lua_pushstring(L, label);
    report_text(L, b, -1);
    lua_pushinteger(L, line);
    report_text(L, b, -1);
}

static bool ends_early(lua_State *L) {
    static const char mark[] = "<eof>";
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    return text && length >= sizeof mark - 1 && strcmp(text + length - (sizeof mark - 1), mark) == 0;
}

static int load(lua_State *L) {
    Load *l = lua_touserdata(L, 1);
    luaL_checkstack(L, 20, NULL);
    if (l->length > engine_of(L)->limits.source_bytes) raise(L, "size", "the source text is too long");
    if (l->expression) {
        lua_pushliteral(L, "return ");
        lua_pushlstring(L, (const char *)l->source, l->length);
        lua_concat(L, 2);
    } else {
        lua_pushlstring(L, (const char *)l->source, l->length);
    }
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    int status = luaL_loadbufferx(L, text, length, l->chunk, "t");
    if (status == LUA_OK) {
        lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_CHUNK);
        l->status = CLUA_OK;
        return 0;
    }
    if (status == LUA_ERRMEM) {
        l->status = CLUA_NO_MEMORY;
        return 0;
    }
    l->status = ends_early(L) ? CLUA_INCOMPLETE : CLUA_ERROR;
    report_syntax(L, l);
    return 0;
}

CLuaStatus clua_load(CLuaEngine *e, const uint8_t *source, size_t length, const char *chunk, bool expression) {
    buffer_clear(&e->output);
    Load l = {source, length, chunk, expression, CLUA_ERROR};
    CLuaStatus status = protect(e, load, &l);
    return status == CLUA_OK ? l.status : status;
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

static int report_handler(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    CLuaTask *task = e->current;
    lua_settop(L, 1);
    // While a run is being ended every step raises again: the first report is the one that tells where.
    if (!task || task->thread != L || (e->abort && task->report.length > 0)) return 1;
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

static int forget(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TASKS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, lua_touserdata(L, 1));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
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

static CLuaStatus fail(CLuaEngine *e, CLuaTask *task) {
    End end = {task, -1};
    if (task->scope) protect(e, keep, &end);
    if (task->report.length == 0) {
        CLuaStatus status = finish(e, give_error, &end);
        return status == CLUA_OK ? CLUA_ERROR : status;
    }
    buffer_free(&e->output);
    e->output = task->report;
    task->report = (Buffer){0};
    return CLUA_ERROR;
}

CLuaStatus clua_task_resume(CLuaEngine *e, CLuaTask *task, CLuaReply reply, const uint8_t *bytes, size_t length) {
    lua_State *co = task->thread;
    e->reply_kind = reply;
    clua_reply_set(e, bytes, length);
    set_waiting(co, false);
    e->current = task;
    e->blocked = 0;
    e->slice_start = monotonic_nanoseconds();
    if (task->cancelled && !task->closing_fuel_end) {
        task->closing_fuel_end = e->fuel_used + e->limits.closing_fuel;
        task->closing_time_end = e->slice_start + e->limits.closing_time_nanoseconds;
    }
    int count = 0, arguments = task->start_count > 0 ? task->start_count : 0;
    task->start_count = -1;
    int status = lua_resume(co, NULL, arguments, &count);
    e->time_used += monotonic_nanoseconds() - e->slice_start;
    CLuaStatus result;
    if (status == LUA_YIELD) {
        lua_pop(co, count);
        set_waiting(co, true);
        result = CLUA_WAITING;
    } else if (status == LUA_OK) {
        End end = {task, count};
        result = finish(e, task->scope ? keep : give_results, &end);
    } else {
        if (status == LUA_ERRMEM) begin_abort(co, CLUA_ABORT_MEMORY);
        result = fail(e, task);
    }
    e->slice_start = 0;
    e->current = NULL;
    return result;
}
