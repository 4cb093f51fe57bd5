// What the fuzz targets share: an engine with small budgets and no host.
#include <stdio.h>
#include <stdlib.h>

#include "CLuaProbe.h"
#include "internal.h"

static double now(void *context) {
    (void)context;
    return 0;
}

// A new engine every thousand inputs, so that what one left behind cannot hide a fault of the next for long.
static CLuaEngine *engine(void) {
    static CLuaEngine *current;
    static int uses;
    if (current && ++uses % 1000 == 0) {
        clua_close(current);
        current = NULL;
        CLuaLeaks leaks = clua_probe_leaks();
        if (leaks.tasks || leaks.bytes) abort();
    }
    if (!current) {
        CLuaLimits limits = {
            .fuel = 200000, .memory = 32 << 20, .argument_bytes = 1 << 20, .source_bytes = 1 << 20, .depth = 64};
        CLuaHost host = {.now = now, .time = now};
        current = clua_open(&limits, &host);
        if (!current || clua_install_type(current, "vm", 0) != CLUA_OK) abort();
    }
    clua_budget_reset(current);
    return current;
}
