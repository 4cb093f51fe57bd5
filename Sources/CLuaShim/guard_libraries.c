// table, math, utf8 and os, and the list of what string has: Lua's own, less what escapes the sandbox, with caps on
// what one call may do and a charge for it.
// The clock behind os is the host's, and all of os speaks UTC, so that a run gives the same output anywhere.
#include <limits.h>
#include <math.h>
#include <time.h>

#include "internal.h"

// ---- math

static int guard_randomseed(lua_State *L) {
    if (lua_gettop(L) == 0)  // Lua's own would take the time and an address
        lua_pushinteger(L, (lua_Integer)engine_of(L)->limits.seed);
    lua_settop(L, lua_gettop(L) > 2 ? 2 : lua_gettop(L));
    // Called as a closure: its generator is an upvalue of its own.
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

// ---- os

static double host_now(lua_State *L) {
    CLuaEngine *e = engine_of(L);
    return e->host.time(e->host.context);
}

static int os_clock(lua_State *L) {
    lua_pushnumber(L, host_now(L) - lua_tonumber(L, lua_upvalueindex(1)));
    return 1;
}

static int read_field(lua_State *L, const char *name, lua_Integer fallback, int shift) {
    int type = lua_getfield(L, 1, name);
    int is_integer;
    lua_Integer value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) {
        if (type != LUA_TNIL) raise(L, "argument", "os.time: field '%s' is not an integer", name);
        if (fallback == LUA_MININTEGER) raise(L, "argument", "os.time: field '%s' is missing", name);
        value = fallback + shift;
    }
    lua_pop(L, 1);
    if (value > INT_MAX / 2 || value < INT_MIN / 2)
        raise(L, "argument", "os.time: field '%s' is out of range", name);
    return (int)(value - shift);
}

static int os_time(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, (lua_Integer)floor(host_now(L)));
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct tm t = {0};
    t.tm_year = read_field(L, "year", LUA_MININTEGER, 1900);
    t.tm_mon = read_field(L, "month", LUA_MININTEGER, 1);
    t.tm_mday = read_field(L, "day", LUA_MININTEGER, 0);
    t.tm_hour = read_field(L, "hour", 12, 0);
    t.tm_min = read_field(L, "min", 0, 0);
    t.tm_sec = read_field(L, "sec", 0, 0);
    lua_pushinteger(L, (lua_Integer)timegm(&t));
    return 1;
}

static void set_integer(lua_State *L, const char *name, int value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static int os_date(lua_State *L) {
    size_t length;
    const char *format = luaL_optlstring(L, 1, "%c", &length);
    time_t seconds = lua_isnoneornil(L, 2) ? (time_t)floor(host_now(L)) : (time_t)luaL_checkinteger(L, 2);
    struct tm t;
    if (!gmtime_r(&seconds, &t)) raise(L, "argument", "os.date: the time is out of range");
    if (*format == '!') format++, length--;
    if (strcmp(format, "*t") == 0) {
        lua_createtable(L, 0, 9);
        set_integer(L, "year", t.tm_year + 1900);
        set_integer(L, "month", t.tm_mon + 1);
        set_integer(L, "day", t.tm_mday);
        set_integer(L, "hour", t.tm_hour);
        set_integer(L, "min", t.tm_min);
        set_integer(L, "sec", t.tm_sec);
        set_integer(L, "wday", t.tm_wday + 1);
        set_integer(L, "yday", t.tm_yday + 1);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "isdst");
        return 1;
    }
    if (length > 1024) raise(L, "size", "os.date: the format is longer than 1024 bytes");
    spend(L, length * 10);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < length; i++) {
        if (format[i] != '%') {
            luaL_addchar(&b, format[i]);
            continue;
        }
        char conversion[3] = {'%', i + 1 < length ? format[++i] : 0, 0};
        if (!conversion[1] || !strchr("aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%", conversion[1]))
            raise(L, "argument", "os.date: unknown conversion '%%%c'", conversion[1] ? conversion[1] : ' ');
        char text[128];
        luaL_addlstring(&b, text, strftime(text, sizeof text, conversion, &t));
    }
    luaL_pushresult(&b);
    return 1;
}

static int os_difftime(lua_State *L) {
    lua_pushnumber(L, (lua_Number)luaL_checkinteger(L, 1) - (lua_Number)luaL_checkinteger(L, 2));
    return 1;
}

// ---- putting them together

typedef struct {
    const char *name;
    lua_CFunction guard;  // NULL: Lua's own
    bool alone;           // the guard does not call Lua's own, which is then out of reach
} Member;

// Makes a frozen library of the members and puts it into the base (at `base`) and where require looks.
static void finish_library(lua_State *L, int base, const char *name) {
    push_frozen(L, name, false);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_setfield(L, base, name);
}

static void open_library(lua_State *L, int base, const char *name, lua_CFunction open, const Member *members) {
    luaL_requiref(L, name, open, 0);
    int stock = lua_gettop(L);
    lua_newtable(L);
    for (const Member *m = members; m->name; m++) {
        if (!m->alone) lua_getfield(L, stock, m->name);
        if (m->guard) lua_pushcclosure(L, m->guard, m->alone ? 0 : 1);
        lua_setfield(L, -2, m->name);
    }
    // Where Lua looks for the name of a function when it words an error.
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    if (strcmp(name, LUA_STRLIBNAME) == 0) {
        // ("x"):rep must be the guarded one, and the metatable of all strings out of reach.
        lua_pushliteral(L, "");
        lua_getmetatable(L, -1);
        lua_pushvalue(L, -3);
        lua_setfield(L, -2, "__index");
        lua_pushliteral(L, "string");
        lua_setfield(L, -2, "__metatable");
        lua_pop(L, 2);
    }
    if (strcmp(name, LUA_MATHLIBNAME) == 0) {
        lua_getfield(L, stock, "randomseed");
        lua_pushinteger(L, (lua_Integer)engine_of(L)->limits.seed);
        lua_call(L, 1, 0);
    }
    finish_library(L, base, name);
    lua_settop(L, base);
}

void open_libraries(lua_State *L) {
    static const Member string_members[] = {
        {"byte", guard_byte, false},     {"char", NULL, false},           {"find", guard_find, true},
        {"format", guard_format, false}, {"gmatch", guard_gmatch, true},  {"gsub", guard_gsub, true},
        {"len", NULL, false},            {"lower", guard_texts, false},   {"match", guard_match, true},
        {"pack", guard_pack, false},    {"packsize", guard_texts, false}, {"rep", guard_rep, false},
        {"reverse", guard_texts, false}, {"sub", guard_texts, false},     {"unpack", guard_texts, false},
        {"upper", guard_texts, false},   {NULL, NULL, false},
    };
    static const Member table_members[] = {
        {"concat", table_concat, true}, {"insert", table_insert, true}, {"move", table_move, true},
        {"pack", NULL, false},          {"remove", table_remove, true}, {"sort", table_sort, true},
        {"unpack", table_unpack, true}, {NULL, NULL, false},
    };
    static const Member math_members[] = {
        {"abs", NULL},   {"acos", NULL}, {"asin", NULL},   {"atan", NULL},       {"ceil", NULL},
        {"cos", NULL},   {"deg", NULL},  {"exp", NULL},    {"floor", NULL},      {"fmod", NULL},
        {"huge", NULL},  {"log", NULL},  {"max", NULL},    {"maxinteger", NULL}, {"min", NULL},
        {"mininteger", NULL}, {"modf", NULL}, {"pi", NULL}, {"rad", NULL},       {"random", NULL},
        {"randomseed", guard_randomseed}, {"sin", NULL},   {"sqrt", NULL},       {"tan", NULL},
        {"tointeger", NULL}, {"type", NULL}, {"ult", NULL}, {NULL, NULL},
    };
    static const Member utf8_members[] = {
        {"char", NULL},        {"charpattern", NULL},   {"codepoint", guard_texts}, {"codes", NULL},
        {"len", guard_texts},  {"offset", guard_texts}, {NULL, NULL},
    };
    int base = lua_gettop(L);
    open_library(L, base, LUA_STRLIBNAME, luaopen_string, string_members);
    open_library(L, base, LUA_TABLIBNAME, luaopen_table, table_members);
    open_library(L, base, LUA_MATHLIBNAME, luaopen_math, math_members);
    open_library(L, base, LUA_UTF8LIBNAME, luaopen_utf8, utf8_members);
    static const luaL_Reg os_members[] = {
        {"time", os_time}, {"date", os_date}, {"difftime", os_difftime}, {NULL, NULL},
    };
    luaL_newlib(L, os_members);
    lua_pushnumber(L, host_now(L));
    lua_pushcclosure(L, os_clock, 1);
    lua_setfield(L, -2, "clock");
    finish_library(L, base, LUA_OSLIBNAME);
}
