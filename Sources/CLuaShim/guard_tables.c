// The functions of table that go through a part of a table: with Lua's rules and messages, and a charge for each item,
// as a length or an item may come from metamethods, or through a long row of __index tables.
#include <limits.h>

#include "internal.h"

enum { LENGTH_LIMIT = 1 << 26 };  // items that one call may go through

enum { READS = 1, WRITES = 2, HAS_LENGTH = 4 };

static bool has_field(lua_State *L, int metatable, const char *name) {
    lua_pushstring(L, name);
    bool has = lua_rawget(L, metatable) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

// A table, or what has the metamethods to pass for one.
static void check_table(lua_State *L, int index, int uses) {
    if (lua_type(L, index) == LUA_TTABLE) return;
    int top = lua_gettop(L);
    bool passes = lua_getmetatable(L, index) && (!(uses & READS) || has_field(L, top + 1, "__index"))
        && (!(uses & WRITES) || has_field(L, top + 1, "__newindex"))
        && (!(uses & HAS_LENGTH) || has_field(L, top + 1, "__len"));
    lua_settop(L, top);
    if (!passes) luaL_checktype(L, index, LUA_TTABLE);
}

static lua_Integer length_of(lua_State *L) {
    lua_Integer length = luaL_len(L, 1);
    if (length > LENGTH_LIMIT) raise(L, "size", "the table is longer than %d items", LENGTH_LIMIT);
    return length;
}

// How many items there are from one index to another.
static lua_Unsigned count_range(lua_State *L, const char *name, lua_Integer first, lua_Integer last) {
    if (last < first) return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
    if (count >= LENGTH_LIMIT) raise(L, "size", "%s: more than %d items", name, LENGTH_LIMIT);
    return count + 1;
}

static void copy_item(lua_State *L, lua_Integer from, int to_table, lua_Integer to, size_t *steps) {
    lua_geti(L, 1, from);
    lua_seti(L, to_table, to);
    charge_step(L, steps);
}

lua_Integer table_length(lua_State *L) {
    check_table(L, 1, READS | WRITES | HAS_LENGTH);
    return length_of(L);
}

int table_insert(lua_State *L) {
    lua_Integer end = table_length(L) + 1, position = end;
    size_t steps = 0;
    switch (lua_gettop(L)) {
    case 2:
        break;
    case 3:
        position = luaL_checkinteger(L, 2);
        luaL_argcheck(L, position >= 1 && position <= end, 2, "position out of bounds");
        for (lua_Integer i = end; i > position; i--) copy_item(L, i - 1, 1, i, &steps);
        spend(L, steps % HOOK_PERIOD / 2);
        break;
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, position);
    return 0;
}

int table_remove(lua_State *L) {
    lua_Integer length = table_length(L), position = luaL_optinteger(L, 2, length);
    // One behind the end is allowed, which removes nothing from a list.
    if (position != length)
        luaL_argcheck(L, position >= 1 && position <= length + 1, 2, "position out of bounds");
    lua_geti(L, 1, position);
    size_t steps = 0;
    for (; position < length; position++) copy_item(L, position + 1, 1, position, &steps);
    spend(L, steps % HOOK_PERIOD / 2);
    lua_pushnil(L);
    lua_seti(L, 1, position);
    return 1;
}

int table_move(lua_State *L) {
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    check_table(L, 1, READS);
    check_table(L, target, WRITES);
    lua_Integer count = (lua_Integer)count_range(L, "table.move", first, last);
    if (count > 0) {
        luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
        size_t steps = 0;
        bool same = target == 1 || lua_compare(L, 1, target, LUA_OPEQ);
        if (to > first && to <= last && same)  // from the end, so that nothing is overwritten before it is read
            for (lua_Integer i = count - 1; i >= 0; i--) copy_item(L, first + i, target, to + i, &steps);
        else
            for (lua_Integer i = 0; i < count; i++) copy_item(L, first + i, target, to + i, &steps);
        spend(L, steps % HOOK_PERIOD);
    }
    lua_pushvalue(L, target);
    return 1;
}

int table_concat(lua_State *L) {
    check_table(L, 1, READS | HAS_LENGTH);
    lua_Integer length = lua_isnoneornil(L, 4) ? luaL_len(L, 1) : 0;
    size_t gap, bytes = 0, steps = 0, limit = engine_of(L)->text_limit;
    const char *separator = luaL_optlstring(L, 2, "", &gap);
    lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, length);
    lua_Unsigned count = count_range(L, "table.concat", first, last);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_Integer index = (lua_Integer)((lua_Unsigned)first + i);
        lua_geti(L, 1, index);
        if (!lua_isstring(L, -1))
            return luaL_error(
                L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)index);
        size_t item;
        lua_tolstring(L, -1, &item);
        bytes += item + gap;
        if (bytes > limit + gap) refuse_text(L);
        luaL_addvalue(&b);
        if (i + 1 < count) luaL_addlstring(&b, separator, gap);
        charge_step(L, &steps);
    }
    luaL_pushresult(&b);
    spend(L, steps % HOOK_PERIOD + bytes / 16);
    return 1;
}

int table_unpack(lua_State *L) {
    lua_Integer first = luaL_optinteger(L, 2, 1), last = luaL_opt(L, luaL_checkinteger, 3, luaL_len(L, 1));
    if (first > last) return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
    if (count >= INT_MAX || !lua_checkstack(L, (int)++count)) return luaL_error(L, "too many results to unpack");
    size_t steps = 0;
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_geti(L, 1, (lua_Integer)((lua_Unsigned)first + i));
        charge_step(L, &steps);
    }
    spend(L, steps % HOOK_PERIOD);
    return (int)count;
}
