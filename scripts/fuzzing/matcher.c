// Any pattern on any subject: no fault, and the same result as Lua's own, which is asked only where ours was quick.
//
// The input: a byte for where to start, the length of the pattern, the pattern, the subject.
#define _GNU_SOURCE  // memmem
#include "engine.h"

typedef struct {
    const char *pattern, *subject;
    size_t pattern_length, subject_length;
    int start;
    char *text;  // what came of it
    size_t length;
} Input;

static void add_results(luaL_Buffer *b, lua_State *from, int status) {
    luaL_addstring(b, status == LUA_OK ? "ok" : "error");
    for (int i = 1; i <= lua_gettop(from); i++) {
        size_t length;
        const char *text = luaL_tolstring(from, i, &length);
        luaL_addchar(b, ' ');
        luaL_addlstring(b, text, length);
        lua_pop(from, 1);
    }
    luaL_addchar(b, '\n');
    lua_settop(from, 0);
}

// Calls find, match, gmatch and gsub, which are the upvalues, and leaves what came of it in the input.
static int body(lua_State *L) {
    Input *input = lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_State *inner = lua_newthread(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; i < 6; i++) {
        static const int functions[] = {0, 1, 2, 3, 3, 3};
        static const char *const replacements[] = {NULL, NULL, NULL, "<%0>", "%1%2", "%"};
        lua_pushvalue(L, lua_upvalueindex(1 + functions[i]));
        lua_xmove(L, inner, 1);
        lua_pushlstring(inner, input->subject, input->subject_length);
        lua_pushlstring(inner, input->pattern, input->pattern_length);
        if (replacements[i]) {
            lua_pushstring(inner, replacements[i]);
            lua_pushinteger(inner, input->start < 0 ? 3 : input->start);
        } else {
            lua_pushinteger(inner, input->start);
        }
        int status = lua_pcall(inner, replacements[i] ? 4 : 3, LUA_MULTRET, 0);
        if (i == 2 && status == LUA_OK) {
            for (int turn = 0; turn < 8; turn++) {
                lua_settop(inner, 1);
                lua_pushvalue(inner, 1);
                if ((status = lua_pcall(inner, 0, LUA_MULTRET, 0)) != LUA_OK || lua_isnil(inner, 2)) break;
                lua_State *spare = lua_newthread(L);
                lua_xmove(inner, spare, lua_gettop(inner) - 1);
                lua_pop(L, 1);
                add_results(&b, spare, status);
                if (lua_gettop(inner) == 0) break;
            }
            lua_settop(inner, 0);
            continue;
        }
        add_results(&b, inner, status);
    }
    luaL_pushresult(&b);
    const char *text = lua_tolstring(L, -1, &input->length);
    input->text = malloc(input->length + 1);
    memcpy(input->text, text, input->length + 1);
    return 0;
}

static int ours(lua_State *L) {
    void *input = lua_touserdata(L, 1);
    lua_settop(L, 0);
    static const lua_CFunction functions[] = {guard_find, guard_match, guard_gmatch, guard_gsub};
    for (int i = 0; i < 4; i++) lua_pushcfunction(L, functions[i]);
    lua_pushcclosure(L, body, 4);
    lua_pushlightuserdata(L, input);
    lua_call(L, 1, 0);
    return 0;
}

static int theirs(lua_State *L) {
    static const char *const names[] = {"find", "match", "gmatch", "gsub"};
    void *input = lua_touserdata(L, 1);
    lua_settop(L, 0);
    luaL_requiref(L, "string", luaopen_string, 0);
    for (int i = 0; i < 4; i++) lua_getfield(L, 1, names[i]);
    lua_pushcclosure(L, body, 4);
    lua_pushlightuserdata(L, input);
    lua_call(L, 1, 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    size_t pattern = data[1] < size - 2 ? data[1] : size - 2;
    Input mine = {
        .pattern = (const char *)data + 2, .pattern_length = pattern,
        .subject = (const char *)data + 2 + pattern, .subject_length = size - 2 - pattern,
        .start = (int8_t)data[0] % 16,
    };
    Input stock = mine;
    CLuaEngine *e = engine();
    if (protect(e, ours, &mine) != CLUA_OK || clua_aborted(e) || clua_usage(e).fuel > 50000) {
        free(mine.text);
        return 0;
    }
    static lua_State *L;
    if (!L) L = luaL_newstate();
    lua_settop(L, 0);
    lua_pushcfunction(L, theirs);
    lua_pushlightuserdata(L, &stock);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) abort();
    // What is too complex for Lua's own may be well for ours, which does not nest for a capture.
    bool comparable = !memmem(stock.text, stock.length, "too complex", 11);
    if (comparable && (mine.length != stock.length || memcmp(mine.text, stock.text, mine.length) != 0)) {
        fprintf(stderr, "ours:\n%s\nLua's own:\n%s\n", mine.text, stock.text);
        abort();
    }
    free(mine.text);
    free(stock.text);
    return 0;
}
