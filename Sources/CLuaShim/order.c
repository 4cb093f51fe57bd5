// The one order in which tables are traversed: 1...n, then booleans, numbers, strings by value, then objects by type
// and id. Stock Lua goes by addresses, which differ on every start; a plan or a log made that way would flap.
#include <endian.h>
#include <math.h>

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

bool has_order(const OrderedKey *key) { return key->class != CLASS_NONE; }

_Noreturn void raise_unordered(lua_State *L) {
    raise(
        L, "unordered-keys",
        "the table has two or more keys that are tables, functions or coroutines, which have no order; keep a list "
        "beside it and go through that");
}

static lua_Integer count_array(lua_State *L, int table, size_t *steps) {
    lua_Integer array = 0;
    while (lua_rawgeti(L, table, array + 1) != LUA_TNIL) {
        lua_pop(L, 1);
        array++;
        charge_step(L, steps);
    }
    lua_pop(L, 1);
    return array;
}

// Pushes a list of the keys outside the array part, or nil when there is none. Returns false when two or more have
// no order; those then stand at the end.
bool push_ordered_keys_lenient(lua_State *L, int table, lua_Integer *array_count, int *count) {
    luaL_checkstack(L, 10, NULL);
    table = lua_absindex(L, table);
    size_t others = 0, steps = 0;
    lua_Integer array = *array_count = count_array(L, table, &steps);
    charge_walk(L, table);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (!in_array(L, -1, array)) others++;
        charge_step(L, &steps);
    }
    if (others > INT32_MAX / sizeof(OrderedKey)) luaL_error(L, "table too large to traverse");
    *count = (int)others;
    if (others == 0) {
        spend(L, steps % HOOK_PERIOD);
        lua_pushnil(L);
        return true;
    }
    // Each of the three may be huge, so the budgets are looked at after each.
    lua_createtable(L, (int)others, 0);
    int sorted = lua_gettop(L);
    spend(L, 0);
    lua_createtable(L, (int)others, 0);
    int found = lua_gettop(L);
    spend(L, 0);
    OrderedKey *entries = lua_newuserdatauv(L, others * sizeof(OrderedKey), 0);
    spend(L, 0);
    int n = 0, unordered = 0;
    charge_walk(L, table);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        charge_step(L, &steps);
        if (in_array(L, -1, array)) continue;
        classify_key(L, -1, &entries[n]);
        if (entries[n].class == CLASS_NONE) unordered++;
        entries[n].slot = n + 1;
        lua_pushvalue(L, -1);
        lua_rawseti(L, found, ++n);
    }
    sort_keys(L, entries, others);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, found, entries[i].slot);
        lua_rawseti(L, sorted, i + 1);
        charge_step(L, &steps);
    }
    spend(L, steps % HOOK_PERIOD);
    lua_settop(L, sorted);
    return unordered < 2;
}

int push_ordered_keys(lua_State *L, int table, lua_Integer *array_count) {
    int count;
    if (!push_ordered_keys_lenient(L, table, array_count, &count)) raise_unordered(L);
    return count;
}
