// Lua values to flat bytes and back. Tables are read raw: no metamethod of a script runs while the host decodes.
#include "entry.h"
#include "internal.h"

typedef struct Ancestor {
    const void *table;
    const struct Ancestor *up;
} Ancestor;

typedef struct {
    lua_State *L;
    CLuaEngine *e;
    Buffer *b;
    Blame blame;
    int number, depth;
} Encoder;

static _Noreturn void refuse(Encoder *c, const char *kind, const char *what) {
    raise(
        c->L, kind, "%s%s%s %d %s", c->blame.function ? c->blame.function : "", c->blame.function ? ": " : "",
        c->blame.noun, c->number, what);
}

static void put(Encoder *c, const void *bytes, size_t length) {
    if (c->b->length + length > c->e->limits.argument_bytes) refuse(c, "size", "is too large to pass to the host");
    if (!buffer_append(c->b, bytes, length)) refuse(c, "memory", "does not fit into memory");
}
static void put_tag(Encoder *c, uint8_t tag) { put(c, &tag, 1); }
static void put_u32(Encoder *c, uint32_t value) { put(c, &value, 4); }

static void put_text(Encoder *c, const char *text, size_t length) {
    if (length > UINT32_MAX) refuse(c, "size", "is too large to pass to the host");
    put_u32(c, (uint32_t)length);
    put(c, text, length);
}

static void encode(Encoder *c, int index, const Ancestor *up);

static void encode_table(Encoder *c, int index, const Ancestor *up) {
    lua_State *L = c->L;
    int depth_limit = c->e->limits.depth < NATIVE_DEPTH ? c->e->limits.depth : NATIVE_DEPTH;
    const void *identity = lua_topointer(L, index);
    for (const Ancestor *a = up; a; a = a->up)
        if (a->table == identity) refuse(c, "argument", "holds a table that contains itself");
    if (++c->depth > depth_limit) refuse(c, "size", "is a table that is nested too deeply");
    Ancestor self = {identity, up};
    luaL_checkstack(L, 10, NULL);
    lua_Integer array;
    int fields = push_ordered_keys(L, index, &array);
    int keys = lua_gettop(L);
    if (array > INT32_MAX) refuse(c, "size", "is too large to pass to the host");
    put_tag(c, CLUA_TAG_TABLE);
    put_u32(c, (uint32_t)array);
    put_u32(c, (uint32_t)fields);
    for (lua_Integer i = 1; i <= array; i++) {
        lua_rawgeti(L, index, i);
        encode(c, lua_gettop(L), &self);
        lua_pop(L, 1);
    }
    for (int i = 1; i <= fields; i++) {
        lua_rawgeti(L, keys, i);
        if (lua_type(L, -1) == LUA_TTABLE) refuse(c, "argument", "has a table as a key");
        encode(c, lua_gettop(L), &self);
        lua_rawget(L, index);
        encode(c, lua_gettop(L), &self);
        lua_pop(L, 1);
    }
    lua_settop(L, keys - 1);
    c->depth--;
}

static void encode_function(Encoder *c, int index) {
    lua_State *L = c->L;
    uint64_t id;
    if (lua_tocfunction(L, index) == host_entry) {
        lua_getupvalue(L, index, ENTRY_ID);
        id = (uint64_t)lua_tointeger(L, -1) | CLUA_HOST_FUNCTION;
        lua_pop(L, 1);
    } else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_FUNCTION_IDS);
        lua_pushvalue(L, index);
        if (lua_rawget(L, -2) == LUA_TNIL) {
            id = c->e->next_function++;
            lua_pop(L, 1);
            lua_pushvalue(L, index);
            lua_pushinteger(L, (lua_Integer)id);
            lua_rawset(L, -3);
            lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY_FUNCTIONS);
            lua_pushvalue(L, index);
            lua_rawseti(L, -2, (lua_Integer)id);
            lua_pop(L, 2);
        } else {
            id = (uint64_t)lua_tointeger(L, -1);
            lua_pop(L, 2);
        }
    }
    put_tag(c, CLUA_TAG_FUNCTION);
    put(c, &id, sizeof id);
}

static void encode(Encoder *c, int index, const Ancestor *up) {
    lua_State *L = c->L;
    luaL_checkstack(L, 10, NULL);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TNONE:
        put_tag(c, CLUA_TAG_NIL);
        return;
    case LUA_TBOOLEAN:
        put_tag(c, lua_toboolean(L, index) ? CLUA_TAG_TRUE : CLUA_TAG_FALSE);
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            int64_t value = lua_tointeger(L, index);
            put_tag(c, CLUA_TAG_INTEGER);
            put(c, &value, sizeof value);
        } else {
            double value = lua_tonumber(L, index);
            put_tag(c, CLUA_TAG_NUMBER);
            put(c, &value, sizeof value);
        }
        return;
    case LUA_TSTRING: {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        put_tag(c, CLUA_TAG_STRING);
        put_text(c, text, length);
        return;
    }
    case LUA_TTABLE:
        encode_table(c, index, up);
        return;
    case LUA_TFUNCTION:
        encode_function(c, index);
        return;
    case LUA_TUSERDATA: {
        Object *object = to_object(L, index);
        if (object) {
            put_tag(c, CLUA_TAG_OBJECT);
            put_u32(c, object->type);
            put_text(c, object->id, object->length);
            return;
        }
        if (push_error_fields(L, index)) {
            put_tag(c, CLUA_TAG_ERROR);
            encode_table(c, lua_gettop(L), up);
            lua_pop(L, 1);
            return;
        }
        break;
    }
    }
    if (lua_type(L, index) == LUA_TTHREAD) refuse(c, "argument", "is or holds a coroutine, which cannot be passed");
    refuse(c, "argument", "is or holds a value that cannot be passed to the host");
}

void encode_value(lua_State *L, Buffer *b, int index, Blame blame, int number) {
    Encoder c = {L, engine_of(L), b, blame, number, 0};
    encode(&c, lua_absindex(L, index), NULL);
}

// ---- flat bytes to Lua values

typedef struct {
    lua_State *L;
    const uint8_t *at, *end;
} Decoder;

static void take(Decoder *d, void *out, size_t length) {
    if ((size_t)(d->end - d->at) < length) raise(d->L, "host", "the host's reply is cut short");
    memcpy(out, d->at, length);
    d->at += length;
}

static uint32_t take_u32(Decoder *d) {
    uint32_t value;
    take(d, &value, 4);
    return value;
}

static const char *take_text(Decoder *d, size_t *length) {
    *length = take_u32(d);
    if ((size_t)(d->end - d->at) < *length) raise(d->L, "host", "the host's reply is cut short");
    const char *text = (const char *)d->at;
    d->at += *length;
    return text;
}

static void decode(Decoder *d, int depth) {
    lua_State *L = d->L;
    if (depth > NATIVE_DEPTH) raise(L, "size", "the host's reply is nested too deeply");
    luaL_checkstack(L, 8, "the host's reply is too large");
    uint8_t tag;
    take(d, &tag, 1);
    size_t length;
    switch (tag) {
    case CLUA_TAG_NIL:
        lua_pushnil(L);
        return;
    case CLUA_TAG_FALSE:
    case CLUA_TAG_TRUE:
        lua_pushboolean(L, tag == CLUA_TAG_TRUE);
        return;
    case CLUA_TAG_INTEGER: {
        int64_t value;
        take(d, &value, sizeof value);
        lua_pushinteger(L, value);
        return;
    }
    case CLUA_TAG_NUMBER: {
        double value;
        take(d, &value, sizeof value);
        lua_pushnumber(L, value);
        return;
    }
    case CLUA_TAG_STRING: {
        const char *text = take_text(d, &length);
        lua_pushlstring(L, text, length);
        return;
    }
    case CLUA_TAG_TABLE: {
        uint32_t array = take_u32(d), fields = take_u32(d);
        // Each value takes a byte at least: a count larger than the bytes left is no reason to allocate.
        size_t left = (size_t)(d->end - d->at);
        lua_createtable(L, (int)(array < left ? array : left), (int)(fields < left ? fields : left));
        for (uint32_t i = 1; i <= array; i++) {
            decode(d, depth + 1);
            lua_rawseti(L, -2, i);
        }
        for (uint32_t i = 0; i < fields; i++) {
            decode(d, depth + 1);
            if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
                raise(L, "host", "the host's reply has nil or NaN as a key");
            decode(d, depth + 1);
            lua_rawset(L, -3);
        }
        return;
    }
    case CLUA_TAG_OBJECT: {
        uint32_t type = take_u32(d);
        const char *id = take_text(d, &length);
        push_object(L, type, id, length);
        return;
    }
    case CLUA_TAG_FUNCTION: {
        uint64_t id;
        take(d, &id, sizeof id);
        bool host = id & CLUA_HOST_FUNCTION;
        lua_rawgetp(L, LUA_REGISTRYINDEX, host ? &KEY_HOST_FUNCTIONS : &KEY_FUNCTIONS);
        lua_rawgeti(L, -1, (lua_Integer)(id & ~CLUA_HOST_FUNCTION));
        lua_remove(L, -2);
        if (lua_isnil(L, -1)) raise(L, "host", "the host returned a function that no longer exists");
        return;
    }
    case CLUA_TAG_ERROR:
        decode(d, depth + 1);
        if (!lua_istable(L, -1)) raise(L, "host", "the host's reply is malformed");
        wrap_error(L);
        return;
    }
    raise(L, "host", "the host's reply is malformed");
}

int decode_values(lua_State *L, const uint8_t *bytes, size_t length) {
    CLuaEngine *e = engine_of(L);
    if (e->reply_lost && bytes == e->reply.bytes) raise(L, "memory", "the host's reply does not fit into memory");
    Decoder d = {L, bytes, bytes + length};
    int count = 0;
    while (d.at < d.end) {
        decode(&d, 0);
        count++;
    }
    return count;
}
