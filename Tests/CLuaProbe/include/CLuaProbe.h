// For tests of the shim itself; nothing here is for hosts.
#ifndef CLUAPROBE_H
#define CLUAPROBE_H

#include "CLuaShim.h"

#pragma clang assume_nonnull begin

// Lets `after` more allocations of this thread pass and fails the `count` that follow; 0 ends it.
void clua_probe_fail_allocations(uint64_t after, uint64_t count);
// How many allocations of this thread were failed since then.
uint64_t clua_probe_refused(void);

// How many requests for memory the engine has refused, be it at its own bound or by the above.
uint64_t clua_probe_engine_refused(const CLuaEngine *engine);

// What the engines closed so far still held when they were.
typedef struct {
    long tasks, bytes;
} CLuaLeaks;
CLuaLeaks clua_probe_leaks(void);

// Decodes flat bytes to Lua values and encodes them again into the output buffer.
CLuaStatus clua_probe_decode(CLuaEngine *engine, const uint8_t *bytes, size_t length);

// Lists those of Lua's own functions that can be reached from a script's environment, be it through metatables or as
// upvalues of the functions that stand before them: "library.name" lines in the output buffer.
CLuaStatus clua_probe_reachable(CLuaEngine *engine);

// Runs a script in a plain Lua state with all of Lua's own libraries. The result, a text, is the caller's to free.
char *_Nullable clua_probe_stock(const uint8_t *source, size_t length, size_t *result_length);

#pragma clang assume_nonnull end

#endif
