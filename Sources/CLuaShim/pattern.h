// A pattern of Lua, compiled: a row of items. pattern.c makes it, matcher.c runs it.
#ifndef CLUASHIM_PATTERN_H
#define CLUASHIM_PATTERN_H

#include "internal.h"

enum { MOST_CAPTURES = 32 };

// What a character is, ASCII only, whatever the locale of the host is.
enum { UPPER = 1, LOWER = 2, DIGIT = 4, PUNCT = 8, SPACE = 16, CONTROL = 32, HEX = 64, ZERO = 128 };
extern const uint8_t character_flags[256];

typedef enum : uint8_t {
    // These take one character and may be repeated.
    ITEM_BYTE,
    ITEM_ANY,
    ITEM_CLASS,
    ITEM_SET,
    // These stand alone.
    ITEM_OPEN,
    ITEM_POSITION,
    ITEM_CLOSE,
    ITEM_SAME,      // what a capture matched
    ITEM_BALANCED,
    ITEM_FRONTIER,
    ITEM_END,       // "$" at the end of the pattern
    ITEM_NEVER,
    ITEM_MALFORMED,
    ITEM_DONE,
} ItemKind;

typedef enum : uint8_t { ONCE, OPTIONAL, MANY, SOME, LAZY } Repeat;

typedef struct {
    ItemKind kind;
    Repeat repeat;
    uint8_t a, b;  // byte; mask and whether it is negated; opening and closing byte; capture
    uint32_t at;   // index of a set, or of a message
} Item;

typedef struct {
    uint64_t bits[4];
} Set;

static inline bool set_has(const Set *set, unsigned c) { return set->bits[c >> 6] >> (c & 63) & 1; }

typedef struct {
    Item *items;
    Set *sets;
    int captures;
    uint64_t closed, positions;  // bits of captures
} Program;

extern const char *const pattern_messages[];  // of malformed items; the number is the item's `a`

// How many sets a program may need at most; it has at most one item for each byte, and one more.
size_t count_sets(const char *pattern, size_t length);
// Fills a program whose items and sets are large enough. A malformed place becomes an item.
void compile_pattern(Program *program, const char *pattern, size_t length);

#endif
