// Byte buffers that live outside the Lua heap, so that an error raised while one is being filled leaks nothing.
#include <stdlib.h>

#include "internal.h"

bool buffer_reserve(Buffer *b, size_t length) {
    if (length > SIZE_MAX / 4 - b->length) return false;
    size_t need = b->length + length;
    if (need > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : 256;
        while (capacity < need) capacity *= 2;
        uint8_t *grown = allocation_fails() ? NULL : realloc(b->bytes, capacity);
        if (!grown) return false;
        b->bytes = grown;
        b->capacity = capacity;
    }
    return true;
}

bool buffer_append(Buffer *b, const void *bytes, size_t length) {
    if (length > b->capacity - b->length && !buffer_reserve(b, length)) return false;
    if (length) memcpy(b->bytes + b->length, bytes, length);
    b->length += length;
    return true;
}

void buffer_free(Buffer *b) {
    free(b->bytes);
    *b = (Buffer){0};
}
