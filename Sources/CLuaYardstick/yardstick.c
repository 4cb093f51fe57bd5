#define _GNU_SOURCE  // gettid
#include "CLuaYardstick.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

enum { WAKES = 4096 };

struct YardstickWaker {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    pthread_t thread;
    void (*wake)(void *);
    void *waiting;  // who waits to be woken; with `mutex`, as `stopped`
    bool stopped;
    _Atomic int watched;
    double times[WAKES];  // these two are the waker's own until it is joined
    int count;
};

int yardstick_thread(void) { return (int)gettid(); }

// Whether the system has taken the thread off its processor until something wakes it.
static bool sleeps(int thread) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char *text = fgets(line, sizeof line, file);
    fclose(file);
    char *name_end = text ? strrchr(text, ')') : NULL;
    return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

static void pause_for(long nanoseconds) { nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL); }

static void *work(void *context) {
    YardstickWaker *waker = context;
    double woken_at = 0;
    pthread_mutex_lock(&waker->mutex);
    for (;;) {
        while (!waker->waiting && !waker->stopped) pthread_cond_wait(&waker->condition, &waker->mutex);
        void *who = waker->waiting;
        waker->waiting = NULL;
        pthread_mutex_unlock(&waker->mutex);
        if (woken_at > 0 && who && waker->count < WAKES) waker->times[waker->count++] = now() - woken_at;
        if (!who) return NULL;
        while (!sleeps(atomic_load(&waker->watched))) pause_for(20000);
        // Other threads of the same call may still look for work: they too are given the time to fall asleep.
        pause_for(200000);
        woken_at = now();
        waker->wake(who);
        pthread_mutex_lock(&waker->mutex);
    }
}

YardstickWaker *yardstick_waker(void (*wake)(void *)) {
    YardstickWaker *waker = calloc(1, sizeof *waker);
    if (!waker) return NULL;
    waker->wake = wake;
    pthread_mutex_init(&waker->mutex, NULL);
    pthread_cond_init(&waker->condition, NULL);
    if (pthread_create(&waker->thread, NULL, work, waker) == 0) return waker;
    free(waker);
    return NULL;
}

void yardstick_watch(YardstickWaker *waker, int thread) { atomic_store(&waker->watched, thread); }

void yardstick_hand_over(YardstickWaker *waker, void *who) {
    pthread_mutex_lock(&waker->mutex);
    waker->waiting = who;
    pthread_mutex_unlock(&waker->mutex);
    pthread_cond_signal(&waker->condition);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double yardstick_waker_end(YardstickWaker *waker) {
    pthread_mutex_lock(&waker->mutex);
    waker->stopped = true;
    pthread_mutex_unlock(&waker->mutex);
    pthread_cond_signal(&waker->condition);
    pthread_join(waker->thread, NULL);
    qsort(waker->times, (size_t)waker->count, sizeof *waker->times, compare);
    double result = waker->count > 0 ? waker->times[waker->count / 2] : -1;
    pthread_cond_destroy(&waker->condition);
    pthread_mutex_destroy(&waker->mutex);
    free(waker);
    return result;
}

// The peer: a thread that waits for a flag.
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool woken;
} Sleeper;

static void wake_sleeper(void *context) {
    Sleeper *sleeper = context;
    pthread_mutex_lock(&sleeper->mutex);
    sleeper->woken = true;
    pthread_mutex_unlock(&sleeper->mutex);
    pthread_cond_signal(&sleeper->condition);
}

double yardstick_round_trip(int count) {
    Sleeper sleeper = {.woken = false};
    pthread_mutex_init(&sleeper.mutex, NULL);
    pthread_cond_init(&sleeper.condition, NULL);
    YardstickWaker *waker = yardstick_waker(wake_sleeper);
    if (!waker) return -1;
    yardstick_watch(waker, yardstick_thread());
    for (int i = 0; i < count; i++) {
        yardstick_hand_over(waker, &sleeper);
        pthread_mutex_lock(&sleeper.mutex);
        while (!sleeper.woken) pthread_cond_wait(&sleeper.condition, &sleeper.mutex);
        sleeper.woken = false;
        pthread_mutex_unlock(&sleeper.mutex);
    }
    double result = yardstick_waker_end(waker);
    pthread_cond_destroy(&sleeper.condition);
    pthread_mutex_destroy(&sleeper.mutex);
    return result;
}
