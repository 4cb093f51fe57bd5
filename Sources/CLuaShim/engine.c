// The life of a state, and how calls from outside are protected.
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
    new_registry_table(L, &KEY_ORDER, "k");
    new_registry_table(L, &KEY_SCOPES, NULL);
    new_registry_table(L, &KEY_TASKS, NULL);
    new_registry_table(L, &KEY_LENIENT, NULL);
    new_registry_table(L, &KEY_ENDINGS, NULL);
    new_registry_table(L, &KEY_SUPPRESSED, NULL);
    open_capacity(L);
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
    if (test_hooks) test_hooks->closed(e->used, e->live_tasks);
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
