// table.sort. Lua's own takes the time for its pivot where a list is uneven, so the calls of an order function differ from
// run to run; it cannot be stopped; and it may run for hours on a list that was made for it. This one merges: the same
// comparisons in every run, about n log n of them, and items that are equal stay as they stood.
#include "internal.h"

enum {
    PREPARED = 1 << 16,  // items for which there is room at once: a length may be made up
    FEW = 3,             // up to so many items Lua's own never finds out that an order function is none
};

typedef struct {
    lua_State *L;
    int items;       // a copy of the list, as the order function may change that
    bool has_order;  // a function is at 2
} Sorting;

// Whether item a has to stand before item b.
static bool comes_before(Sorting *s, uint32_t a, uint32_t b) {
    lua_State *L = s->L;
    bool before;
    if (s->has_order) {
        spend(L, 2);
        lua_pushvalue(L, 2);
        lua_rawgeti(L, s->items, a);
        lua_rawgeti(L, s->items, b);
        lua_call(L, 2, 1);
        before = lua_toboolean(L, -1);
        lua_pop(L, 1);
        return before;
    }
    size_t bytes = 0;
    if (lua_rawgeti(L, s->items, a) == LUA_TSTRING) bytes = lua_rawlen(L, -1);
    if (lua_rawgeti(L, s->items, b) == LUA_TSTRING && lua_rawlen(L, -1) < bytes) bytes = lua_rawlen(L, -1);
    spend(L, 2 + bytes / BYTES_PER_FUEL);
    before = lua_compare(L, -2, -1, LUA_OPLT);
    lua_pop(L, 2);
    return before;
}

// Merges two rows that lie side by side.
static void merge(Sorting *s, const uint32_t *from, size_t left, size_t right, uint32_t *to) {
    const uint32_t *a = from, *b = from + left, *a_end = b, *b_end = b + right;
    if (right == 0 || !comes_before(s, *b, a_end[-1])) {  // they are in order
        memcpy(to, from, (left + right) * sizeof *to);
        return;
    }
    while (a < a_end && b < b_end) *to++ = comes_before(s, *b, *a) ? *b++ : *a++;
    while (a < a_end) *to++ = *a++;
    while (b < b_end) *to++ = *b++;
}

// Sorts the numbers of the items, and returns where they are: one of the two rows.
static uint32_t *sort_numbers(Sorting *s, uint32_t *numbers, uint32_t *spare, size_t count) {
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += width * 2) {
            size_t left = count - at < width ? count - at : width, rest = count - at - left;
            merge(s, numbers + at, left, rest < width ? rest : width, spare + at);
        }
        uint32_t *swap = numbers;
        numbers = spare;
        spare = swap;
    }
    return numbers;
}

int table_sort(lua_State *L) {
    lua_Integer length = table_length(L);
    if (length < 2) return 0;
    size_t count = (size_t)length, steps = 0;
    if (count > engine_of(L)->limits.memory / 32)
        raise(L, "size", "table.sort: %d items are too many for the memory budget", (int)length);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    Sorting s = {L, 3, !lua_isnil(L, 2)};
    lua_createtable(L, count < PREPARED ? (int)count : PREPARED, 0);
    for (size_t i = 1; i <= count; i++) {
        lua_geti(L, 1, (lua_Integer)i);
        lua_rawseti(L, s.items, (lua_Integer)i);
        charge_step(L, &steps);
    }
    uint32_t *rows = lua_newuserdatauv(L, count * 2 * sizeof *rows, 0), *sorted;
    spend(L, 0);
    for (size_t i = 0; i < count; i++) rows[i] = (uint32_t)i + 1;
    sorted = sort_numbers(&s, rows, rows + count, count);
    for (size_t i = 1; s.has_order && count > FEW && i < count; i++)
        if (comes_before(&s, sorted[i], sorted[i - 1])) return luaL_error(L, "invalid order function for sorting");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, s.items, sorted[i]);
        lua_seti(L, 1, (lua_Integer)i + 1);
        charge_step(L, &steps);
    }
    spend(L, steps % HOOK_PERIOD);
    return 0;
}
