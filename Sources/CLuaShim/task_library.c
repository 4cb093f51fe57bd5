// The table `task`, and the numbers of its functions.
#include "scope.h"

enum { SPAWN = SCOPE_MODES, FIRST_ID = 0x40000000 };

// The functions of `task` have numbers among the host's, so that the host can name them.
static void keep_function(lua_State *L, int which) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_HOST_FUNCTIONS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, FIRST_ID + which);
    lua_pop(L, 1);
}

bool task_function_id(lua_State *L, int index, uint64_t *id) {
    lua_CFunction function = lua_tocfunction(L, index);
    if (function == spawn_task) {
        *id = FIRST_ID + SPAWN;
        return true;
    }
    if (function != open_scope) return false;
    lua_getupvalue(L, index, 1);
    *id = FIRST_ID + (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return true;
}

const char *clua_function_name(uint64_t id) {
    uint64_t which = (id & ~CLUA_HOST_FUNCTION) - FIRST_ID;
    return which < SCOPE_MODES ? scope_names[which] : which == SPAWN ? "task.spawn" : NULL;
}

void open_tasks(lua_State *L) {
    int base = lua_gettop(L);
    open_task_handles(L);
    lua_newtable(L);
    for (int mode = 0; mode < SCOPE_MODES; mode++) {
        lua_pushinteger(L, mode);
        lua_pushcclosure(L, open_scope, 1);
        keep_function(L, mode);
        lua_setfield(L, -2, strchr(scope_names[mode], '.') + 1);
    }
    lua_pushcfunction(L, spawn_task);
    keep_function(L, SPAWN);
    lua_setfield(L, -2, "spawn");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "task");
    lua_pop(L, 1);
    push_frozen(L, "task", true);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "task");
    lua_pop(L, 1);
    lua_setfield(L, base, "task");
}
