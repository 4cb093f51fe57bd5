// "Did you mean": the nearest of the names that exist.
#include "internal.h"

int clua_name_distance(const char *a, size_t a_length, const char *b, size_t b_length, int limit) {
    enum { LONGEST = 64 };
    if (a_length > LONGEST || b_length > LONGEST) return limit + 1;
    size_t gap = a_length > b_length ? a_length - b_length : b_length - a_length;
    if (gap > (size_t)limit) return limit + 1;
    int rows[3][LONGEST + 1];
    int *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++) last[j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int cost = a[i - 1] == b[j - 1] ? 0 : 1;
            int best = last[j - 1] + cost;
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        int *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length] > limit ? limit + 1 : last[b_length];
}

// Looks through the string keys of a table for one nearer than `*distance`. Ties go to the name that sorts first, so
// that the answer does not depend on the order of the table. The result stays valid while the table holds the key.
const char *push_nearest(lua_State *L, const char *name, size_t length, int table, const char *best, int *distance) {
    table = lua_absindex(L, table);
    size_t steps = 0;
    charge_walk(L, table);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        charge_step(L, &steps);
        if (lua_type(L, -1) != LUA_TSTRING) continue;
        size_t n;
        const char *candidate = lua_tolstring(L, -1, &n);
        if (n >= 2 && candidate[0] == '_' && candidate[1] == '_') continue;
        int limit = length <= 3 ? 1 : length <= 8 ? 2 : 3;
        if (n <= length + (size_t)limit && length <= n + (size_t)limit) spend(L, length * n / 8);
        int d = clua_name_distance(name, length, candidate, n, limit);
        if (d <= limit && (d < *distance || (d == *distance && best && strcmp(candidate, best) < 0))) {
            *distance = d;
            best = candidate;
        }
    }
    spend(L, steps % HOOK_PERIOD);
    return best;
}
