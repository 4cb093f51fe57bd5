// load, as scripts have it: text only, and of bounded length.
#include "internal.h"

int guard_load(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    check_abort(L);
    bool has_environment = lua_gettop(L) >= 4;
    const char *name = luaL_optstring(L, 2, "=(load)");
    const char *mode = luaL_optstring(L, 3, "t");
    lua_settop(L, 4);
    // A name that is shown as it is stands in every error.
    if ((*name == '@' || *name == '=') && strlen(name) > TEXT_LIMIT)
        raise(L, "size", "load: the name of a chunk may have at most %d bytes", TEXT_LIMIT);
    if (!strchr(mode, 't')) raise(L, "argument", "load: only text chunks can be loaded");
    if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        size_t total = 0, length;
        for (;;) {
            lua_pushvalue(L, 1);
            lua_call(L, 0, 1);
            if (lua_isnil(L, -1)) break;
            if (lua_type(L, -1) != LUA_TSTRING) return luaL_error(L, "reader function must return a string");
            lua_tolstring(L, -1, &length);
            if (length == 0) break;
            total += length;
            if (total > e->limits.source_bytes) raise(L, "size", "load: the text is too long");
            luaL_addvalue(&b);
        }
        lua_pop(L, 1);
        luaL_pushresult(&b);
        lua_replace(L, 1);
    }
    size_t length;
    const char *text = lua_tolstring(L, 1, &length);
    if (length > e->limits.source_bytes) raise(L, "size", "load: the text is too long");
    spend(L, length);
    int status = luaL_loadbufferx(L, text, length, name, "t");
    if (status == LUA_ERRMEM) {
        begin_abort(L, CLUA_ABORT_MEMORY);
        raise_abort(L);
    }
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_environment) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    }
    return 1;
}
