// pairs and next, which go through a table in the order of order.c.
#include "internal.h"

// ---- pairs

enum { ITER_ARRAY = 1, ITER_KEYS = 2, ITER_COUNT = 3, ITER_POSITION = 4, ITER_HIDDEN = 5 };

// One step through the table at 1.
static int step_pairs(lua_State *L) {
    lua_Integer array = lua_tointeger(L, lua_upvalueindex(ITER_ARRAY));
    lua_Integer count = lua_tointeger(L, lua_upvalueindex(ITER_COUNT));
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(ITER_POSITION));
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t passed = 0;
    while (position < array + count) {
        position++;
        charge_step(L, &passed);
        if (position <= array)
            lua_pushinteger(L, position);
        else
            lua_rawgeti(L, lua_upvalueindex(ITER_KEYS), position - array);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) {  // a key that was cleared meanwhile is passed over
            lua_pushinteger(L, position);
            lua_replace(L, lua_upvalueindex(ITER_POSITION));
            return 2;
        }
        lua_settop(L, 1);
    }
    lua_pushinteger(L, position);
    lua_replace(L, lua_upvalueindex(ITER_POSITION));
    return 0;
}

// The loop's state is only what stands before the table, which no script must get hold of.
static int step_hidden_pairs(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(ITER_HIDDEN));
    return step_pairs(L);
}

// Pushes the position of a traversal that has yet to begin: the first four upvalues of its step.
static void push_traversal(lua_State *L, int table) {
    lua_Integer array;
    int count = push_ordered_keys(L, table, &array);
    lua_pushinteger(L, array);
    lua_insert(L, -2);
    lua_pushinteger(L, count);
    lua_pushinteger(L, 0);
}

int push_hidden_pairs(lua_State *L, int shown, int hidden) {
    push_traversal(L, hidden);
    lua_pushvalue(L, hidden);
    lua_pushcclosure(L, step_hidden_pairs, 5);
    lua_pushvalue(L, shown);
    lua_pushnil(L);
    return 3;
}

static int after_pairs_metamethod(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 3;
}

int guard_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_insert(L, 1);
        lua_callk(L, 1, 3, 0, after_pairs_metamethod);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    push_traversal(L, 1);
    lua_pushcclosure(L, step_pairs, 4);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

// ---- next
//
// KEY_ORDER: table -> { n, keys, positions of the keys, the first key }
// A traversal begins with a look for the first key, which sorts nothing: scripts ask next(t) == nil to see whether a
// table is empty. The order is worked out when they ask for the second key, and looked up after that.

enum { ORDER_ARRAY = 1, ORDER_KEYS = 2, ORDER_POSITIONS = 3, ORDER_FIRST = 4 };

static int push_at(lua_State *L, int order, lua_Integer position) {
    lua_rawgeti(L, order, ORDER_ARRAY);
    lua_Integer array = lua_tointeger(L, -1);
    lua_rawgeti(L, order, ORDER_KEYS);
    int keys = lua_gettop(L);
    for (size_t passed = 0;;) {
        position++;
        charge_step(L, &passed);
        if (position <= array) {
            lua_pushinteger(L, position);
        } else if (lua_isnil(L, keys) || lua_rawgeti(L, keys, position - array) == LUA_TNIL) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) return 2;
        lua_settop(L, keys);
    }
}

// Works out the order of the table at 1.
static void fill_order(lua_State *L, int order) {
    lua_Integer array;
    int count = push_ordered_keys(L, 1, &array), keys = lua_gettop(L);
    size_t steps = 0;
    lua_createtable(L, 0, count);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, keys, i);
        lua_pushinteger(L, array + i);
        lua_rawset(L, -3);
        charge_step(L, &steps);
    }
    spend(L, steps % HOOK_PERIOD);
    lua_rawseti(L, order, ORDER_POSITIONS);
    lua_rawseti(L, order, ORDER_KEYS);
    lua_pushinteger(L, array);
    lua_rawseti(L, order, ORDER_ARRAY);
}

// The position of the key at 2, or 0.
static lua_Integer position_of_key(lua_State *L, int order) {
    lua_rawgeti(L, order, ORDER_ARRAY);
    lua_Integer array = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (in_array(L, 2, array)) return lua_tointeger(L, 2);
    lua_rawgeti(L, order, ORDER_POSITIONS);
    lua_pushvalue(L, 2);
    lua_Integer position = lua_rawget(L, -2) == LUA_TNIL ? 0 : lua_tointeger(L, -1);
    lua_pop(L, 2);
    return position;
}

// The position after which the key at 2 would stand, for a key that was cleared; -1 when it has no order.
static lua_Integer position_before_key(lua_State *L, int order) {
    OrderedKey wanted, key;
    classify_key(L, 2, &wanted);
    if (!has_order(&wanted)) return -1;
    int top = lua_gettop(L);
    lua_rawgeti(L, order, ORDER_ARRAY);
    lua_Integer array = lua_tointeger(L, -1), low = 0;
    lua_rawgeti(L, order, ORDER_KEYS);
    int keys = lua_gettop(L);
    lua_Integer high = lua_isnil(L, keys) ? 0 : (lua_Integer)lua_rawlen(L, keys);
    while (low < high) {
        lua_Integer middle = low + (high - low) / 2;
        lua_rawgeti(L, keys, middle + 1);
        classify_key(L, -1, &key);
        if (compare_keys(&key, &wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
        lua_settop(L, keys);
    }
    lua_settop(L, top);
    return array + low;
}

// Pushes what is known of the order of the table at 1, and tells whether anything was.
static int push_order(lua_State *L, bool *found) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ORDER);
    lua_pushvalue(L, 1);
    *found = lua_rawget(L, -2) != LUA_TNIL;
    if (!*found) {
        lua_pop(L, 1);
        lua_createtable(L, 4, 0);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
    return lua_gettop(L);
}

// Pushes the first key, or nil, without sorting the others.
static void push_first_key(lua_State *L) {
    if (lua_rawgeti(L, 1, 1) != LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushinteger(L, 1);
        return;
    }
    int first = lua_gettop(L), unordered = 0;
    OrderedKey least = {0}, key;
    size_t steps = 0;
    charge_walk(L, 1);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        charge_step(L, &steps);
        classify_key(L, -1, &key);
        if (!has_order(&key) && ++unordered == 2) raise_unordered(L);
        if (!lua_isnil(L, first) && compare_keys(&least, &key) <= 0) continue;
        least = key;
        lua_pushvalue(L, -1);
        lua_replace(L, first);
    }
    spend(L, steps % HOOK_PERIOD);
}

int guard_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    luaL_checkstack(L, 20, NULL);
    if (lua_isnil(L, 2)) {
        push_first_key(L);
        if (lua_isnil(L, -1)) return 1;
        bool found;
        int key = lua_gettop(L), order = push_order(L, &found);
        lua_pushvalue(L, key);
        lua_rawseti(L, order, ORDER_FIRST);
        lua_settop(L, key);
        lua_pushvalue(L, key);
        lua_rawget(L, 1);
        return 2;
    }
    bool found;
    int order = push_order(L, &found);
    bool starts = lua_rawgeti(L, order, ORDER_FIRST) != LUA_TNIL && lua_rawequal(L, 2, -1);
    bool known = lua_rawgeti(L, order, ORDER_ARRAY) != LUA_TNIL;
    lua_settop(L, order);
    if (starts) {
        // A new traversal: what is known of the last one may be stale.
        lua_pushnil(L);
        lua_rawseti(L, order, ORDER_FIRST);
        known = false;
    }
    if (!known) fill_order(L, order);
    lua_Integer position = position_of_key(L, order);
    if (position == 0 && known) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, 1) != LUA_TNIL) {  // a key that was added since
            fill_order(L, order);
            position = position_of_key(L, order);
        }
        lua_settop(L, order);
    }
    if (position == 0) {
        // A key that the traversal came by may have been cleared before its order was worked out.
        position = starts ? 0 : found ? position_before_key(L, order) : -1;
        if (position < 0) raise(L, "script", "invalid key to 'next'");
    }
    return push_at(L, order, position);
}
