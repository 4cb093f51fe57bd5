// Lua values to flat bytes. Tables are read raw: no metamethod of a script runs while the host decodes.
#include <endian.h>

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

// A tag and eight bytes, or a tag, a length and a text, in one piece: most of what is written is that.
static uint8_t *make_room(Encoder *c, size_t length) {
    Buffer *b = c->b;
    if (b->length + length > c->e->limits.argument_bytes) refuse(c, "size", "is too large to pass to the host");
    if (length > b->capacity - b->length && !buffer_reserve(b, length)) refuse(c, "memory", "does not fit into memory");
    uint8_t *at = b->bytes + b->length;
    b->length += length;
    return at;
}
static void put_word(Encoder *c, uint8_t tag, const void *word) {
    uint8_t *at = make_room(c, 9);
    *at = tag;
    memcpy(at + 1, word, 8);
}
static void put_string(Encoder *c, const char *text, size_t length) {
    if (length > UINT32_MAX) refuse(c, "size", "is too large to pass to the host");
    uint8_t *at = make_room(c, length + 5);
    uint32_t count = (uint32_t)length;
    *at = CLUA_TAG_STRING;
    memcpy(at + 1, &count, 4);
    memcpy(at + 5, text, length);
}

static void put_text(Encoder *c, const char *text, size_t length) {
    if (length > UINT32_MAX) refuse(c, "size", "is too large to pass to the host");
    put_u32(c, (uint32_t)length);
    put(c, text, length);
}

static void encode(Encoder *c, int index, const Ancestor *up);

static void patch_u32(Encoder *c, size_t at, uint32_t value) { memcpy(c->b->bytes + at, &value, sizeof value); }

enum { FEW_FIELDS = 32 };

typedef struct {
    uint64_t prefix;  // the first 8 bytes, which mostly decide
    const char *text;
    size_t length;
    int value;  // where on the stack
} TextKey;

static inline bool comes_before(const TextKey *a, const TextKey *b) {
    if (a->prefix != b->prefix) return a->prefix < b->prefix;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order ? order < 0 : a->length < b->length;
}

// Collects the fields of a table that has only a few, all with texts as keys, into the fixed order: that takes one
// traversal and no memory of Lua's. The values stay on the stack, and the table keeps the texts alive. Returns how many
// there are, or -1, with nothing on the stack, when the table is of another kind.
static int collect_texts(lua_State *L, int index, lua_Integer array, TextKey *keys) {
    int base = lua_gettop(L), count = 0;
    if (!lua_checkstack(L, FEW_FIELDS + 10)) return -1;
    charge_walk(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        int type = lua_type(L, -2);
        if (type == LUA_TNUMBER && array > 0 && lua_isinteger(L, -2)) {
            lua_Integer key = lua_tointeger(L, -2);
            if (key >= 1 && key <= array) {
                lua_pop(L, 1);
                continue;
            }
        }
        if (type != LUA_TSTRING || count == FEW_FIELDS) {
            lua_settop(L, base);
            return -1;
        }
        TextKey key = {.value = base + 1 + count};
        key.text = lua_tolstring(L, -2, &key.length);
        memcpy(&key.prefix, key.text, key.length < 8 ? key.length : 8);
        key.prefix = be64toh(key.prefix);
        int place = count++;
        for (; place > 0 && comes_before(&key, &keys[place - 1]); place--) keys[place] = keys[place - 1];
        keys[place] = key;
        lua_insert(L, -2);
    }
    return count;
}

static void encode_texts(Encoder *c, const TextKey *keys, int count, const Ancestor *up) {
    for (int i = 0; i < count; i++) {
        put_string(c, keys[i].text, keys[i].length);
        encode(c, keys[i].value, up);
    }
    lua_pop(c->L, count);
}

// The fields of any table, in the fixed order; returns how many.
static int encode_fields(Encoder *c, int index, const Ancestor *up) {
    lua_State *L = c->L;
    lua_Integer array;
    int fields = push_ordered_keys(L, index, &array);
    int keys = lua_gettop(L);
    for (int i = 1; i <= fields; i++) {
        lua_rawgeti(L, keys, i);
        if (lua_type(L, -1) == LUA_TTABLE) refuse(c, "argument", "has a table as a key");
        encode(c, lua_gettop(L), up);
        lua_rawget(L, index);
        encode(c, lua_gettop(L), up);
        lua_pop(L, 1);
    }
    lua_settop(L, keys - 1);
    return fields;
}

static void encode_table(Encoder *c, int index, const Ancestor *up) {
    lua_State *L = c->L;
    int depth_limit = c->e->limits.depth < NATIVE_DEPTH ? c->e->limits.depth : NATIVE_DEPTH;
    const void *identity = lua_topointer(L, index);
    for (const Ancestor *a = up; a; a = a->up)
        if (a->table == identity) refuse(c, "argument", "holds a table that contains itself");
    if (++c->depth > depth_limit) refuse(c, "size", "is a table that is nested too deeply");
    Ancestor self = {identity, up};
    luaL_checkstack(L, 10, NULL);
    put_tag(c, CLUA_TAG_TABLE);
    size_t counts = c->b->length;
    put_u32(c, 0);
    put_u32(c, 0);
    lua_Integer array = 0;
    while (lua_rawgeti(L, index, array + 1) != LUA_TNIL) {
        if (++array > INT32_MAX) refuse(c, "size", "is too large to pass to the host");
        encode(c, lua_gettop(L), &self);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    TextKey keys[FEW_FIELDS];
    int fields = collect_texts(L, index, array, keys);
    if (fields >= 0)
        encode_texts(c, keys, fields, &self);
    else
        fields = encode_fields(c, index, &self);
    patch_u32(c, counts, (uint32_t)array);
    patch_u32(c, counts + 4, (uint32_t)fields);
    c->depth--;
}

static void encode_function(Encoder *c, int index) {
    lua_State *L = c->L;
    uint64_t id;
    if (lua_tocfunction(L, index) == host_entry) {
        lua_getupvalue(L, index, 1);
        id = ((const Entry *)lua_touserdata(L, -1))->id | CLUA_HOST_FUNCTION;
        lua_pop(L, 1);
    } else if (task_function_id(L, index, &id)) {
        id |= CLUA_HOST_FUNCTION;
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
    int type = lua_type(L, index);
    // The plain values, of which there are most, are read without a push.
    if (type >= LUA_TTABLE) luaL_checkstack(L, 10, NULL);
    switch (type) {
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
            put_word(c, CLUA_TAG_INTEGER, &value);
        } else {
            double value = lua_tonumber(L, index);
            put_word(c, CLUA_TAG_NUMBER, &value);
        }
        return;
    case LUA_TSTRING: {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        put_string(c, text, length);
        return;
    }
    case LUA_TTABLE:
        lua_pushvalue(L, index);
        if (see_through(L, -1)) index = lua_gettop(L);
        encode_table(c, index, up);
        lua_pop(L, 1);
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
    if (type == LUA_TTHREAD) refuse(c, "argument", "is or holds a coroutine, which cannot be passed");
    refuse(c, "argument", "is or holds a value that cannot be passed to the host");
}

void encode_value(lua_State *L, Buffer *b, int index, Blame blame, int number) {
    Encoder c = {L, engine_of(L), b, blame, number, 0};
    encode(&c, lua_absindex(L, index), NULL);
}
