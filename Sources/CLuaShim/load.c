// Loading: text becomes a function, which waits for a task to be made of it; or a syntax error becomes a report.
#include <stdlib.h>

#include "internal.h"

static void report_text(lua_State *L, Buffer *b, int index) {
    encode_value(L, b, index, (Blame){NULL, "report"}, 1);
}

typedef struct {
    const uint8_t *source;
    size_t length;
    const char *chunk;
    bool expression;
    CLuaStatus status;
} Load;

// A syntax error reads "chunk:line: text"; the chunk is known, so what stands before it can be cut exactly.
static void report_syntax(lua_State *L, const Load *load) {
    Buffer *b = &engine_of(L)->output;
    const char *text = lua_tostring(L, -1), *label = load->chunk + 1;
    size_t length = strlen(label);
    long line = 0;
    const char *message = text;
    // Lua shortens long names, but leaves their end: look for the first ":<digits>: ".
    const char *start = strncmp(text, label, length) == 0 ? text + length : strchr(text, ':');
    for (const char *p = start; p; p = strchr(p + 1, ':')) {
        char *end;
        if (*p == ':' && (line = strtol(p + 1, &end, 10)) > 0 && end[0] == ':' && end[1] == ' ') {
            message = end + 2;
            break;
        }
        line = 0;
    }
    lua_pushstring(L, message);
    report_text(L, b, -1);
    lua_pushliteral(L, "");
    report_text(L, b, -2);
    report_text(L, b, -1);
    lua_pushstring(L, label);
    report_text(L, b, -1);
    lua_pushinteger(L, line);
    report_text(L, b, -1);
}

static bool ends_early(lua_State *L) {
    static const char mark[] = "<eof>";
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    return text && length >= sizeof mark - 1 && strcmp(text + length - (sizeof mark - 1), mark) == 0;
}

static int load(lua_State *L) {
    Load *l = lua_touserdata(L, 1);
    luaL_checkstack(L, 20, NULL);
    if (l->length > engine_of(L)->limits.source_bytes) raise(L, "size", "the source text is too long");
    if (l->expression) {
        lua_pushliteral(L, "return ");
        lua_pushlstring(L, (const char *)l->source, l->length);
        lua_concat(L, 2);
    } else {
        lua_pushlstring(L, (const char *)l->source, l->length);
    }
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    int status = luaL_loadbufferx(L, text, length, l->chunk, "t");
    if (status == LUA_OK) {
        lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY_CHUNK);
        l->status = CLUA_OK;
        return 0;
    }
    if (status == LUA_ERRMEM) {
        l->status = CLUA_NO_MEMORY;
        return 0;
    }
    l->status = ends_early(L) ? CLUA_INCOMPLETE : CLUA_ERROR;
    report_syntax(L, l);
    return 0;
}

CLuaStatus clua_load(CLuaEngine *e, const uint8_t *source, size_t length, const char *chunk, bool expression) {
    buffer_clear(&e->output);
    Load l = {source, length, chunk, expression, CLUA_ERROR};
    CLuaStatus status = protect(e, load, &l);
    return status == CLUA_OK ? l.status : status;
}
