// Byte buffers that live outside the Lua heap, so that an error raised while one is being filled leaks nothing.
#include <stdlib.h>

#include "internal.h"

bool buffer_append(Buffer *b, const void *bytes, size_t length) {
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
    if (length) memcpy(b->bytes + b->length, bytes, length);
    b->length = need;
    return true;
}

void buffer_clear(Buffer *b) {
    b->length = 0;
    // One huge call must not hold its memory for the rest of the run.
    if (b->capacity > 1 << 20) buffer_free(b);
}

void buffer_free(Buffer *b) {
    free(b->bytes);
    *b = (Buffer){0};
}
