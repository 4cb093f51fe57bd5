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

// A thread that wakes those who wait, once they are asleep for certain, and takes the time from there until the next
// one is handed over: one round trip between two threads, both of which slept when it began.
typedef struct YardstickWaker YardstickWaker;
// Starts one; it calls `wake` with what was handed over. Null when there is no memory or no thread for it.
YardstickWaker *_Nullable yardstick_waker(void (*wake)(void *who));
// Names the thread that has to be asleep before anyone is woken; to be called before the first is handed over.
void yardstick_watch(YardstickWaker *waker, int thread);
void yardstick_hand_over(YardstickWaker *waker, void *who);
// Ends it and gives nanoseconds for a round trip, the median of the first 4,096: where a machine is busy, a few take as
// long as others have the processor. -1 when there was none.
double yardstick_waker_end(YardstickWaker *waker);
// The number that the system gives this thread.
int yardstick_thread(void);
// The same where the other thread does nothing but wait on a condition variable for the waker, `count` times.
double yardstick_round_trip(int count);

#pragma clang assume_nonnull end

#endif
