// How many places a table has, used or not. To find the first key of a table that was emptied takes a look at all of them,
// in one call that no hook interrupts; so it is charged by them.
//
// Lua has no function that tells. The header of a table is the same in all releases of 5.4; it is compared with two tables
// of known size when a state is opened, and where it is another, walks are charged by the keys they find alone.
#include "internal.h"

// The beginning of `Table` in lobject.h.
typedef struct {
    void *next;
    uint8_t type, marked, flags;
    uint8_t node_bits;       // the hash part has 2 to the power of this
    unsigned int array_size;
} TableHeader;

static size_t read_capacity(lua_State *L, int index) {
    const TableHeader *table = lua_topointer(L, index);
    return (size_t)table->array_size + ((size_t)1 << (table->node_bits & 31));
}

static bool has_capacity(lua_State *L, int array, int fields, size_t wanted) {
    lua_createtable(L, array, fields);
    bool same = read_capacity(L, -1) == wanted;
    lua_pop(L, 1);
    return same;
}

void open_capacity(lua_State *L) {
    engine_of(L)->knows_capacity = has_capacity(L, 40, 0, 41) && has_capacity(L, 0, 64, 64) && has_capacity(L, 3, 5, 11);
}

void charge_walk(lua_State *L, int index) {
    if (!engine_of(L)->knows_capacity) return;
    size_t capacity = read_capacity(L, index);
    if (capacity >= LONG_WALK) spend(L, capacity / PLACES_PER_FUEL);
}
