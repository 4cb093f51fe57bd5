// The printer of the session, and `inspect` for scripts: sorted keys, cycles named, depth and length bounded.
#include "internal.h"

enum { DEPTH = 6, ITEMS = 200, STRING_BYTES = 2000, TOTAL = 1 << 20 };

typedef struct {
    lua_State *L;
    int seen, depth_limit;
    size_t total;
} Printer;

// The text is collected in a Lua table of pieces, since a luaL_Buffer wants the top of the stack for itself.
static void piece(Printer *p, const char *text, size_t length) {
    lua_State *L = p->L;
    p->total += length;
    if (p->total > TOTAL) raise(L, "size", "inspect: the text would be larger than %d bytes", TOTAL);
    lua_pushlstring(L, text, length);
    lua_rawseti(L, p->seen + 1, (lua_Integer)lua_rawlen(L, p->seen + 1) + 1);
}
static void literal(Printer *p, const char *text) { piece(p, text, strlen(text)); }

static void quoted(Printer *p, const char *text, size_t length) {
    size_t shown = length > STRING_BYTES ? STRING_BYTES : length;
    literal(p, "\"");
    size_t start = 0;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *escape = NULL;
        char code[8];
        if (c == '"') escape = "\\\"";
        else if (c == '\\') escape = "\\\\";
        else if (c == '\n') escape = "\\n";
        else if (c == '\t') escape = "\\t";
        else if (c == '\r') escape = "\\r";
        else if (c < 32 || c == 127) {
            lua_Integer value = c;
            (void)lua_pushfstring(p->L, "\\%I", value);
            size_t n;
            const char *digits = lua_tolstring(p->L, -1, &n);
            memcpy(code, digits, n + 1);
            lua_pop(p->L, 1);
            // Three digits, so that a digit that follows is not read as part of the code.
            char padded[5] = {'\\', '0', '0', '0', 0};
            memcpy(padded + 4 - (n - 1), code + 1, n - 1);
            memcpy(code, padded, sizeof padded);
            escape = code;
        }
        if (!escape) continue;
        piece(p, text + start, i - start);
        literal(p, escape);
        start = i + 1;
    }
    piece(p, text + start, shown - start);
    literal(p, shown < length ? "\"..." : "\"");
}

static bool is_word(const char *text, size_t length) {
    static const char *const reserved[] = {
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
        "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while", NULL,
    };
    if (length == 0 || length > 64) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) return false;
    }
    for (int i = 0; reserved[i]; i++)
        if (strcmp(reserved[i], text) == 0) return false;
    return true;
}

static void print_value(Printer *p, int index, int depth);

static void new_line(Printer *p, int depth) {
    literal(p, "\n");
    for (int i = 0; i < depth; i++) literal(p, "  ");
}

static void print_key(Printer *p, int index, int depth) {
    lua_State *L = p->L;
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        if (is_word(text, length)) {
            piece(p, text, length);
            literal(p, " = ");
            return;
        }
    }
    literal(p, "[");
    print_value(p, index, depth);
    literal(p, "] = ");
}

static void print_table(Printer *p, int index, int depth) {
    lua_State *L = p->L;
    lua_pushvalue(L, index);
    if (lua_rawget(L, p->seen) != LUA_TNIL) {
        lua_pop(L, 1);
        literal(p, "<cycle>");
        return;
    }
    lua_pop(L, 1);
    lua_Integer array;
    int fields;
    push_ordered_keys_lenient(L, index, &array, &fields);
    int keys = lua_gettop(L);
    if (array == 0 && fields == 0) {
        literal(p, "{}");
    } else if (depth >= p->depth_limit) {
        literal(p, "{...}");
    } else {
        lua_pushvalue(L, index);
        lua_pushboolean(L, 1);
        lua_rawset(L, p->seen);
        literal(p, "{");
        bool lines = fields > 0 || array > 8;
        lua_Integer shown = 0;
        for (lua_Integer i = 1; i <= array + fields && shown < ITEMS; i++, shown++) {
            if (shown > 0) literal(p, ",");
            if (lines) new_line(p, depth + 1);
            else literal(p, " ");
            if (i <= array) {
                lua_rawgeti(L, index, i);
            } else {
                lua_rawgeti(L, keys, i - array);
                print_key(p, lua_gettop(L), depth + 1);
                lua_rawget(L, index);
            }
            print_value(p, lua_gettop(L), depth + 1);
            lua_pop(L, 1);
        }
        if (shown < array + fields) {
            literal(p, ",");
            new_line(p, depth + 1);
            lua_pushfstring(L, "... %I more", (LUAI_UACINT)(array + fields - shown));
            literal(p, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
        if (lines) new_line(p, depth);
        else literal(p, " ");
        literal(p, "}");
        lua_pushvalue(L, index);
        lua_pushnil(L);
        lua_rawset(L, p->seen);
    }
    lua_settop(L, keys - 1);
}

static void print_value(Printer *p, int index, int depth) {
    lua_State *L = p->L;
    luaL_checkstack(L, 20, NULL);
    size_t length;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &length);
        quoted(p, text, length);
        return;
    }
    int top = lua_gettop(L);
    if (lua_type(L, index) == LUA_TTABLE && is_frozen_data(L, index)) {
        lua_pushvalue(L, index);
        see_through(L, -1);
        print_table(p, lua_gettop(L), depth);
        lua_settop(L, top);
        return;
    }
    if (lua_type(L, index) == LUA_TTABLE && !is_frozen(L, index)
        && luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) {
        print_table(p, index, depth);
        return;
    }
    push_safe_text(L, index);
    const char *text = lua_tolstring(L, -1, &length);
    piece(p, text, length);
    lua_settop(L, top);
}

int inspect(lua_State *L) {
    luaL_checkany(L, 1);
    int depth = DEPTH;
    if (lua_type(L, 2) == LUA_TTABLE) {
        lua_getfield(L, 2, "depth");
        lua_Integer wanted = luaL_optinteger(L, -1, DEPTH);
        depth = wanted < 0 ? 0 : wanted > 40 ? 40 : (int)wanted;
    }
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    Printer p = {.L = L, .seen = 2, .depth_limit = depth};
    print_value(&p, 1, 0);
    lua_settop(L, 3);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    lua_Integer pieces = (lua_Integer)lua_rawlen(L, 3);
    for (lua_Integer i = 1; i <= pieces; i++) {
        lua_rawgeti(L, 3, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return 1;
}
