// The one order in which tables are traversed: 1...n, then booleans, numbers, strings by value, then objects by type
// and id. Stock Lua goes by addresses, which differ on every start; a plan or a log made that way would flap.
#include <endian.h>
#include <math.h>
#include <stdlib.h>

#include "internal.h"

enum { CLASS_BOOLEAN, CLASS_NUMBER, CLASS_STRING, CLASS_OBJECT, CLASS_NONE };

static int compare_bytes(const char *a, size_t n, const char *b, size_t m) {
    int order = memcmp(a, b, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

// Exact, also where a double cannot tell two large integers apart.
static int compare_integer_number(lua_Integer i, lua_Number n) {
    if (n >= 0x1p63) return -1;
    if (n < -0x1p63) return 1;
    lua_Number whole = floor(n);
    lua_Integer j = (lua_Integer)whole;
    if (i != j) return i < j ? -1 : 1;
    return n > whole ? -1 : 0;
}

int compare_keys(const void *x, const void *y) {
    const OrderedKey *a = x, *b = y;
    if (a->class != b->class) return a->class < b->class ? -1 : 1;
    switch (a->class) {
    case CLASS_BOOLEAN:
        return (a->key.i > b->key.i) - (a->key.i < b->key.i);
    case CLASS_NUMBER:
        if (a->integer && b->integer) return (a->key.i > b->key.i) - (a->key.i < b->key.i);
        if (a->integer) return compare_integer_number(a->key.i, b->key.n);
        if (b->integer) return -compare_integer_number(b->key.i, a->key.n);
        return (a->key.n > b->key.n) - (a->key.n < b->key.n);
    case CLASS_STRING:
        if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
        return compare_bytes(a->key.text.bytes, a->key.text.length, b->key.text.bytes, b->key.text.length);
    case CLASS_OBJECT:
        if (a->key.object->type != b->key.object->type) return a->key.object->type < b->key.object->type ? -1 : 1;
        return compare_bytes(
            a->key.object->id, a->key.object->length, b->key.object->id, b->key.object->length);
    default:
        return 0;
    }
}

void classify_key(lua_State *L, int index, OrderedKey *entry) {
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        entry->class = CLASS_BOOLEAN;
        entry->key.i = lua_toboolean(L, index);
        return;
    case LUA_TNUMBER:
        entry->class = CLASS_NUMBER;
        entry->integer = lua_isinteger(L, index);
        if (entry->integer)
            entry->key.i = lua_tointeger(L, index);
        else
            entry->key.n = lua_tonumber(L, index);
        return;
    case LUA_TSTRING:
        entry->class = CLASS_STRING;
        entry->key.text.bytes = lua_tolstring(L, index, &entry->key.text.length);
        entry->prefix = 0;
        memcpy(&entry->prefix, entry->key.text.bytes, entry->key.text.length < 8 ? entry->key.text.length : 8);
        entry->prefix = be64toh(entry->prefix);
        return;
    default:
        entry->key.object = to_object(L, index);
        entry->class = entry->key.object ? CLASS_OBJECT : CLASS_NONE;
    }
}

bool key_text(const OrderedKey *key, const char **text, size_t *length) {
    if (key->class != CLASS_STRING) return false;
    *text = key->key.text.bytes;
    *length = key->key.text.length;
    return true;
}

bool has_order(const OrderedKey *key) { return key->class != CLASS_NONE; }

_Noreturn void raise_unordered(lua_State *L) {
    raise(
        L, "unordered-keys",
        "the table has two or more keys that are tables, functions or coroutines, which have no order; keep a list "
        "beside it and go through that");
}

static bool in_array(lua_State *L, int index, lua_Integer array) {
    if (!lua_isinteger(L, index)) return false;
    lua_Integer key = lua_tointeger(L, index);
    return key >= 1 && key <= array;
}

// Pushes a list of the keys outside the array part, or nil when there is none. Returns false when two or more have
// no order; those then stand at the end.
bool push_ordered_keys_lenient(lua_State *L, int table, lua_Integer *array_count, int *count) {
    luaL_checkstack(L, 10, NULL);
    table = lua_absindex(L, table);
    lua_Integer array = 0;
    while (lua_rawgeti(L, table, array + 1) != LUA_TNIL) {
        lua_pop(L, 1);
        array++;
    }
    lua_pop(L, 1);
    *array_count = array;
    size_t others = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (!in_array(L, -1, array)) others++;
    }
    if (others > INT32_MAX / sizeof(OrderedKey)) luaL_error(L, "table too large to traverse");
    *count = (int)others;
    if (others == 0) {
        lua_pushnil(L);
        return true;
    }
    lua_createtable(L, (int)others, 0);
    int sorted = lua_gettop(L);
    lua_createtable(L, (int)others, 0);
    int found = lua_gettop(L);
    OrderedKey *entries = lua_newuserdatauv(L, others * sizeof(OrderedKey), 0);
    int n = 0, unordered = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (in_array(L, -1, array)) continue;
        classify_key(L, -1, &entries[n]);
        if (entries[n].class == CLASS_NONE) unordered++;
        entries[n].slot = n + 1;
        lua_pushvalue(L, -1);
        lua_rawseti(L, found, ++n);
    }
    qsort(entries, others, sizeof(OrderedKey), compare_keys);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, found, entries[i].slot);
        lua_rawseti(L, sorted, i + 1);
    }
    lua_settop(L, sorted);
    return unordered < 2;
}

int push_ordered_keys(lua_State *L, int table, lua_Integer *array_count) {
    int count;
    if (!push_ordered_keys_lenient(L, table, array_count, &count)) raise_unordered(L);
    return count;
}

// ---- pairs

enum { ITER_ARRAY = 1, ITER_KEYS = 2, ITER_COUNT = 3, ITER_POSITION = 4 };

static int step_pairs(lua_State *L) {
    lua_Integer array = lua_tointeger(L, lua_upvalueindex(ITER_ARRAY));
    lua_Integer count = lua_tointeger(L, lua_upvalueindex(ITER_COUNT));
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(ITER_POSITION));
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    while (position < array + count) {
        position++;
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
    lua_Integer array;
    int count = push_ordered_keys(L, 1, &array);
    lua_pushinteger(L, array);
    lua_insert(L, -2);
    lua_pushinteger(L, count);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, step_pairs, 4);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

// ---- next: the order is worked out once for a traversal and then looked up

static int push_at(lua_State *L, int order, lua_Integer position) {
    lua_rawgeti(L, order, 1);
    lua_Integer array = lua_tointeger(L, -1);
    lua_rawgeti(L, order, 2);
    int keys = lua_gettop(L);
    for (;;) {
        position++;
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

// Pushes { n, keys, positions of keys } for the table at 1.
static void push_order(lua_State *L) {
    lua_createtable(L, 3, 0);
    int order = lua_gettop(L);
    lua_Integer array;
    int count = push_ordered_keys(L, 1, &array);
    int keys = lua_gettop(L);
    lua_createtable(L, 0, count);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, keys, i);
        lua_pushinteger(L, array + i);
        lua_rawset(L, -3);
    }
    lua_rawseti(L, order, 3);
    lua_rawseti(L, order, 2);
    lua_pushinteger(L, array);
    lua_rawseti(L, order, 1);
}

// The position of the key at 2, or 0.
static lua_Integer position_of_key(lua_State *L, int order) {
    lua_rawgeti(L, order, 1);
    lua_Integer array = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (in_array(L, 2, array)) return lua_tointeger(L, 2);
    lua_rawgeti(L, order, 3);
    lua_pushvalue(L, 2);
    lua_Integer position = lua_rawget(L, -2) == LUA_TNIL ? 0 : lua_tointeger(L, -1);
    lua_pop(L, 2);
    return position;
}

int guard_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    luaL_checkstack(L, 20, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ORDER);
    int cache = 3;
    if (lua_isnil(L, 2)) {
        // A new traversal: what is known of the last one may be stale.
        lua_pushvalue(L, 1);
        lua_pushnil(L);
        lua_rawset(L, cache);
        if (lua_rawgeti(L, 1, 1) != LUA_TNIL) {
            lua_pushinteger(L, 1);
            lua_insert(L, -2);
            return 2;
        }
        lua_pop(L, 1);
        lua_pushnil(L);
        if (!lua_next(L, 1)) {
            lua_pushnil(L);
            return 1;
        }
        lua_settop(L, cache);
    }
    lua_pushvalue(L, 1);
    if (lua_rawget(L, cache) == LUA_TNIL) {
        lua_pop(L, 1);
        push_order(L);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, cache);
    }
    int order = lua_gettop(L);
    if (lua_isnil(L, 2)) return push_at(L, order, 0);
    lua_Integer position = position_of_key(L, order);
    if (position == 0) raise(L, "script", "invalid key to 'next'");
    return push_at(L, order, position);
}
