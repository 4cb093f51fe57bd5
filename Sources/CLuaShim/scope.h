// What the files of the table `task` share.
#ifndef CLUASHIM_SCOPE_H
#define CLUASHIM_SCOPE_H

#include "internal.h"

// KEY_SCOPES: id -> a table with these. The branches' functions and results stay in Lua; the scheduler only counts.
// In an open scope the list holds, for each branch that was spawned, its packed function and arguments, and there is a
// cell for each, which its handle shares: { ok, n, results or error }.
enum {
    SCOPE_LIST = 1,
    SCOPE_FUNCTION = 2,
    SCOPE_RESULTS = 3,
    SCOPE_ERROR = 4,       // in a table, as the value raised may be nil
    SCOPE_SINGLE = 5,      // whether each branch gives one value
    SCOPE_LEFT = 6,        // what a cancelled wait left
    SCOPE_CELLS = 7,
    SCOPE_SUPPRESSED = 8,  // what close handlers of its branches raised
};

enum { SCOPE_MODES = 5 };
extern const char *const scope_names[SCOPE_MODES];

void check_function(lua_State *L, int index, const char *name);
int open_scope(lua_State *L);            // scope.c; its upvalue is the mode
int spawn_task(lua_State *L);            // spawn.c
void open_task_handles(lua_State *L);

#endif
