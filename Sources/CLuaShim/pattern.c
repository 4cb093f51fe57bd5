// Compiles Lua's patterns. A malformed pattern is an error only when matching gets to the malformed place, as in Lua's
// own, so what is wrong becomes an item of the program.
#include "pattern.h"

// ---- character classes, ASCII only, whatever the locale of the host is

const uint8_t character_flags[256] = {
    [0] = CONTROL | ZERO,     [1 ... 8] = CONTROL,      [9 ... 13] = CONTROL | SPACE, [14 ... 31] = CONTROL, [' '] = SPACE,
    ['!' ... '/'] = PUNCT,    ['0' ... '9'] = DIGIT | HEX,  [':' ... '@'] = PUNCT, ['A' ... 'F'] = UPPER | HEX,
    ['G' ... 'Z'] = UPPER,    ['[' ... '`'] = PUNCT,        ['a' ... 'f'] = LOWER | HEX,
    ['g' ... 'z'] = LOWER,    ['{' ... '~'] = PUNCT,        [127] = CONTROL,
};

// The flags that the letter of a class stands for, 0 when it is no class.
static uint8_t class_mask(unsigned char letter) {
    switch (letter | 32) {
    case 'a': return UPPER | LOWER;
    case 'c': return CONTROL;
    case 'd': return DIGIT;
    case 'g': return UPPER | LOWER | DIGIT | PUNCT;
    case 'l': return LOWER;
    case 'p': return PUNCT;
    case 's': return SPACE;
    case 'u': return UPPER;
    case 'w': return UPPER | LOWER | DIGIT;
    case 'x': return HEX;
    case 'z': return ZERO;  // an old name for the byte 0, which Lua still knows
    default: return 0;
    }
}

static bool is_letter(unsigned char c) { return character_flags[c] & (UPPER | LOWER); }
static bool is_upper(unsigned char c) { return character_flags[c] & UPPER; }

// ---- compiling

const char *const pattern_messages[] = {
    "malformed pattern (ends with '%%')",
    "malformed pattern (missing ']')",
    "malformed pattern (missing arguments to '%%b')",
    "missing '[' after '%%f' in pattern",
    "invalid pattern capture",
    "too many captures",
    "invalid capture index %%%d",
};
enum { ENDS_WITH_ESCAPE, NO_BRACKET, NO_BALANCE, NO_FRONTIER, NO_OPEN, TOO_MANY, NO_CAPTURE };

typedef struct {
    const unsigned char *p, *end;
    Program *program;
    Item *out;
    Set *set;
    int open[MOST_CAPTURES], depth;
} Compiler;

static void set_add(Set *set, unsigned c) { set->bits[c >> 6] |= (uint64_t)1 << (c & 63); }

// Compiles the set whose "[" is at c->p. Returns false when there is no end to it.
static bool compile_set(Compiler *c) {
    const unsigned char *start = c->p + 1, *close;
    bool negated = start < c->end && *start == '^';
    if (negated) start++;
    // The first character belongs to the set even if it is "]"; an escaped one never ends it.
    for (close = start;; close++) {
        if (close >= c->end) return false;
        if (*close == ']' && close > start) break;
        if (*close == '%') close++;
    }
    Set set = {{0}};
    for (const unsigned char *p = start; p < close; p++) {
        uint8_t mask;
        if (*p == '%') {
            p++;
            if (!(mask = class_mask(*p))) {
                set_add(&set, *p);
                continue;
            }
            for (unsigned i = 0; i < 256; i++)
                if ((!(character_flags[i] & mask)) == is_upper(*p)) set_add(&set, i);
        } else if (p + 2 < close && p[1] == '-') {
            for (unsigned i = p[0]; i <= p[2]; i++) set_add(&set, i);
            p += 2;
        } else {
            set_add(&set, *p);
        }
    }
    if (negated)
        for (int i = 0; i < 4; i++) set.bits[i] = ~set.bits[i];
    *c->set++ = set;
    c->p = close + 1;
    return true;
}

static void malformed(Compiler *c, uint32_t message, uint8_t a) {
    *c->out++ = (Item){.kind = ITEM_MALFORMED, .at = message, .a = a};
    c->p = c->end;
}

// Adds an item that takes one character, and the repetition that follows it.
static void add_single(Compiler *c, Item item) {
    if (c->p < c->end) {
        switch (*c->p) {
        case '?': item.repeat = OPTIONAL; c->p++; break;
        case '*': item.repeat = MANY; c->p++; break;
        case '+': item.repeat = SOME; c->p++; break;
        case '-': item.repeat = LAZY; c->p++; break;
        }
    }
    *c->out++ = item;
}

static void compile_escape(Compiler *c) {
    if (c->p + 1 >= c->end) {
        malformed(c, ENDS_WITH_ESCAPE, 0);
        return;
    }
    unsigned char letter = c->p[1];
    c->p += 2;
    if (letter == 'b') {
        if (c->end - c->p < 2) {
            malformed(c, NO_BALANCE, 0);
            return;
        }
        *c->out++ = (Item){.kind = ITEM_BALANCED, .a = c->p[0], .b = c->p[1]};
        c->p += 2;
    } else if (letter == 'f') {
        if (c->p >= c->end || *c->p != '[')
            malformed(c, NO_FRONTIER, 0);
        else if (!compile_set(c))
            malformed(c, NO_BRACKET, 0);
        else
            *c->out++ = (Item){.kind = ITEM_FRONTIER, .at = (uint32_t)(c->set - 1 - c->program->sets)};
    } else if (character_flags[letter] & DIGIT) {
        int capture = letter - '1';
        if (capture >= 0 && c->program->positions >> capture & 1)  // a position has no text to find again
            *c->out++ = (Item){.kind = ITEM_NEVER};
        else if (capture < 0 || !(c->program->closed >> capture & 1))
            malformed(c, NO_CAPTURE, (uint8_t)(letter - '0'));
        else
            *c->out++ = (Item){.kind = ITEM_SAME, .a = (uint8_t)capture};
    } else if (is_letter(letter) && class_mask(letter)) {
        add_single(c, (Item){.kind = ITEM_CLASS, .a = class_mask(letter), .b = is_upper(letter)});
    } else {
        add_single(c, (Item){.kind = ITEM_BYTE, .a = letter});
    }
}

static void compile_item(Compiler *c) {
    Program *program = c->program;
    unsigned char next = *c->p;
    switch (next) {
    case '(':
        if (program->captures >= MOST_CAPTURES) {
            malformed(c, TOO_MANY, 0);
        } else if (c->p + 1 < c->end && c->p[1] == ')') {
            program->positions |= (uint64_t)1 << program->captures;
            *c->out++ = (Item){.kind = ITEM_POSITION, .a = (uint8_t)program->captures++};
            c->p += 2;
        } else {
            c->open[c->depth++] = program->captures;
            *c->out++ = (Item){.kind = ITEM_OPEN, .a = (uint8_t)program->captures++};
            c->p++;
        }
        return;
    case ')':
        if (c->depth == 0) {
            malformed(c, NO_OPEN, 0);
        } else {
            int capture = c->open[--c->depth];
            program->closed |= (uint64_t)1 << capture;
            *c->out++ = (Item){.kind = ITEM_CLOSE, .a = (uint8_t)capture};
            c->p++;
        }
        return;
    case '$':
        if (c->p + 1 == c->end) {
            *c->out++ = (Item){.kind = ITEM_END};
            c->p++;
            return;
        }
        break;
    case '%':
        compile_escape(c);
        return;
    case '[':
        if (!compile_set(c))
            malformed(c, NO_BRACKET, 0);
        else
            add_single(c, (Item){.kind = ITEM_SET, .at = (uint32_t)(c->set - 1 - program->sets)});
        return;
    case '.':
        c->p++;
        add_single(c, (Item){.kind = ITEM_ANY});
        return;
    }
    c->p++;
    add_single(c, (Item){.kind = ITEM_BYTE, .a = next});
}

size_t count_sets(const char *pattern, size_t length) {
    size_t count = 0;
    for (const char *p = pattern; (p = memchr(p, '[', length - (size_t)(p - pattern))); p++) count++;
    return count;
}

void compile_pattern(Program *program, const char *pattern, size_t length) {
    Compiler c = {
        .p = (const unsigned char *)pattern,
        .end = (const unsigned char *)pattern + length,
        .program = program,
        .out = program->items,
        .set = program->sets,
    };
    program->captures = 0;
    program->closed = program->positions = 0;
    while (c.p < c.end) compile_item(&c);
    *c.out = (Item){.kind = ITEM_DONE};
}
