// The arguments and results of one call: scalars and texts where they are, all else in flat bytes.
#include <stddef.h>
#include <stdlib.h>

#include "internal.h"

// SlotLayout.swift has these numbers too, for code that sees no C types.
_Static_assert(sizeof(CLuaSlot) == 32 && offsetof(CLuaSlot, tag) == 0 && offsetof(CLuaSlot, word) == 8, "slot layout");
_Static_assert(CLUA_TAG_FALSE == 1 && CLUA_TAG_TRUE == 2 && CLUA_TAG_INTEGER == 3 && CLUA_TAG_NUMBER == 4, "slot tags");
_Static_assert(CLUA_RESULT_SLOTS == 16, "slots for results");

static uint32_t grow_slots(lua_State *L, CLuaEngine *e, uint32_t count) {
    if (count <= e->slot_capacity) return count;
    CLuaSlot *grown = allocation_fails() ? NULL : realloc(e->slots, count * sizeof *grown);
    if (!grown) raise(L, "memory", "the arguments do not fit into memory");
    e->slots = grown;
    e->slot_capacity = count;
    return count;
}

static void fill_flat(lua_State *L, CLuaEngine *e, CLuaSlot *slot, int index, const char *function) {
    size_t start = e->arguments.length;
    encode_value(L, &e->arguments, index, (Blame){function, "argument"}, index);
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
