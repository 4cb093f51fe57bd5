// Error objects: locked userdata around a table of fields, and the report made of an error that nothing caught.
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

// "@dr.lua" and "=repl" name their chunk; any other text is shown the way Lua shows it.
const char *chunk_label(const char *source, const char *short_source) {
    return *source == '@' || *source == '=' ? source + 1 : short_source;
}

// The nearest frame of Lua code from `level` outwards.
bool find_position(lua_State *of, int level, lua_Debug *out) {
    for (; lua_getstack(of, level, out); level++) {
        if (!lua_getinfo(of, "Sl", out)) return false;
        if (out->currentline > 0) return true;
    }
    return false;
}

static bool is_error(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ERROR_META);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool push_error_fields(lua_State *L, int index) {
    if (!is_error(L, index)) return false;
    lua_getiuservalue(L, index, 1);
    return true;
}

void wrap_error(lua_State *L) {
    luaL_checkstack(L, 4, NULL);
    lua_newuserdatauv(L, 1, 1);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ERROR_META);
    lua_setmetatable(L, -2);
}

void push_error(lua_State *L, const char *kind, const char *message) {
    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "retryable");
    lua_Debug ar;
    if (find_position(L, 0, &ar)) {
        const char *chunk = chunk_label(ar.source, ar.short_src);
        lua_pushstring(L, chunk);
        lua_setfield(L, -2, "chunk");
        lua_pushinteger(L, ar.currentline);
        lua_setfield(L, -2, "line");
        lua_pushfstring(L, "%s:%d", chunk, ar.currentline);
        lua_setfield(L, -2, "where");
    }
    wrap_error(L);
}

_Noreturn void raise(lua_State *L, const char *kind, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    push_error(L, kind, message);
    lua_error(L);
    __builtin_unreachable();
}

// ---- the metatable

static int error_index(lua_State *L) {
    if (!push_error_fields(L, 1)) return 0;
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

static int error_tostring(lua_State *L) {
    if (!push_error_fields(L, 1)) return luaL_error(L, "not an error object");
    int fields = lua_gettop(L);
    const char *const parts[][3] = {
        {"where", "", ": "}, {"message", "", ""}, {"rule", " [", "]"}, {"hint", " (", ")"},
    };
    lua_pushliteral(L, "");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (lua_getfield(L, fields, parts[i][0]) != LUA_TSTRING) {
            lua_pop(L, 1);
            continue;
        }
        const char *text = lua_tostring(L, -1);
        lua_pushfstring(L, "%s%s%s%s", lua_tostring(L, -2), parts[i][1], text, parts[i][2]);
        lua_replace(L, fields + 1);
        lua_settop(L, fields + 1);
    }
    if (lua_getfield(L, fields, "suppressed") != LUA_TTABLE) {
        lua_pop(L, 1);
        return 1;
    }
    int list = lua_gettop(L);
    lua_pushvalue(L, fields + 1);
    for (int i = 1; lua_rawgeti(L, list, i) == LUA_TTABLE; i++) {
        lua_getfield(L, -1, "message");
        const char *text = lua_tostring(L, -1);
        lua_pushfstring(L, "%s%s%s", lua_tostring(L, list + 1), i == 1 ? "; raised while closing: " : "; ",
                        text ? text : "no message");
        lua_replace(L, list + 1);
        lua_settop(L, list + 1);
    }
    lua_settop(L, list + 1);
    return 1;
}

static int error_newindex(lua_State *L) { raise(L, "script", "the fields of an error cannot be set"); }

static int error_pairs(lua_State *L) {
    lua_settop(L, 1);
    if (!push_error_fields(L, 1)) return luaL_error(L, "not an error object");
    return push_hidden_pairs(L, 1, 2);
}

void open_errors(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__index", error_index},   {"__newindex", error_newindex}, {"__tostring", error_tostring},
        {"__pairs", error_pairs},   {NULL, NULL},
    };
    luaL_newlib(L, methods);
    lua_pushliteral(L, "error");
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "error");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_ERROR_META);

    static const char *const aborts[][2] = {
        {"fuel", "the script has used up its instruction budget"},
        {"deadline", "the script has used up its time budget"},
        {"memory", "the script has used up its memory budget"},
        {"cancelled", "cancelled"},
    };
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
    for (int i = 0; i < 4; i++) {
        push_error(L, aborts[i][0], aborts[i][1]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pop(L, 1);
}

// ---- reports

// Each look at a level walks the stack from its top, so the depth is found by halving.
int stack_depth(lua_State *of) {
    lua_Debug ar;
    int low = 0, high = 1;
    while (lua_getstack(of, high, &ar)) {
        low = high;
        high *= 2;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(of, middle, &ar))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void push_traceback(lua_State *L, lua_State *of) {
    enum { FIRST = 12, LAST = 8 };
    luaL_checkstack(L, 20, NULL);
    lua_Debug ar;
    int depth = stack_depth(of);
    lua_pushliteral(L, "");
    bool in_host = false;
    for (int level = 0; lua_getstack(of, level, &ar); level++) {
        if (depth > FIRST + LAST + 2 && level == FIRST) {
            level = depth - LAST;
            lua_pushfstring(L, "%s\n... %d frames ...", lua_tostring(L, -1), level - FIRST);
            lua_remove(L, -2);
            in_host = false;
            if (!lua_getstack(of, level, &ar)) break;
        }
        lua_getinfo(of, "Slnt", &ar);
        const char *line = lua_tostring(L, -1), *gap = *line ? "\n" : "";
        if (*ar.what == 'C') {
            // One line stands for a row of host frames; those without a name are the shim's own.
            if (!in_host && ar.name && *ar.namewhat) {
                lua_pushfstring(L, "%s%s[host]: in '%s'", line, gap, ar.name);
                lua_remove(L, -2);
                in_host = true;
            }
            continue;
        }
        in_host = false;
        const char *chunk = chunk_label(ar.source, ar.short_src);
        if (*ar.namewhat)
            lua_pushfstring(L, "%s%s%s:%d: in %s '%s'", line, gap, chunk, ar.currentline, ar.namewhat, ar.name);
        else if (*ar.what == 'm')
            lua_pushfstring(L, "%s%s%s:%d: in main chunk", line, gap, chunk, ar.currentline);
        else
            lua_pushfstring(
                L, "%s%s%s:%d: in function <line %d>", line, gap, chunk, ar.currentline, ar.linedefined);
        lua_remove(L, -2);
    }
}

static int call_tostring(lua_State *L) {
    push_tostring(L, 1);
    return 1;
}

// The text of any value: a __tostring that raises, loops or returns no text gives a fixed one.
void push_safe_text(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 10, NULL);
    size_t length;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &length);
        lua_pushlstring(L, text, length > TEXT_LIMIT ? TEXT_LIMIT : length);
        return;
    }
    CLuaEngine *e = engine_of(L);
    uint64_t outer = e->text_fuel;
    if (!outer) e->text_fuel = e->fuel_used + TEXT_FUEL;
    lua_pushcfunction(L, call_tostring);
    lua_pushvalue(L, index);
    int status = lua_pcall(L, 1, 1, 0);
    e->text_fuel = outer;
    if (status != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "<error object: __tostring failed>");
        return;
    }
    const char *text = lua_tolstring(L, -1, &length);
    if (length > TEXT_LIMIT) {
        lua_pushlstring(L, text, TEXT_LIMIT);
        lua_remove(L, -2);
    }
}

static int encode_reported(lua_State *L) {
    encode_value(L, lua_touserdata(L, 1), 2, (Blame){NULL, "error"}, 1);
    return 0;
}

// Value, text, traceback, chunk and line of the error value on top of L.
void report_error(lua_State *L, lua_State *from, Buffer *b) {
    CLuaEngine *e = engine_of(L);
    luaL_checkstack(L, 20, NULL);
    int value = lua_gettop(L);
    if (e->abort && !is_error(L, value)) {  // Lua's own "not enough memory" is a text
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
        lua_rawgeti(L, -1, e->abort);
        lua_replace(L, value);
        lua_settop(L, value);
    }
    Blame blame = {NULL, "report"};
    lua_pushcfunction(L, encode_reported);
    lua_pushlightuserdata(L, b);
    lua_pushvalue(L, value);
    size_t mark = b->length;
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        b->length = mark;
        lua_pushnil(L);
        encode_value(L, b, -1, blame, 1);
        lua_pop(L, 1);
    }
    push_safe_text(L, value);
    encode_value(L, b, -1, blame, 2);
    push_traceback(L, from);
    encode_value(L, b, -1, blame, 3);
    lua_Debug ar;
    if (e->abort && e->abort_line) {
        lua_pushstring(L, e->abort_chunk);
        lua_pushinteger(L, e->abort_line);
    } else if (find_position(from, 0, &ar)) {
        lua_pushstring(L, chunk_label(ar.source, ar.short_src));
        lua_pushinteger(L, ar.currentline);
    } else {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    encode_value(L, b, -2, blame, 4);
    encode_value(L, b, -1, blame, 5);
    lua_settop(L, value);
}
