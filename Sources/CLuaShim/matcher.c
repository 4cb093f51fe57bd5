// Lua's pattern language with a step budget: string.find, match, gmatch and gsub.
//
// Lua's own matcher is one C call that nothing can interrupt, and some short patterns take it years. This one compiles
// a pattern to a row of items and keeps its open choices on a stack of its own, so every step is counted, charged to
// the fuel of the run, and a place to stop. A pattern is a plain row without alternatives: whichever way an item is
// reached, all items before it have been passed. So which captures are open is known when the pattern is compiled, and
// giving up a choice never has to restore one.
#define _GNU_SOURCE  // memmem
#include "pattern.h"

enum {
    MOST_CHOICES = 200,    // open at once; more is "pattern too complex"
    STEPS_PER_FUEL = 4,    // looking at one character costs less than an instruction
    LOOK_PERIOD = 4096,    // steps between two looks at the budgets
    SMALL_ITEMS = 48,      // programs up to this size live on the C stack
    SMALL_SETS = 3,
};

// ---- matching

typedef struct {
    uint32_t item;
    const unsigned char *low, *at;
} Choice;

typedef struct {
    lua_State *L;
    Program program;
    const unsigned char *start, *end;  // of the subject
    uint32_t steps;
    struct {
        const unsigned char *start, *end;
    } captures[MOST_CAPTURES];
} Matcher;

static void settle(Matcher *m) {
    uint32_t fuel = m->steps / STEPS_PER_FUEL;
    m->steps %= STEPS_PER_FUEL;
    spend(m->L, fuel);
}

static inline void step(Matcher *m, size_t count) {
    if (count < LOOK_PERIOD && (m->steps += (uint32_t)count) < LOOK_PERIOD) return;
    if (count >= LOOK_PERIOD) spend(m->L, count / STEPS_PER_FUEL);
    settle(m);
}

static inline bool takes(const Matcher *m, const Item *item, unsigned char c) {
    switch (item->kind) {
    case ITEM_BYTE: return c == item->a;
    case ITEM_ANY: return true;
    case ITEM_CLASS: return (!(character_flags[c] & item->a)) == item->b;
    default: return set_has(&m->program.sets[item->at], c);
    }
}

// The end of the longest row of characters that the item takes.
static const unsigned char *longest(const Matcher *m, const Item *item, const unsigned char *s) {
    const unsigned char *end = m->end;
    switch (item->kind) {
    case ITEM_BYTE:
        while (s < end && *s == item->a) s++;
        return s;
    case ITEM_ANY:
        return end;
    case ITEM_CLASS:
        while (s < end && (!(character_flags[*s] & item->a)) == item->b) s++;
        return s;
    default: {
        const Set set = m->program.sets[item->at];
        while (s < end && set_has(&set, *s)) s++;
        return s;
    }
    }
}

static const unsigned char *balanced(Matcher *m, const Item *item, const unsigned char *s) {
    if (s >= m->end || *s != item->a) return NULL;
    size_t depth = 1;
    for (const unsigned char *p = s + 1; p < m->end; p++) {
        if (*p == item->b) {
            if (--depth == 0) {
                step(m, (size_t)(p - s));
                return p + 1;
            }
        } else if (*p == item->a) {
            depth++;
        }
    }
    step(m, (size_t)(m->end - s));
    return NULL;
}

// Matches the program from s. Returns the end of the match, or NULL.
static const unsigned char *match_at(Matcher *m, const unsigned char *s) {
    Choice choices[MOST_CHOICES];
    int open = 0;
    const Item *items = m->program.items;
    uint32_t i = 0;
    for (;;) {
        const Item *item = &items[i];
        step(m, 1);
        switch (item->kind) {
        case ITEM_BYTE:
        case ITEM_ANY:
        case ITEM_CLASS:
        case ITEM_SET: {
            Choice choice = {.item = i, .low = s, .at = s};
            switch (item->repeat) {
            case ONCE:
                if (s >= m->end || !takes(m, item, *s)) goto retreat;
                s++;
                i++;
                continue;
            case OPTIONAL:
                i++;
                if (s >= m->end || !takes(m, item, *s)) continue;
                s++;
                break;
            case SOME:
                choice.low++;
                // fallthrough
            case MANY:
                choice.at = longest(m, item, s);
                step(m, (size_t)(choice.at - s));
                if (choice.at < choice.low) goto retreat;
                s = choice.at;
                i++;
                if (choice.at == choice.low) continue;
                break;
            case LAZY:
                i++;
                break;
            }
            if (items[i].kind == ITEM_DONE) continue;  // nothing after it can make it reconsider
            if (open == MOST_CHOICES) luaL_error(m->L, "pattern too complex");
            choices[open++] = choice;
            continue;
        }
        case ITEM_OPEN:
        case ITEM_POSITION:
            m->captures[item->a].start = s;
            i++;
            continue;
        case ITEM_CLOSE:
            m->captures[item->a].end = s;
            i++;
            continue;
        case ITEM_SAME: {
            const unsigned char *text = m->captures[item->a].start;
            size_t length = (size_t)(m->captures[item->a].end - text);
            if (length > (size_t)(m->end - s) || (length > 0 && memcmp(text, s, length) != 0)) goto retreat;
            step(m, length);
            s += length;
            i++;
            continue;
        }
        case ITEM_BALANCED: {
            const unsigned char *after = balanced(m, item, s);
            if (!after) goto retreat;
            s = after;
            i++;
            continue;
        }
        case ITEM_FRONTIER: {
            const Set *set = &m->program.sets[item->at];
            if (set_has(set, s > m->start ? s[-1] : 0) || !set_has(set, s < m->end ? *s : 0)) goto retreat;
            i++;
            continue;
        }
        case ITEM_END:
            if (s < m->end) goto retreat;
            i++;
            continue;
        case ITEM_NEVER:
            goto retreat;
        case ITEM_MALFORMED:
            luaL_error(m->L, pattern_messages[item->at], item->a);
            return NULL;
        case ITEM_DONE:
            return s;
        }
    retreat:
        for (;;) {
            if (open == 0) return NULL;
            Choice *choice = &choices[open - 1];
            const Item *chosen = &items[choice->item];
            step(m, 1);
            i = choice->item + 1;
            if (chosen->repeat == LAZY) {
                if (choice->at < m->end && takes(m, chosen, *choice->at)) {
                    s = ++choice->at;
                    break;
                }
                open--;
            } else if (chosen->repeat == OPTIONAL) {
                s = choice->at;
                open--;
                break;
            } else {
                s = --choice->at;
                if (s == choice->low) open--;
                break;
            }
        }
    }
}

// Finds the first match at or after s. Returns its start and sets *after, or returns NULL.
static const unsigned char *search(Matcher *m, const unsigned char *s, const unsigned char **after) {
    const Item *first = m->program.items;
    for (;; s++) {
        if (first->kind == ITEM_BYTE && first->repeat == ONCE) {
            const unsigned char *next = s < m->end ? memchr(s, first->a, (size_t)(m->end - s)) : NULL;
            step(m, (size_t)((next ? next : m->end) - s) / 8 + 1);
            if (!next) return NULL;
            s = next;
        }
        if ((*after = match_at(m, s))) return s;
        if (s >= m->end) return NULL;
    }
}

// ---- captures

static void push_text(lua_State *L, const unsigned char *start, const unsigned char *end) {
    lua_pushlstring(L, (const char *)start, (size_t)(end - start));
}

// Pushes a capture; the whole match stands in for the first one where there is none.
static void push_capture(Matcher *m, int capture, const unsigned char *start, const unsigned char *end) {
    const Program *program = &m->program;
    if (capture >= program->captures) {
        if (capture != 0) luaL_error(m->L, "invalid capture index %%%d", capture + 1);
        push_text(m->L, start, end);
    } else if (program->positions >> capture & 1) {
        lua_pushinteger(m->L, m->captures[capture].start - m->start + 1);
    } else if (program->closed >> capture & 1) {
        push_text(m->L, m->captures[capture].start, m->captures[capture].end);
    } else {
        luaL_error(m->L, "unfinished capture");
    }
}

// Pushes all captures, or with `whole` the match itself when the pattern has none.
static int push_captures(Matcher *m, const unsigned char *start, const unsigned char *end, bool whole) {
    int count = m->program.captures;
    if (count == 0 && whole) count = 1;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++) push_capture(m, i, start, end);
    return count;
}

// ---- the four functions

typedef struct {
    Matcher matcher;
    Item items[SMALL_ITEMS];
    Set sets[SMALL_SETS];
} Job;

static Matcher *begin_matcher(Matcher *m, lua_State *L, const char *subject, size_t length) {
    m->L = L;
    m->start = (const unsigned char *)subject;
    m->end = m->start + length;
    m->steps = 0;
    return m;
}

// Makes a job ready. A large program is a userdata, left on the stack.
static Matcher *begin(
    Job *job, lua_State *L, const char *subject, size_t length, const char *pattern, size_t pattern_length) {
    Matcher *m = begin_matcher(&job->matcher, L, subject, length);
    size_t sets = count_sets(pattern, pattern_length);
    m->program.items = job->items;
    m->program.sets = job->sets;
    if (pattern_length >= SMALL_ITEMS || sets > SMALL_SETS) {
        if (pattern_length > INT32_MAX) luaL_error(L, "pattern too complex");
        spend(L, pattern_length);
        m->program.sets = lua_newuserdatauv(L, sets * sizeof(Set) + (pattern_length + 1) * sizeof(Item), 0);
        m->program.items = (Item *)(m->program.sets + sets);
    }
    compile_pattern(&m->program, pattern, pattern_length);
    return m;
}

static bool is_plain(const char *pattern, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (pattern[i] && strchr("^$*+?.([%-", pattern[i])) return false;
    return true;
}

// Where an init argument points to, from 0; beyond `length` when past the end.
static size_t start_offset(lua_State *L, int argument, size_t length) {
    lua_Integer init = luaL_optinteger(L, argument, 1);
    if (init > 0) return (lua_Unsigned)init - 1;
    if (init == 0 || init < -(lua_Integer)length) return 0;
    return length - (size_t)-init;
}

static int find_or_match(lua_State *L, bool find) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t init = start_offset(L, 3, length);
    if (init > length) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(pattern, pattern_length))) {
        const char *found = memmem(subject + init, length - init, pattern, pattern_length);
        spend(L, ((found ? (size_t)(found - subject) - init : length - init) + pattern_length) / 16);
        if (!found) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, found - subject + 1);
        lua_pushinteger(L, found - subject + (lua_Integer)pattern_length);
        return 2;
    }
    bool anchored = pattern_length > 0 && *pattern == '^';
    Job job;
    Matcher *m = begin(&job, L, subject, length, pattern + anchored, pattern_length - anchored);
    const unsigned char *start = m->start + init, *end = NULL;
    if (anchored)
        end = match_at(m, start);
    else
        start = search(m, start, &end);
    settle(m);
    if (!end) {
        lua_pushnil(L);
        return 1;
    }
    if (!find) return push_captures(m, start, end, true);
    lua_pushinteger(L, start - m->start + 1);
    lua_pushinteger(L, end - m->start);
    return 2 + push_captures(m, start, end, false);
}

int guard_find(lua_State *L) { return find_or_match(L, true); }
int guard_match(lua_State *L) { return find_or_match(L, false); }

// The state of one gmatch; its program follows it.
typedef struct {
    Matcher matcher;
    const unsigned char *at, *last;
} Walk;

static int step_gmatch(lua_State *L) {
    Walk *walk = lua_touserdata(L, lua_upvalueindex(2));
    Matcher *m = &walk->matcher;
    m->L = L;  // another coroutine may go on with it
    for (; walk->at <= m->end; walk->at++) {
        const unsigned char *end = match_at(m, walk->at), *start = walk->at;
        if (!end || end == walk->last) continue;
        walk->at = walk->last = end;
        settle(m);
        return push_captures(m, start, end, true);
    }
    settle(m);
    return 0;
}

int guard_gmatch(lua_State *L) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t init = start_offset(L, 3, length);
    lua_settop(L, 2);
    size_t sets = count_sets(pattern, pattern_length);
    if (pattern_length > INT32_MAX) luaL_error(L, "pattern too complex");
    spend(L, pattern_length);
    Walk *walk = lua_newuserdatauv(L, sizeof *walk + sets * sizeof(Set) + (pattern_length + 1) * sizeof(Item), 0);
    Matcher *m = begin_matcher(&walk->matcher, L, subject, length);
    m->program.sets = (Set *)(walk + 1);
    m->program.items = (Item *)(m->program.sets + sets);
    compile_pattern(&m->program, pattern, pattern_length);
    walk->at = init > length ? m->end + 1 : m->start + init;
    walk->last = NULL;
    lua_remove(L, 2);  // the program holds all of the pattern
    lua_pushcclosure(L, step_gmatch, 2);
    return 1;
}

// Adds a replacement text, in which %0 to %9 stand for captures.
static void add_text(Matcher *m, luaL_Buffer *b, const unsigned char *start, const unsigned char *end) {
    size_t length;
    const char *text = lua_tolstring(m->L, 3, &length), *stop = text + length, *p;
    while ((p = memchr(text, '%', (size_t)(stop - text)))) {
        luaL_addlstring(b, text, (size_t)(p - text));
        p++;
        unsigned char c = p < stop ? (unsigned char)*p : 0;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, (const char *)start, (size_t)(end - start));
        } else if (character_flags[c] & DIGIT) {
            int capture = c - '1';
            if (m->program.closed >> capture & 1) {
                const unsigned char *from = m->captures[capture].start;
                luaL_addlstring(b, (const char *)from, (size_t)(m->captures[capture].end - from));
            } else {
                push_capture(m, capture, start, end);
                luaL_addvalue(b);
            }
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
        text = p + 1;
    }
    luaL_addlstring(b, text, (size_t)(stop - text));
}

// Adds what replaces one match. Returns whether it differs from the match.
static bool add_replacement(
    Matcher *m, luaL_Buffer *b, int type, const unsigned char *start, const unsigned char *end) {
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, start, end, true), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, start, end);
        lua_gettable(L, 3);
    } else {
        add_text(m, b, start, end);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, (const char *)start, (size_t)(end - start));
        return false;
    }
    if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

int guard_gsub(lua_State *L) {
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    int type = lua_type(L, 3);
    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
    lua_settop(L, 3);
    if (type == LUA_TNUMBER) lua_tolstring(L, 3, NULL);
    bool anchored = pattern_length > 0 && *pattern == '^', changed = false;
    Job job;
    Matcher *m = begin(&job, L, subject, length, pattern + anchored, pattern_length - anchored);
    const unsigned char *s = m->start, *last = NULL, *kept = m->start;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    // What lies between two matches is copied in one piece, when the next match is known.
    while (count < most) {
        const unsigned char *end = match_at(m, s);
        if (end && end != last) {
            luaL_addlstring(&b, (const char *)kept, (size_t)(s - kept));
            count++;
            changed |= add_replacement(m, &b, type, s, end);
            step(m, luaL_bufflen(&b) > 0 ? 4 : 1);
            s = last = kept = end;
        } else if (s < m->end) {
            s++;
        } else {
            break;
        }
        if (anchored) break;
    }
    settle(m);
    if (!changed) {
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&b, (const char *)kept, (size_t)(m->end - kept));
        spend(L, luaL_bufflen(&b) / 16);
        luaL_pushresult(&b);
    }
    lua_pushinteger(L, count);
    return 2;
}
