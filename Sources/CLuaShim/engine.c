// The life of a state, its allocator, its budgets, and the abort that no script can catch.
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

const char KEY_ERROR_META, KEY_ABORTS, KEY_TYPES, KEY_OBJECTS, KEY_BASE, KEY_MODULES, KEY_LOADED, KEY_LOADING,
    KEY_FUNCTIONS, KEY_FUNCTION_IDS, KEY_HOST_FUNCTIONS, KEY_FROZEN, KEY_ORDER, KEY_SCOPES, KEY_TASKS, KEY_CHUNK,
    KEY_SENTINEL, KEY_ENDINGS, KEY_SUPPRESSED, KEY_HANDLE_META, KEY_LENIENT, KEY_GLOBALS_VIEW;

void need_stack(lua_State *L, int slots, const char *message) {
    CLuaEngine *e = engine_of(L);
    uint64_t refused = e->refused;
    if (lua_checkstack(L, slots)) return;
    if (e->refused != refused) {
        begin_abort(L, CLUA_ABORT_MEMORY);
        raise_abort(L);
    }
    if (message) luaL_error(L, "stack overflow (%s)", message);
    luaL_error(L, "stack overflow");
}

static int panic(lua_State *L) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";
    fprintf(stderr, "LuaHost: a Lua error was raised outside a protected call: %s\n", text);
    abort();
}

// ---- abort

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

static CLuaAbort budget_verdict(lua_State *L, CLuaEngine *e) {
    if (e->cancel && atomic_load_explicit(&e->cancel->value, memory_order_relaxed)) return CLUA_ABORT_CANCELLED;
    if (e->limits.fuel && e->fuel_used > e->limits.fuel) return CLUA_ABORT_FUEL;
    if (e->limits.time_nanoseconds && lua_time(e) > e->limits.time_nanoseconds) return CLUA_ABORT_DEADLINE;
    if (e->used > e->limits.memory) {
        lua_gc(L, LUA_GCCOLLECT);  // garbage is not use
        if (e->used > e->limits.memory / 8 * 7) return CLUA_ABORT_MEMORY;
    }
    return CLUA_ABORT_NONE;
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

static void charge_bytes(CLuaEngine *e) {
    e->fuel_used += e->unseen / BYTES_PER_FUEL;
    e->unseen %= BYTES_PER_FUEL;
}

static bool is_over(CLuaEngine *e, uint64_t fuel_end, int64_t time_end) {
    return e->fuel_used > fuel_end || lua_time(e) > time_end;
}

// Whether the script has to be stopped here. An abort is raised once; what runs after it are close handlers, with a
// budget of their own, and when that is used up every step raises.
static bool must_stop(lua_State *L, CLuaEngine *e) {
    CLuaTask *task = e->current;
    charge_bytes(e);
    if (e->abort) {
        if (!e->spent && is_over(e, e->closing_fuel_end, e->closing_time_end)) e->spent = true;
        return e->spent;
    }
    CLuaAbort verdict = budget_verdict(L, e);
    if (verdict != CLUA_ABORT_NONE) {
        begin_abort(L, verdict);
        return true;
    }
    if (!task || !task->cancelled) return false;
    if (!task->spent && is_over(e, task->closing_fuel_end, task->closing_time_end)) task->spent = true;
    return task->spent;
}

void look_at_budgets(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    e->unlooked = 0;
    if (must_stop(L, e)) raise_ending(L);
    if (e->text_fuel && e->fuel_used > e->text_fuel) luaL_error(L, "'__tostring' takes too long");
}

// A long call may be a script's last: what was asked for meanwhile must not be lost.
bool look_at_end(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    charge_bytes(e);
    if (e->abort) return false;
    CLuaAbort verdict = budget_verdict(L, e);
    if (verdict != CLUA_ABORT_NONE) begin_abort(L, verdict);
    return verdict != CLUA_ABORT_NONE;
}

// Once even the close handlers have used up their budget, the hook runs at every instruction, line, call and return of
// the task. The main thread is left out, as reports are made on it.
static void hook(lua_State *L, lua_Debug *ar) {
    CLuaEngine *e = engine_of(L);
    if (ar->event == LUA_HOOKCOUNT) e->fuel_used += (uint64_t)lua_gethookcount(L);
    if (!must_stop(L, e)) {
        if (e->text_fuel && e->fuel_used > e->text_fuel) luaL_error(L, "'__tostring' takes too long");
        if (lua_gethookcount(L) != e->period) install_hook(L);
        return;
    }
    if (is_spent(L) && L != e->main)
        lua_sethook(L, hook, LUA_MASKCOUNT | LUA_MASKLINE | LUA_MASKCALL | LUA_MASKRET, 1);
    raise_ending(L);
}

void install_hook(lua_State *L) { lua_sethook(L, hook, LUA_MASKCOUNT, engine_of(L)->period); }

void refresh_hook(lua_State *L) {
    if (lua_gethookcount(L) > engine_of(L)->period) install_hook(L);
}

static void look_soon(CLuaEngine *e) {
    if (lua_gethook(e->running) && lua_gethookcount(e->running) != 1)
        lua_sethook(e->running, hook, LUA_MASKCOUNT, 1);
}

// Comparing, hashing and reading a text as a number are instructions that take as long as the text is.
static void shorten_period(CLuaEngine *e, size_t longest) {
    e->longest = longest;
    e->period = longest <= LONG_TEXT ? HOOK_PERIOD : (int)(((size_t)HOOK_PERIOD * LONG_TEXT) / longest);
    if (e->period < 1) e->period = 1;
}

_Noreturn void refuse_text(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    if (L == e->main)  // no script is at work: the host passes something
        raise(L, "size", "a text may have at most %zu bytes, a quarter of the memory budget", e->text_limit);
    lua_checkstack(L, 10);
    begin_abort(L, CLUA_ABORT_MEMORY);
    raise_abort(L);
}

// Where Lua asks for the memory of a new text it may meet an error, so one can be raised there.
static void see_text(CLuaEngine *e, size_t size) {
    if (size <= e->longest) return;
    // What Lua needs beside the bytes is some 25; the bound is not so exact.
    if (size > e->text_limit + 64) refuse_text(e->running);
    shorten_period(e, size);
    look_soon(e);
}

// The limit is soft: past it the allocation still succeeds, and the hook ends the script with an ordinary error at
// its next instruction. Lua 5.4.4 has a use-after-free that failing allocations can reach, so there is room for the
// most that one instruction can ask for: a table doubles, and a text of more than a quarter of the limit ends the run
// before any of it is allocated.
static void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
    CLuaEngine *e = context;
    bool is_text = !block && old_size == LUA_TSTRING;  // of a new object Lua gives the type
    if (!block) old_size = 0;
    if (new_size == 0) {
        free(block);
        e->used -= old_size;
        return NULL;
    }
    if (new_size > old_size && e->main) {
        size_t growth = new_size - old_size;
        if (is_text && new_size > LONG_TEXT && e->running) see_text(e, new_size);
        if (e->used + growth > e->hard) {
            e->refused++;
            return NULL;
        }
        e->unseen += growth;
        if (e->running && (e->unseen >= LOOK_BYTES || (e->used + growth > e->limits.memory && !e->abort)))
            look_soon(e);
    }
    void *result = new_size > old_size && allocation_fails() ? NULL : realloc(block, new_size);
    if (result)
        e->used += new_size - old_size;
    else
        e->refused++;
    return result;
}

// ---- protected calls from outside

CLuaStatus protect(CLuaEngine *e, lua_CFunction body, void *context) {
    lua_State *L = e->main;
    int top = lua_gettop(L);
    lua_State *outer = e->running;
    e->running = L;
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, context);
    int status = lua_pcall(L, 1, 0, 0);
    e->running = outer;
    if (status == LUA_OK) return CLUA_OK;
    if (status == LUA_ERRMEM) {
        lua_settop(L, top);
        return CLUA_NO_MEMORY;
    }
    buffer_clear(&e->output);
    // The report itself is made under protection by whoever asked; here only plain text is kept.
    size_t length = 0;
    const char *text = "the error has no text";
    if (lua_type(L, -1) == LUA_TSTRING)
        text = lua_tolstring(L, -1, &length);
    else
        length = strlen(text);
    uint8_t tag = CLUA_TAG_STRING;
    uint32_t size = (uint32_t)(length > TEXT_LIMIT ? TEXT_LIMIT : length);
    bool ok = buffer_append(&e->output, &tag, 1) && buffer_append(&e->output, &size, 4)
        && buffer_append(&e->output, text, size);
    lua_settop(L, top);
    return ok ? CLUA_ERROR : CLUA_NO_MEMORY;
}

// ---- life

static void new_registry_table(lua_State *L, const void *key, const char *mode) {
    lua_newtable(L);
    if (mode) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static int open_all(lua_State *L) {
    luaL_checkstack(L, 50, NULL);
    new_registry_table(L, &KEY_ABORTS, NULL);
    new_registry_table(L, &KEY_TYPES, NULL);
    new_registry_table(L, &KEY_OBJECTS, "v");
    new_registry_table(L, &KEY_MODULES, NULL);
    new_registry_table(L, &KEY_LOADED, NULL);
    new_registry_table(L, &KEY_LOADING, NULL);
    new_registry_table(L, &KEY_FUNCTIONS, "v");
    new_registry_table(L, &KEY_FUNCTION_IDS, "k");
    new_registry_table(L, &KEY_HOST_FUNCTIONS, NULL);
    new_registry_table(L, &KEY_FROZEN, "k");
    new_registry_table(L, &KEY_ORDER, "k");
    new_registry_table(L, &KEY_SCOPES, NULL);
    new_registry_table(L, &KEY_TASKS, NULL);
    new_registry_table(L, &KEY_LENIENT, NULL);
    new_registry_table(L, &KEY_ENDINGS, NULL);
    new_registry_table(L, &KEY_SUPPRESSED, NULL);
    open_errors(L);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
    open_base(L);
    open_libraries(L);
    open_coroutine(L);
    open_modules(L);
    open_tasks(L);
    lua_pop(L, 1);
    install_hook(L);
    return 0;
}

CLuaEngine *clua_open(const CLuaLimits *limits, const CLuaHost *host) {
    // The alignment leaves room for flags beside the pointer; see internal.h.
    enum { ALIGNMENT = WORD_FLAGS + 1 };
    size_t size = (sizeof(CLuaEngine) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    CLuaEngine *e = allocation_fails() ? NULL : aligned_alloc(ALIGNMENT, size);
    if (!e) return NULL;
    memset(e, 0, size);
    e->limits = *limits;
    e->host = *host;
    // Room for the largest table that may grow out of what the budget allows, and for what close handlers may allocate.
    size_t closing = limits->closing_fuel > SIZE_MAX / 64 ? SIZE_MAX / 2 : limits->closing_fuel * BYTES_PER_FUEL;
    e->hard = limits->memory > SIZE_MAX / 16 ? SIZE_MAX : limits->memory * 4 + closing;
    e->text_limit = limits->memory / 4;
    e->period = HOOK_PERIOD;
    e->next_scope = e->next_function = 1;
    lua_State *L = lua_newstate(allocate, e);
    if (!L) {
        free(e);
        return NULL;
    }
    e->main = L;
    memcpy(lua_getextraspace(L), &e, sizeof e);
    lua_atpanic(L, panic);
    if (!lua_checkstack(L, 100) || protect(e, open_all, NULL) != CLUA_OK || e->used > limits->memory) {
        clua_close(e);
        return NULL;
    }
    return e;
}

void clua_close(CLuaEngine *e) {
    lua_sethook(e->main, NULL, 0, 0);
    lua_close(e->main);
    free_entries(e);
    buffer_free(&e->arguments);
    buffer_free(&e->reply);
    buffer_free(&e->output);
    leaked_bytes += (long)e->used;
    leaked_tasks += e->live_tasks;
    free(e);
}

// ---- small accessors

void clua_reply_set(CLuaEngine *e, const uint8_t *bytes, size_t length) {
    buffer_clear(&e->reply);
    e->reply_lost = length && !buffer_append(&e->reply, bytes, length);
}

bool clua_reply_append(CLuaEngine *e, const uint8_t *bytes, size_t length, int64_t *offset) {
    *offset = (int64_t)e->reply.length;
    if (!buffer_append(&e->reply, bytes, length)) e->reply_lost = true;
    return !e->reply_lost;
}

const uint8_t *clua_output(CLuaEngine *e, size_t *length) {
    *length = e->output.length;
    return e->output.bytes;
}

void clua_budget_reset(CLuaEngine *e) {
    e->fuel_used = 0;
    e->time_used = 0;
    e->abort = CLUA_ABORT_NONE;
    e->spent = false;
    e->abort_line = 0;
    e->unlooked = e->unseen = 0;
    // What the last run hoarded must not count against this one, nor its long texts make it slow.
    if (e->used > e->limits.memory / 4 || e->longest > LONG_TEXT) lua_gc(e->main, LUA_GCCOLLECT);
    if (e->longest > e->used) shorten_period(e, e->used);
    install_hook(e->main);
}

CLuaUsage clua_usage(CLuaEngine *e) {
    return (CLuaUsage){.fuel = e->fuel_used, .time_nanoseconds = e->time_used > 0 ? e->time_used : 0, .memory = e->used};
}

CLuaAbort clua_aborted(CLuaEngine *e) { return e->abort; }

CLuaCancelFlag *clua_cancel_flag_make(void) {
    CLuaCancelFlag *flag = calloc(1, sizeof *flag);
    if (!flag) abort();
    return flag;
}
void clua_cancel_flag_set(CLuaCancelFlag *flag, bool value) { atomic_store(&flag->value, value); }
bool clua_cancel_flag_get(CLuaCancelFlag *flag) { return atomic_load(&flag->value); }
void clua_cancel_flag_free(CLuaCancelFlag *flag) { free(flag); }
void clua_use_cancel_flag(CLuaEngine *e, CLuaCancelFlag *flag) { e->cancel = flag; }
