// What close handlers raise while a task is being ended. Lua lets such an error take the place of the one that is on
// its way; here that one goes on, and the others are kept beside it, so that both can be told.
//
// KEY_SUPPRESSED: task -> { the fields of each, value = the error they belong to }; while the task is being ended they
// belong to that.
#include "internal.h"

enum { MOST_SUPPRESSED = 8 };

// Whether a value is one of the errors that end runs and tasks.
static bool is_ending_error(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA) return false;
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ABORTS);
    bool found = false;
    for (int i = 1; i <= CLUA_ABORT_CANCELLED && !found; i++) {
        lua_rawgeti(L, top + 1, i);
        found = lua_rawequal(L, -1, index);
    }
    CLuaTask *task = engine_of(L)->current;
    if (!found && task && task->has_ending) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_ENDINGS);
        lua_rawgetp(L, -1, task);
        found = lua_rawequal(L, -1, index);
    }
    lua_settop(L, top);
    return found;
}

static void copy_text(lua_State *L, int from, int to, const char *name) {
    lua_pushstring(L, name);
    if (lua_rawget(L, from) == LUA_TSTRING)
        lua_setfield(L, to, name);
    else
        lua_pop(L, 1);
}

// Pushes the fields that tell about any error value. With `here` it is being raised: the position is known.
static void push_fields(lua_State *L, int index, bool here) {
    if (push_error_fields(L, index)) return;
    lua_createtable(L, 0, 5);
    int fields = lua_gettop(L);
    lua_pushliteral(L, "script");
    lua_setfield(L, fields, "kind");
    if (lua_type(L, index) == LUA_TTABLE) {
        copy_text(L, index, fields, "kind");
        copy_text(L, index, fields, "message");
        copy_text(L, index, fields, "hint");
    }
    if (lua_getfield(L, fields, "message") == LUA_TNIL) {
        push_safe_text(L, index);
        lua_setfield(L, fields, "message");
    }
    lua_Debug ar;
    if (here && find_position(L, 0, &ar)) {
        lua_pushstring(L, chunk_label(ar.source, ar.short_src));
        lua_setfield(L, fields, "chunk");
        lua_pushinteger(L, ar.currentline);
        lua_setfield(L, fields, "line");
    }
    lua_settop(L, fields);
}

// Adds the fields on top, which are popped, to a list that has a bound.
static void add_fields(lua_State *L, int list) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    if (n < MOST_SUPPRESSED)
        lua_rawseti(L, list, n + 1);
    else
        lua_pop(L, 1);
}

static void push_list(lua_State *L, CLuaTask *task) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SUPPRESSED);
    if (lua_rawgetp(L, -1, task) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, task);
        task->has_suppressed = true;
    }
    lua_remove(L, -2);
}

void keep_suppressed(lua_State *L, int index, bool here) {
    CLuaTask *task = engine_of(L)->current;
    index = lua_absindex(L, index);
    if (!task || !is_ending(L) || !lua_checkstack(L, 20) || is_ending_error(L, index)) return;
    int top = lua_gettop(L);
    push_list(L, task);
    push_fields(L, index, here);
    add_fields(L, top + 1);
    lua_settop(L, top);
}

static void append(lua_State *L, int to, int from, int except) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, from);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, from, i);
        if (except && lua_rawequal(L, -1, except))
            lua_pop(L, 1);
        else
            add_fields(L, to);
    }
}

// Whether the list on top tells about the error at `error`, which ends the task.
static bool belongs(lua_State *L, const CLuaTask *task, int error) {
    if (engine_of(L)->abort || task->cancelled) return true;
    lua_getfield(L, -1, "value");
    bool same = lua_rawequal(L, -1, error);
    lua_pop(L, 1);
    return same;
}

// Hands what a task has over to the list at `to`, which is of the scope it was a branch of.
void hand_up_suppressed(lua_State *L, CLuaTask *task, int error, int to) {
    if (!task->has_suppressed) return;
    int top = lua_gettop(L);
    push_list(L, task);
    if (belongs(L, task, error)) append(L, to, top + 1, 0);
    lua_settop(L, top);
}

// A scope was ended together with its parent: what its branches have is the parent's.
void take_suppressed(lua_State *L, int list) {
    CLuaTask *task = engine_of(L)->current;
    if (!task || lua_rawlen(L, list) == 0 || !lua_checkstack(L, 20)) return;
    int top = lua_gettop(L);
    push_list(L, task);
    append(L, top + 1, list, 0);
    lua_settop(L, top);
}

// A scope has failed with the error at `error`: what its branches have belongs to it, and the script sees it as field
// `suppressed` of an error object or of a plain table.
void attach_suppressed(lua_State *L, int error, int list) {
    CLuaTask *task = engine_of(L)->current;
    if (!task || lua_rawlen(L, list) == 0 || !lua_checkstack(L, 20)) return;
    int top = lua_gettop(L);
    lua_newtable(L);
    bool object = push_error_fields(L, error);
    if (!object) {
        bool plain = lua_type(L, error) == LUA_TTABLE && !lua_getmetatable(L, error) && !is_frozen(L, error);
        lua_settop(L, top + 1);
        if (plain)
            lua_pushvalue(L, error);
        else
            lua_pushnil(L);
    }
    int fields = top + 2;
    if (object && lua_getfield(L, fields, "suppressed") == LUA_TTABLE) append(L, top + 1, fields + 1, 0);
    lua_settop(L, fields);
    append(L, top + 1, list, object ? fields : 0);
    if (!lua_isnil(L, fields)) {
        lua_pushliteral(L, "suppressed");
        lua_pushvalue(L, top + 1);
        lua_rawset(L, fields);
    }
    // For the report: a text, say, has no fields. The list is a copy, as it refers to the error.
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_SUPPRESSED);
    lua_newtable(L);
    append(L, lua_gettop(L), top + 1, 0);
    lua_pushvalue(L, error);
    lua_setfield(L, -2, "value");
    lua_rawsetp(L, -2, task);
    task->has_suppressed = true;
    lua_settop(L, top);
}

// Pushes the list that belongs to the error on top, with which the task ends, or nil. What cannot be passed to the
// host is left out by whoever encodes it.
void push_suppressed(lua_State *L, CLuaTask *task) {
    int error = lua_gettop(L);
    if (!task->has_suppressed) {
        lua_pushnil(L);
        return;
    }
    push_list(L, task);
    if (!belongs(L, task, error)) {
        lua_pushnil(L);
    } else {
        lua_newtable(L);
        append(L, lua_gettop(L), error + 1, 0);
    }
    lua_replace(L, error + 1);
    lua_settop(L, error + 1);
}
