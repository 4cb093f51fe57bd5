// Budgets: what counts, where it is looked at, and the allocator that keeps the books of memory.
#include <stdlib.h>

#include "internal.h"

// ---- verdicts

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

static void charge_bytes(CLuaEngine *e) {
    e->fuel_used += e->unseen / BYTES_PER_FUEL;
    e->asked += e->unseen - e->unseen % BYTES_PER_FUEL;
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

// ---- memory

const TestHooks *test_hooks;

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
void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
    CLuaEngine *e = context;
    bool is_object = !block && old_size;  // of a new object Lua gives the type
    bool is_text = !block && old_size == LUA_TSTRING;
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
        // Fuel is the same in every run, so only what depends on the script alone is charged: the nodes of a small table
        // depend on the hashes, which have a seed, and short texts on what the collector has left of them.
        if (growth >= LOOK_BYTES || (is_object && !(is_text && new_size <= SHORT_TEXT))) e->unseen += growth;
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

// ---- for the host

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
