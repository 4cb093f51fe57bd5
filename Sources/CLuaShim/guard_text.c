// tostring and print: values as text, without addresses.
#include "internal.h"

// As tostring, but without addresses.
void push_tostring(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 6, NULL);
    int result = lua_gettop(L) + 1;
    if (luaL_callmeta(L, index, "__tostring")) {
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    } else if (lua_type(L, index) <= LUA_TSTRING && lua_type(L, index) != LUA_TLIGHTUSERDATA) {
        luaL_tolstring(L, index, NULL);
    } else {
        const char *name = luaL_typename(L, index);
        size_t length = strlen(name);
        if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) name = lua_tolstring(L, -1, &length);
        char shown[NAME_SHOWN + 2];
        if (length > NAME_SHOWN) length = NAME_SHOWN;
        shown[0] = '<';
        memcpy(shown + 1, name, length);
        shown[length + 1] = '>';
        lua_pushlstring(L, shown, length + 2);
    }
    // One value and no more: callers have a luaL_Buffer beneath it.
    lua_copy(L, -1, result);
    lua_settop(L, result);
}

int guard_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    push_tostring(L, 1);
    return 1;
}

int guard_print(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t total = 0;
    for (int i = 1; i <= n; i++) {
        push_tostring(L, i);
        size_t length;
        lua_tolstring(L, -1, &length);
        total += length + 1;
        if (total > LINE_LIMIT) raise(L, "size", "print: a line may have at most %d bytes", LINE_LIMIT);
        luaL_addvalue(&b);
        if (i < n) luaL_addchar(&b, '\t');
    }
    luaL_pushresult(&b);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    spend(L, length / 16);
    int64_t entered = enter_host(e);
    e->host.print(e->host.context, text, length);
    leave_host(e, entered);
    return 0;
}
