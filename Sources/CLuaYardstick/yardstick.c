#include "CLuaYardstick.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now(void) { return read_clock(CLOCK_MONOTONIC); }

// What the processor did for this process: other load on the machine does not count.
double yardstick_cpu(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

// ---- calls

static int add(lua_State *L) {
    lua_pushinteger(L, luaL_checkinteger(L, 1) + luaL_checkinteger(L, 2));
    return 1;
}

static int text(lua_State *L) {
    char name[64];
    int length = snprintf(name, sizeof name, "vm-%lld.site-north", (long long)luaL_checkinteger(L, 1));
    lua_pushlstring(L, name, (size_t)length);
    return 1;
}

// Reads each of the twelve fields by its name, as a careful C function would.
static int options(lua_State *L) {
    static const char *const texts[] = {"name", "source", "point", "kind", NULL};
    static const char *const numbers[] = {"limit", "timeout", "retries", "port", "delay", NULL};
    static const char *const flags[] = {"force", "verify", "test", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer sum = 0;
    for (int i = 0; texts[i]; i++) {
        lua_getfield(L, 1, texts[i]);
        size_t length;
        char *copy = strdup(luaL_checklstring(L, -1, &length));
        sum += (lua_Integer)length;
        free(copy);
        lua_pop(L, 1);
    }
    for (int i = 0; numbers[i]; i++) {
        lua_getfield(L, 1, numbers[i]);
        sum += luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    for (int i = 0; flags[i]; i++) {
        lua_getfield(L, 1, flags[i]);
        sum += lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    lua_pushinteger(L, sum);
    return 1;
}

static void empty_hook(lua_State *L, lua_Debug *ar) {
    (void)L;
    (void)ar;
}

double yardstick_run(const char *source, bool hooked) {
    lua_State *L = luaL_newstate();
    if (!L) return -1;
    luaL_openlibs(L);
    static const luaL_Reg functions[] = {{"add", add}, {"text", text}, {"options", options}, {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_setglobal(L, "host");
    double result = -1;
    if (luaL_loadstring(L, source) == LUA_OK) {
        if (hooked) lua_sethook(L, empty_hook, LUA_MASKCOUNT, 1000);
        double start = yardstick_cpu();
        if (lua_pcall(L, 0, 0, 0) == LUA_OK) result = yardstick_cpu() - start;
    }
    lua_close(L);
    return result;
}

// ---- states

double yardstick_state(int count) {
    double start = yardstick_cpu();
    for (int i = 0; i < count; i++) {
        lua_State *L = luaL_newstate();
        if (!L) return -1;
        luaL_openlibs(L);
        lua_close(L);
    }
    return (yardstick_cpu() - start) / count;
}

size_t yardstick_state_bytes(void) {
    lua_State *L = luaL_newstate();
    if (!L) return 0;
    luaL_openlibs(L);
    size_t bytes = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua_close(L);
    return bytes;
}

// ---- threads

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int turn, count;
} Rally;

static void play(Rally *rally, int side) {
    pthread_mutex_lock(&rally->mutex);
    for (int i = 0; i < rally->count; i++) {
        while (rally->turn != side) pthread_cond_wait(&rally->condition, &rally->mutex);
        rally->turn = 1 - side;
        pthread_cond_signal(&rally->condition);
    }
    pthread_mutex_unlock(&rally->mutex);
}

static void *answer(void *rally) {
    play(rally, 1);
    return NULL;
}

double yardstick_round_trip(int count) {
    Rally rally = {.count = count};
    pthread_mutex_init(&rally.mutex, NULL);
    pthread_cond_init(&rally.condition, NULL);
    pthread_t other;
    if (pthread_create(&other, NULL, answer, &rally) != 0) return -1;
    double start = now();
    play(&rally, 0);
    pthread_join(other, NULL);
    double result = (now() - start) / count;
    pthread_cond_destroy(&rally.condition);
    pthread_mutex_destroy(&rally.mutex);
    return result;
}
