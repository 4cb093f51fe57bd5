// Lua values to flat bytes and back. Tables are read raw: no metamethod of a script runs while the host decodes.
#include <stdlib.h>

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
    OrderedKey key;
    size_t start, end;
} Field;

// The fields of a table, written in Lua's order as they are met and then put into the fixed order: that needs one
// traversal and no memory of Lua's. Returns how many there are, or -1, with nothing written, when there are too many.
static int encode_few_fields(Encoder *c, int index, lua_Integer array, const Ancestor *up) {
    lua_State *L = c->L;
    Field fields[FEW_FIELDS];
    size_t start = c->b->length;
    int count = 0, unordered = 0;
    bool sorted = true, table_key = false;
    const char *text;
    size_t length;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        int value = lua_gettop(L);
        if (array > 0 && lua_isinteger(L, value - 1)) {
            lua_Integer key = lua_tointeger(L, value - 1);
            if (key >= 1 && key <= array) {
                lua_pop(L, 1);
                continue;
            }
        }
        if (count == FEW_FIELDS) {
            c->b->length = start;
            lua_pop(L, 2);
            return -1;
        }
        Field *field = &fields[count++];
        classify_key(L, value - 1, &field->key);
        if (!has_order(&field->key) && ++unordered == 2) raise_unordered(L);
        if (lua_type(L, value - 1) == LUA_TTABLE) {
            table_key = true;  // to be refused, unless there is a second key without order
            lua_pop(L, 1);
            continue;
        }
        field->start = c->b->length;
        if (key_text(&field->key, &text, &length))
            put_string(c, text, length);
        else
            encode(c, value - 1, up);
        encode(c, value, up);
        field->end = c->b->length;
        lua_pop(L, 1);
        if (count == 1 || compare_keys(&fields[count - 2].key, &field->key) <= 0) continue;
        Field moved = *field;
        int place = count - 1;
        for (; place > 0 && compare_keys(&fields[place - 1].key, &moved.key) > 0; place--)
            fields[place] = fields[place - 1];
        sorted = false;
        fields[place] = moved;
    }
    if (table_key) refuse(c, "argument", "has a table as a key");
    if (sorted) return count;
    size_t whole = c->b->length - start;
    if (!buffer_reserve(c->b, whole)) refuse(c, "memory", "does not fit into memory");
    uint8_t *bytes = c->b->bytes, *to = bytes + start + whole;
    for (int i = 0; i < count; i++) {
        size_t part = fields[i].end - fields[i].start;
        memcpy(to, bytes + fields[i].start, part);
        to += part;
    }
    memcpy(bytes + start, bytes + start + whole, whole);
    return count;
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
    int fields = encode_few_fields(c, index, array, &self);
    if (fields < 0) {
        fields = push_ordered_keys(L, index, &array);
        int keys = lua_gettop(L);
        for (int i = 1; i <= fields; i++) {
            lua_rawgeti(L, keys, i);
            if (lua_type(L, -1) == LUA_TTABLE) refuse(c, "argument", "has a table as a key");
            encode(c, lua_gettop(L), &self);
            lua_rawget(L, index);
            encode(c, lua_gettop(L), &self);
            lua_pop(L, 1);
        }
        lua_settop(L, keys - 1);
    }
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
    if (!lua_checkstack(L, 10)) luaL_checkstack(L, 10, NULL);
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

// ---- arguments as slots

static uint32_t grow_slots(lua_State *L, CLuaEngine *e, uint32_t count) {
    if (count <= e->slot_capacity) return count;
    CLuaSlot *grown = allocation_fails() ? NULL : realloc(e->slots, count * sizeof *grown);
    if (!grown) raise(L, "memory", "the arguments do not fit into memory");
    e->slots = grown;
    e->slot_capacity = count;
    return count;
}

static void fill_flat(lua_State *L, CLuaEngine *e, CLuaSlot *slot, int index, const char *function) {
    Encoder c = {L, e, &e->arguments, {function, "argument"}, index, 0};
    size_t start = e->arguments.length;
    encode(&c, index, NULL);
    slot->tag = e->arguments.bytes[start];
    slot->word = (int64_t)start;
    slot->length = e->arguments.length - start;
    slot->bytes = NULL;  // the buffer may still move
}

void fill_slots(lua_State *L, CLuaEngine *e, uint32_t count, const char *function) {
    grow_slots(L, e, count);
    size_t texts = 0;
    bool flat = false;
    for (uint32_t i = 0; i < count; i++) {
        CLuaSlot *slot = &e->slots[i];
        int index = (int)i + 1;
        if (lua_isinteger(L, index)) {
            slot->tag = CLUA_TAG_INTEGER;
            slot->word = lua_tointeger(L, index);
            continue;
        }
        switch (lua_type(L, index)) {
        case LUA_TNIL:
            slot->tag = CLUA_TAG_NIL;
            break;
        case LUA_TBOOLEAN:
            slot->tag = lua_toboolean(L, index) ? CLUA_TAG_TRUE : CLUA_TAG_FALSE;
            break;
        case LUA_TNUMBER: {
            double number = lua_tonumber(L, index);
            slot->tag = CLUA_TAG_NUMBER;
            memcpy(&slot->word, &number, sizeof number);
            break;
        }
        case LUA_TSTRING:
            slot->tag = CLUA_TAG_STRING;
            slot->bytes = (const uint8_t *)lua_tolstring(L, index, &slot->length);
            texts += slot->length;
            if (texts > e->limits.argument_bytes)
                raise(L, "size", "%s: argument %d is too large to pass to the host", function, index);
            break;
        case LUA_TUSERDATA: {
            Object *object = to_object(L, index);
            if (object) {
                slot->tag = CLUA_TAG_OBJECT;
                slot->type = object->type;
                slot->bytes = (const uint8_t *)object->id;
                slot->length = object->length;
                break;
            }
        }  // fall through
        default:
            if (!flat) buffer_clear(&e->arguments);
            flat = true;
            fill_flat(L, e, slot, index, function);
        }
    }
    if (!flat) return;
    for (uint32_t i = 0; i < count; i++) {
        CLuaSlot *slot = &e->slots[i];
        if (slot->tag == CLUA_TAG_TABLE || slot->tag == CLUA_TAG_FUNCTION || slot->tag == CLUA_TAG_ERROR)
            slot->bytes = e->arguments.bytes + slot->word;
    }
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

// Pushes results: what is in bytes lies in the reply buffer, at the offset in `word`.
int push_slots(lua_State *L, CLuaEngine *e, const CLuaSlot *slots, uint32_t count) {
    if (!lua_checkstack(L, (int)count + 8)) raise(L, "size", "too many results");
    for (uint32_t i = 0; i < count; i++) {
        const CLuaSlot *slot = &slots[i];
        switch (slot->tag) {
        case CLUA_TAG_NIL:
            lua_pushnil(L);
            continue;
        case CLUA_TAG_FALSE:
        case CLUA_TAG_TRUE:
            lua_pushboolean(L, slot->tag == CLUA_TAG_TRUE);
            continue;
        case CLUA_TAG_INTEGER:
            lua_pushinteger(L, slot->word);
            continue;
        case CLUA_TAG_NUMBER: {
            double number;
            memcpy(&number, &slot->word, sizeof number);
            lua_pushnumber(L, number);
            continue;
        }
        }
        size_t start = (size_t)slot->word;
        if (start > e->reply.length || slot->length > e->reply.length - start)
            raise(L, "host", "the host's reply is cut short");
        if (slot->tag == CLUA_TAG_STRING)
            lua_pushlstring(L, (const char *)e->reply.bytes + start, slot->length);
        else if (decode_values(L, e->reply.bytes + start, slot->length) != 1)
            raise(L, "host", "the host's reply is malformed");
    }
    return (int)count;
}
