// Sorting of keys that a budget can stop: qsort of some million keys would run past any deadline.
#include "internal.h"

enum {
    RUN = 8,           // keys that are sorted by insertion
    LOOK_KEYS = 2048,  // keys moved between two charges
};

static void sort_run(OrderedKey *keys, size_t count) {
    for (size_t i = 1; i < count; i++) {
        OrderedKey moved = keys[i];
        size_t place = i;
        for (; place > 0 && compare_keys(&keys[place - 1], &moved) > 0; place--) keys[place] = keys[place - 1];
        keys[place] = moved;
    }
}

// Merges two rows that lie side by side.
static void merge(lua_State *L, const OrderedKey *from, size_t left, size_t right, OrderedKey *to) {
    const OrderedKey *a = from, *b = from + left, *a_end = b, *b_end = b + right;
    for (size_t moved = 0; a < a_end || b < b_end; moved++) {
        if (moved == LOOK_KEYS) {
            spend(L, LOOK_KEYS / 2);
            moved = 0;
        }
        *to++ = b == b_end || (a < a_end && compare_keys(a, b) <= 0) ? *a++ : *b++;
    }
}

// Runs in a Lua call: it may raise, and leaves the stack as it was. A key takes an instruction for each two passes.
void sort_keys(lua_State *L, OrderedKey *keys, size_t count) {
    for (size_t at = 0; at < count; at += RUN) {
        sort_run(keys + at, count - at < RUN ? count - at : RUN);
        if (at % LOOK_KEYS == 0) spend(L, count - at < LOOK_KEYS ? (count - at) * 2 : LOOK_KEYS * 2);
    }
    if (count <= RUN) return;
    OrderedKey *from = keys, *to = lua_newuserdatauv(L, count * sizeof *keys, 0);
    for (size_t width = RUN; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += width * 2) {
            size_t left = count - at < width ? count - at : width, rest = count - at - left;
            merge(L, from + at, left, rest < width ? rest : width, to + at);
        }
        spend(L, count < LOOK_KEYS ? count / 2 : 0);
        OrderedKey *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) memcpy(keys, from, count * sizeof *keys);
    lua_pop(L, 1);
}
