// string.find, match, gmatch and gsub: what they take and give is as in Lua, what they run is matcher.c.
#define _GNU_SOURCE  // memmem
#include "matcher.h"

enum { SMALL_ITEMS = 48, SMALL_SETS = 3 };  // programs up to this size live on the C stack

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
