// What LuaHost is measured against: the same work in C against lua.h, with no safety at all. For the benchmark only.
#ifndef CLUAYARDSTICK_H
#define CLUAYARDSTICK_H

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

// Nanoseconds of processor time that this process has taken.
double yardstick_cpu(void);
// Nanoseconds of processor time for a run of `source` in a plain state with Lua's libraries and the C functions `add`,
// `text` and `options`; -1 when it fails. Opening the state and compiling are not counted. With `hooked` a count hook
// is set, as any host needs that wants to end a script: Lua then runs every instruction at half its speed.
double yardstick_run(const char *source, bool hooked);
// Nanoseconds of processor time for luaL_newstate, luaL_openlibs and lua_close, on the average of `count`.
double yardstick_state(int count);
// Bytes that such a state holds when its libraries are open.
size_t yardstick_state_bytes(void);
// Nanoseconds for a round trip between two threads by a condition variable, on the average of `count`.
double yardstick_round_trip(int count);

#pragma clang assume_nonnull end

#endif
