// Handles to host objects, and the modules of the host.
//
// A handle is a userdata that holds a type and an id: bytes, no pointer into the host, so nothing has to be released
// and a handle kept too long is a stale name, not a dangling address. One handle exists for each object at a time, so
// that a handle works as a table key.
#include <limits.h>
#include <stdlib.h>

#include "internal.h"

enum { ID_LIMIT = 4096 };

// KEY_TYPES: name -> { type, methods, fields, meta, describe }, number -> the same, meta -> true.
Object *to_object(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
    lua_insert(L, -2);
    bool known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return known ? lua_touserdata(L, index) : NULL;
}

void push_object(lua_State *L, uint32_t type, const char *id, size_t length) {
    if (length > ID_LIMIT) raise(L, "size", "the id of an object is longer than %d bytes", ID_LIMIT);
    luaL_checkstack(L, 8, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_OBJECTS);
    // Whether the handle exists still depends on the collector, so what is charged must not depend on that.
    CLuaEngine *e = engine_of(L);
    size_t unseen = e->unseen;
    e->fuel_used += (sizeof(Object) + length) / BYTES_PER_FUEL;
    char key[ID_LIMIT + sizeof type];
    memcpy(key, &type, sizeof type);
    memcpy(key + sizeof type, id, length);
    lua_pushlstring(L, key, sizeof type + length);
    e->unseen = unseen;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
        lua_replace(L, -3);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
    if (lua_rawgeti(L, -1, (lua_Integer)type) != LUA_TTABLE) raise(L, "host", "the host returned an unknown type");
    lua_getfield(L, -1, "meta");
    Object *object = lua_newuserdatauv(L, sizeof(Object) + length + 1, 0);
    e->unseen = unseen;
    object->type = type;
    object->length = (uint32_t)length;
    memcpy(object->id, id, length);
    object->id[length] = 0;
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    // objects, key, types, entry, object
    lua_insert(L, -5);
    lua_pop(L, 2);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

// The name stays valid: the table of types holds it.
const char *push_type_name(lua_State *L, uint32_t type) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
    lua_rawgeti(L, -1, (lua_Integer)type);
    lua_getfield(L, -1, "name");
    return lua_tostring(L, -1);
}

static void push_entry_of(lua_State *L, const Object *object) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
    lua_rawgeti(L, -1, (lua_Integer)object->type);
    lua_remove(L, -2);
}

static int after_field(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 1;
}

static int object_index(lua_State *L) {
    Object *object = to_object(L, 1);
    if (!object) return luaL_error(L, "not a host object");
    lua_settop(L, 2);
    push_entry_of(L, object);
    lua_getfield(L, 3, "methods");
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 4) != LUA_TNIL) return 1;
    lua_pop(L, 1);
    lua_getfield(L, 3, "fields");
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 5) != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 1, 0, after_field);
        return 1;
    }
    lua_pop(L, 1);
    lua_getfield(L, 3, "name");
    const char *type = lua_tostring(L, -1);
    if (lua_type(L, 2) != LUA_TSTRING)
        raise(L, "undefined", "a %s has no field of type %s", type, luaL_typename(L, 2));
    size_t length;
    const char *name = lua_tolstring(L, 2, &length);
    int distance = INT_MAX;
    const char *best = push_nearest(L, name, length, 4, NULL, &distance);
    best = push_nearest(L, name, length, 5, best, &distance);
    if (best) raise(L, "undefined", "no field '%.80s' on %s; did you mean '%s'?", name, type, best);
    raise(L, "undefined", "no field '%.80s' on %s", name, type);
}

static int object_newindex(lua_State *L) {
    Object *object = to_object(L, 1);
    if (!object) return luaL_error(L, "not a host object");
    const char *type = push_type_name(L, object->type);
    raise(L, "script", "the fields of a %s cannot be set; use its methods", type);
}

static int object_equal(lua_State *L) {
    Object *a = to_object(L, 1), *b = to_object(L, 2);
    bool same = a && b && a->type == b->type && a->length == b->length && memcmp(a->id, b->id, a->length) == 0;
    lua_pushboolean(L, same);
    return 1;
}

static int object_tostring(lua_State *L) {
    Object *object = to_object(L, 1);
    if (!object) return luaL_error(L, "not a host object");
    push_entry_of(L, object);
    if (lua_getfield(L, -1, "describe") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        return 1;
    }
    lua_pop(L, 1);
    lua_getfield(L, -1, "name");
    const char *name = lua_tostring(L, -1);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, name);
    luaL_addchar(&b, '<');
    luaL_addlstring(&b, object->id, object->length);
    luaL_addchar(&b, '>');
    luaL_pushresult(&b);
    return 1;
}

typedef struct {
    const char *name;
    uint32_t type;
} InstallType;

static int install_type(lua_State *L) {
    InstallType *i = lua_touserdata(L, 1);
    static const luaL_Reg methods[] = {
        {"__index", object_index},       {"__newindex", object_newindex}, {"__eq", object_equal},
        {"__tostring", object_tostring}, {NULL, NULL},
    };
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_TYPES);
    int types = lua_gettop(L);
    lua_createtable(L, 0, 6);
    int entry = lua_gettop(L);
    lua_pushstring(L, i->name);
    lua_setfield(L, entry, "name");
    lua_pushinteger(L, i->type);
    lua_setfield(L, entry, "type");
    lua_newtable(L);
    lua_setfield(L, entry, "methods");
    lua_newtable(L);
    lua_setfield(L, entry, "fields");
    luaL_newlib(L, methods);
    lua_pushstring(L, i->name);
    lua_setfield(L, -2, "__name");
    lua_pushstring(L, i->name);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_setfield(L, entry, "meta");
    lua_pushboolean(L, 1);
    lua_rawset(L, types);
    lua_pushvalue(L, entry);
    lua_setfield(L, types, i->name);
    lua_rawseti(L, types, (lua_Integer)i->type);
    return 0;
}

CLuaStatus clua_install_type(CLuaEngine *e, const char *name, uint32_t type) {
    InstallType i = {name, type};
    return protect(e, install_type, &i);
}

// ---- host modules

typedef struct {
    const char *module, *name;
    const uint8_t *bytes;
    size_t length;
    bool global;
} InstallModule;

static int install_module(lua_State *L) {
    InstallModule *i = lua_touserdata(L, 1);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, i->module);
    lua_pop(L, 1);
    push_frozen(L, i->module, true);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_LOADED);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, i->module);
    lua_pop(L, 1);
    if (i->global) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_BASE);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, i->module);
    }
    return 0;
}

static int install_constant(lua_State *L) {
    InstallModule *i = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_MODULES);
    lua_getfield(L, -1, i->module);
    if (decode_values(L, i->bytes, i->length) != 1) return luaL_error(L, "a constant is one value");
    if (lua_istable(L, -1)) {
        lua_pushfstring(L, "%s.%s", i->module, i->name);
        lua_insert(L, -2);
        push_frozen_data(L, lua_tostring(L, -2));
        lua_remove(L, -2);
    }
    lua_setfield(L, -2, i->name);
    return 0;
}

CLuaStatus clua_install_module(CLuaEngine *e, const char *name, bool global) {
    InstallModule i = {.module = name, .global = global};
    return protect(e, install_module, &i);
}

CLuaStatus clua_install_constant(
    CLuaEngine *e, const char *module, const char *name, const uint8_t *bytes, size_t length) {
    InstallModule i = {.module = module, .name = name, .bytes = bytes, .length = length};
    return protect(e, install_constant, &i);
}

