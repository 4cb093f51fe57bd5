// Flat bytes to Lua values.
#include "internal.h"

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
