// Lua's pattern language with a step budget: what string.find, match, gmatch and gsub run.
//
// Lua's own matcher is one C call that nothing can interrupt, and some short patterns take it years. This one compiles
// a pattern to a row of items and keeps its open choices on a stack of its own, so every step is counted, charged to
// the fuel of the run, and a place to stop. A pattern is a plain row without alternatives: whichever way an item is
// reached, all items before it have been passed. So which captures are open is known when the pattern is compiled, and
// giving up a choice never has to restore one.
#include "matcher.h"

// Open at once; more is "pattern too complex".
enum { MOST_CHOICES = 200 };

typedef struct {
    uint32_t item;
    const unsigned char *low, *at;
} Choice;

static inline bool takes(const Matcher *m, const Item *item, unsigned char c) {
    switch (item->kind) {
    case ITEM_BYTE: return c == item->a;
    case ITEM_ANY: return true;
    case ITEM_CLASS: return (!(character_flags[c] & item->a)) == item->b;
    default: return set_has(&m->program.sets[item->at], c);
    }
}

// The end of the longest row of characters that the item takes.
static const unsigned char *longest(const Matcher *m, const Item *item, const unsigned char *s) {
    const unsigned char *end = m->end;
    switch (item->kind) {
    case ITEM_BYTE:
        while (s < end && *s == item->a) s++;
        return s;
    case ITEM_ANY:
        return end;
    case ITEM_CLASS:
        while (s < end && (!(character_flags[*s] & item->a)) == item->b) s++;
        return s;
    default: {
        const Set set = m->program.sets[item->at];
        while (s < end && set_has(&set, *s)) s++;
        return s;
    }
    }
}

static const unsigned char *balanced(Matcher *m, const Item *item, const unsigned char *s) {
    if (s >= m->end || *s != item->a) return NULL;
    size_t depth = 1;
    for (const unsigned char *p = s + 1; p < m->end; p++) {
        if (*p == item->b) {
            if (--depth == 0) {
                step(m, (size_t)(p - s));
                return p + 1;
            }
        } else if (*p == item->a) {
            depth++;
        }
    }
    step(m, (size_t)(m->end - s));
    return NULL;
}

// Matches the program from s. Returns the end of the match, or NULL.
const unsigned char *match_at(Matcher *m, const unsigned char *s) {
    Choice choices[MOST_CHOICES];
    int open = 0;
    const Item *items = m->program.items;
    uint32_t i = 0;
    for (;;) {
        const Item *item = &items[i];
        step(m, 1);
        switch (item->kind) {
        case ITEM_BYTE:
        case ITEM_ANY:
        case ITEM_CLASS:
        case ITEM_SET: {
            Choice choice = {.item = i, .low = s, .at = s};
            switch (item->repeat) {
            case ONCE:
                if (s >= m->end || !takes(m, item, *s)) goto retreat;
                s++;
                i++;
                continue;
            case OPTIONAL:
                i++;
                if (s >= m->end || !takes(m, item, *s)) continue;
                s++;
                break;
            case SOME:
                choice.low++;
                // fallthrough
            case MANY:
                choice.at = longest(m, item, s);
                step(m, (size_t)(choice.at - s));
                if (choice.at < choice.low) goto retreat;
                s = choice.at;
                i++;
                if (choice.at == choice.low) continue;
                break;
            case LAZY:
                i++;
                break;
            }
            if (items[i].kind == ITEM_DONE) continue;  // nothing after it can make it reconsider
            if (open == MOST_CHOICES) luaL_error(m->L, "pattern too complex");
            choices[open++] = choice;
            continue;
        }
        case ITEM_OPEN:
        case ITEM_POSITION:
            m->captures[item->a].start = s;
            i++;
            continue;
        case ITEM_CLOSE:
            m->captures[item->a].end = s;
            i++;
            continue;
        case ITEM_SAME: {
            const unsigned char *text = m->captures[item->a].start;
            size_t length = (size_t)(m->captures[item->a].end - text);
            if (length > (size_t)(m->end - s)) goto retreat;
            step(m, length / 16 + 1);  // compared many bytes at a time
            if (length > 0 && memcmp(text, s, length) != 0) goto retreat;
            s += length;
            i++;
            continue;
        }
        case ITEM_BALANCED: {
            const unsigned char *after = balanced(m, item, s);
            if (!after) goto retreat;
            s = after;
            i++;
            continue;
        }
        case ITEM_FRONTIER: {
            const Set *set = &m->program.sets[item->at];
            if (set_has(set, s > m->start ? s[-1] : 0) || !set_has(set, s < m->end ? *s : 0)) goto retreat;
            i++;
            continue;
        }
        case ITEM_END:
            if (s < m->end) goto retreat;
            i++;
            continue;
        case ITEM_NEVER:
            goto retreat;
        case ITEM_MALFORMED:
            luaL_error(m->L, pattern_messages[item->at], item->a);
            return NULL;
        case ITEM_DONE:
            return s;
        }
    retreat:
        for (;;) {
            if (open == 0) return NULL;
            Choice *choice = &choices[open - 1];
            const Item *chosen = &items[choice->item];
            step(m, 1);
            i = choice->item + 1;
            if (chosen->repeat == LAZY) {
                if (choice->at < m->end && takes(m, chosen, *choice->at)) {
                    s = ++choice->at;
                    break;
                }
                open--;
            } else if (chosen->repeat == OPTIONAL) {
                s = choice->at;
                open--;
                break;
            } else {
                s = --choice->at;
                if (s == choice->low) open--;
                break;
            }
        }
    }
}

// Finds the first match at or after s. Returns its start and sets *after, or returns NULL.
const unsigned char *search(Matcher *m, const unsigned char *s, const unsigned char **after) {
    const Item *first = m->program.items;
    for (;; s++) {
        if (first->kind == ITEM_BYTE && first->repeat == ONCE) {
            const unsigned char *next = s < m->end ? memchr(s, first->a, (size_t)(m->end - s)) : NULL;
            step(m, (size_t)((next ? next : m->end) - s) / 8 + 1);
            if (!next) return NULL;
            s = next;
        }
        if ((*after = match_at(m, s))) return s;
        if (s >= m->end) return NULL;
    }
}
