// What tests look at and turn: failing allocations, counts of what is alive, Lua's own libraries for comparison, and
// the decoder without a host. None of it can be reached from a script.
#include <stdio.h>
#include <stdlib.h>

#include "CLuaProbe.h"
#include "internal.h"

static atomic_long leaked_bytes, leaked_tasks;

// ---- failing allocations

static _Thread_local uint64_t passing, failing, refused;

static bool fails(void) {
    if (failing == 0) return false;
    if (passing > 0) {
        passing--;
        return false;
    }
    failing--;
    refused++;
    return true;
}

static void count_leaks(size_t bytes, int tasks) {
    leaked_bytes += (long)bytes;
    leaked_tasks += tasks;
}

// Before main, so that no engine is open.
static __attribute__((constructor)) void set_hooks(void) {
    static const TestHooks hooks = {fails, count_leaks};
    test_hooks = &hooks;
}

void clua_probe_fail_allocations(uint64_t after, uint64_t count) {
    passing = after;
    failing = count;
    refused = 0;
}

uint64_t clua_probe_refused(void) { return refused; }

uint64_t clua_probe_engine_refused(const CLuaEngine *e) { return e->refused; }

CLuaLeaks clua_probe_leaks(void) { return (CLuaLeaks){.tasks = leaked_tasks, .bytes = leaked_bytes}; }

// ---- the decoder

typedef struct {
    const uint8_t *bytes;
    size_t length;
} Flat;

static int decode_and_encode(lua_State *L) {
    Flat *flat = lua_touserdata(L, 1);
    CLuaEngine *e = engine_of(L);
    lua_settop(L, 0);
    int count = decode_values(L, flat->bytes, flat->length);
    buffer_clear(&e->output);
    for (int i = 1; i <= count; i++) encode_value(L, &e->output, i, (Blame){NULL, "value"}, i);
    return 0;
}

CLuaStatus clua_probe_decode(CLuaEngine *e, const uint8_t *bytes, size_t length) {
    Flat flat = {bytes, length};
    return protect(e, decode_and_encode, &flat);
}

// ---- Lua's own libraries

static int run_stock(lua_State *L) {
    Flat *flat = lua_touserdata(L, 1);
    luaL_openlibs(L);
    if (luaL_loadbufferx(L, (const char *)flat->bytes, flat->length, "=stock", "t") != LUA_OK) return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

char *clua_probe_stock(const uint8_t *source, size_t length, size_t *result_length) {
    lua_State *L = luaL_newstate();
    if (!L) return NULL;
    Flat flat = {source, length};
    lua_pushcfunction(L, run_stock);
    lua_pushlightuserdata(L, &flat);
    lua_pcall(L, 1, 1, 0);
    char *copy = NULL;
    const char *text = lua_tolstring(L, -1, result_length);
    if (text && (copy = malloc(*result_length + 1))) memcpy(copy, text, *result_length + 1);
    lua_close(L);
    return copy;
}

// ---- what a script can reach

typedef struct {
    int seen;
    Buffer *output;
    lua_State *stock;  // whose globals hold all of Lua's own functions
} Walk;

// Adds the names of Lua's own function, as "library.name".
static void add_name(Walk *w, const char *library, lua_State *stock, lua_CFunction function) {
    lua_pushnil(stock);
    while (lua_next(stock, -2)) {
        if (lua_tocfunction(stock, -1) == function && lua_type(stock, -2) == LUA_TSTRING) {
            buffer_append(w->output, library, strlen(library));
            buffer_append(w->output, lua_tostring(stock, -2), lua_rawlen(stock, -2));
            buffer_append(w->output, "\n", 1);
        }
        lua_pop(stock, 1);
    }
}

static void add_names(Walk *w, lua_CFunction function) {
    static const char *const libraries[] = {"string", "table", "math", "utf8", "os", "io", "debug", "package", "coroutine"};
    lua_State *stock = w->stock;
    lua_pushglobaltable(stock);
    add_name(w, "", stock, function);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "%s.", libraries[i]);
        lua_getfield(stock, 1, libraries[i]);
        add_name(w, prefix, stock, function);
        lua_pop(stock, 1);
    }
    lua_settop(stock, 0);
}

// Goes through the value on top, all it holds, its metatable and its upvalues, and takes it off the stack.
static void visit(lua_State *L, Walk *w) {
    luaL_checkstack(L, 10, NULL);
    int value = lua_gettop(L), type = lua_type(L, value);
    lua_pushvalue(L, value);
    bool known = type < LUA_TTABLE || lua_islightuserdata(L, value) || lua_rawget(L, w->seen) != LUA_TNIL;
    lua_settop(L, value);
    if (!known) {
        lua_pushvalue(L, value);
        lua_pushboolean(L, 1);
        lua_rawset(L, w->seen);
        if (lua_iscfunction(L, value)) add_names(w, lua_tocfunction(L, value));
        if (type == LUA_TTABLE) {
            lua_pushnil(L);
            while (lua_next(L, value)) {
                visit(L, w);
                lua_pushvalue(L, -1);
                visit(L, w);
            }
        }
        if (type == LUA_TFUNCTION)
            for (int i = 1; lua_getupvalue(L, value, i); i++) visit(L, w);
        if (type == LUA_TUSERDATA)
            for (int i = 1; lua_getiuservalue(L, value, i) != LUA_TNONE; i++) visit(L, w);
        lua_settop(L, value);
    }
    // Texts have a metatable too.
    if ((!known || type == LUA_TSTRING) && lua_getmetatable(L, value)) visit(L, w);
    lua_settop(L, value - 1);
}

static int walk(lua_State *L) {
    Walk *w = lua_touserdata(L, 1);
    lua_newtable(L);
    w->seen = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    visit(L, w);
    lua_pushliteral(L, "");
    visit(L, w);
    return 0;
}

CLuaStatus clua_probe_reachable(CLuaEngine *e) {
    Walk w = {.output = &e->output, .stock = luaL_newstate()};
    if (!w.stock) return CLUA_NO_MEMORY;
    luaL_openlibs(w.stock);
    lua_settop(w.stock, 0);
    buffer_clear(&e->output);
    CLuaStatus status = protect(e, walk, &w);
    lua_close(w.stock);
    return status;
}
