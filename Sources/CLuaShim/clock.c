// The time that Lua itself takes: a run's budget counts neither waits nor what host functions do.
#include <time.h>

#include "internal.h"

// A call of a quick host function is not timed; when so much passes between two looks at the budgets, in which Lua can
// do little, such a call took it.
static const int64_t LONG_GAP = 20000000;

static int64_t read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Some milliseconds late at most, and cheap.
static int64_t coarse_nanoseconds(CLuaEngine *e) {
    return e->limits.virtual_time ? (int64_t)(e->host.now(e->host.context) * 1e9) : read_clock(CLOCK_MONOTONIC_COARSE);
}

static int64_t exact_nanoseconds(CLuaEngine *e) {
    return e->limits.virtual_time ? (int64_t)(e->host.now(e->host.context) * 1e9) : read_clock(CLOCK_MONOTONIC);
}

void begin_slice(CLuaEngine *e) {
    e->in_slice = true;
    e->called_untimed = false;
    e->host_time = 0;
    e->slice_start = exact_nanoseconds(e);
    e->last_look = coarse_nanoseconds(e);
}

void end_slice(CLuaEngine *e) {
    lua_time(e);  // sees what an untimed call took
    // Negative at times, as the host's share is read from the coarse clock: over many slices it comes out right.
    e->time_used += exact_nanoseconds(e) - e->slice_start - e->host_time;
    e->in_slice = false;
}

int64_t lua_time(CLuaEngine *e) {
    if (!e->in_slice) return e->time_used;
    int64_t now = coarse_nanoseconds(e);
    if (e->called_untimed && now - e->last_look > LONG_GAP) e->host_time += now - e->last_look;
    e->called_untimed = false;
    e->last_look = now;
    return e->time_used + (now - e->slice_start) - e->host_time;
}

int64_t enter_host(CLuaEngine *e) { return coarse_nanoseconds(e); }

void leave_host(CLuaEngine *e, int64_t entered) {
    int64_t now = coarse_nanoseconds(e);
    e->host_time += now - entered;
    // What is known of the time before an untimed call must not include this one.
    e->last_look += now - entered;
}
