// The functions of string that make or go through text in one call: their work is charged by bytes.
#include "internal.h"

static lua_CFunction original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1)); }

int guard_rep(lua_State *L) {
    size_t length, gap;
    luaL_checklstring(L, 1, &length);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &gap);
    // Lua 5.4.4 copies the empty text n times too: a repeat counts as a byte at least.
    size_t limit = engine_of(L)->text_limit, each = length + gap ? length + gap : 1;
    if (n > 0 && (lua_Unsigned)n > limit / each)
        raise(L, "size", "string.rep: more than %zu bytes, where a repeat of nothing counts as one", limit);
    if (n <= 0 || length + gap == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    spend(L, (size_t)n * (length + gap + 1) / BYTES_PER_FUEL);
    return original(L)(L);
}

// Lua's own %s and %p show addresses, so %s arguments become text here and %p is refused.
int guard_format(lua_State *L) {
    size_t length;
    const char *format = luaL_checklstring(L, 1, &length);
    int argument = 1, top = lua_gettop(L);
    spend(L, length / 4);
    for (const char *p = format, *end = format + length; p < end; p++) {
        if (*p != '%') continue;
        if (++p < end && *p == '%') continue;
        while (p < end && strchr("-+ #0123456789.", *p) && *p) p++;
        if (p >= end) break;
        argument++;
        if (*p == 'p') raise(L, "argument", "string.format: '%%p' is not available: addresses differ on every start");
        if (*p == 's' && argument <= top) {
            push_tostring(L, argument);
            lua_replace(L, argument);
        }
        if ((*p == 's' || *p == 'q') && lua_type(L, argument) == LUA_TSTRING)
            spend(L, lua_rawlen(L, argument) / BYTES_PER_FUEL);
    }
    return original(L)(L);
}

// Functions that go through each text they are given about once.
int guard_texts(lua_State *L) {
    size_t bytes = 0;
    for (int i = lua_gettop(L); i > 0; i--)
        if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
    if (bytes >= 256) spend(L, bytes / BYTES_PER_FUEL);
    return original(L)(L);
}

// A fixed size in the format is filled up byte by byte, however short the text is.
int guard_pack(lua_State *L) {
    size_t length, total = 0, limit = engine_of(L)->text_limit;
    const char *format = luaL_checklstring(L, 1, &length);
    for (const char *p = format, *end = format + length; p < end; p++) {
        if (*p != 'c') continue;
        size_t size = 0;
        for (; p + 1 < end && p[1] >= '0' && p[1] <= '9' && size <= limit; p++) size = size * 10 + (size_t)(p[1] - '0');
        total += size;
        if (total > limit) raise(L, "size", "string.pack: more than %zu bytes", limit);
    }
    spend(L, total / 8);
    return guard_texts(L);
}

int guard_byte(lua_State *L) {
    int results = original(L)(L);
    if (results > 1) spend(L, (size_t)results);
    return results;
}
