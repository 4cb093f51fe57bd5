// A match that is being made: matcher.c runs a program, match_functions.c has the functions of Lua.
#ifndef CLUASHIM_MATCHER_H
#define CLUASHIM_MATCHER_H

#include "pattern.h"

enum {
    STEPS_PER_FUEL = 4,  // looking at one character costs less than an instruction
    LOOK_PERIOD = 4096,  // steps between two looks at the budgets
};

typedef struct {
    lua_State *L;
    Program program;
    const unsigned char *start, *end;  // of the subject
    uint32_t steps;
    struct {
        const unsigned char *start, *end;
    } captures[MOST_CAPTURES];
} Matcher;

static inline void settle(Matcher *m) {
    uint32_t fuel = m->steps / STEPS_PER_FUEL;
    m->steps %= STEPS_PER_FUEL;
    spend(m->L, fuel);
}

static inline void step(Matcher *m, size_t count) {
    if (count < LOOK_PERIOD && (m->steps += (uint32_t)count) < LOOK_PERIOD) return;
    if (count >= LOOK_PERIOD) spend(m->L, count / STEPS_PER_FUEL);
    settle(m);
}

// Matches the program from s. Returns the end of the match, or NULL.
const unsigned char *match_at(Matcher *m, const unsigned char *s);
// Finds the first match at or after s. Returns its start and sets *after, or returns NULL.
const unsigned char *search(Matcher *m, const unsigned char *s, const unsigned char **after);

#endif
