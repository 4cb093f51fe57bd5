// What the C files of the shim share. Functions here may raise Lua errors: they run inside Lua calls only.
#ifndef CLUASHIM_INTERNAL_H
#define CLUASHIM_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <string.h>

#include "CLuaShim.h"

// Lua 5.4.4 is what the wrappers are written against: the list of built-ins they replace is that version's.
#if LUA_VERSION_NUM != 504
#error "CLuaShim needs Lua 5.4"
#endif

enum {
    HOOK_PERIOD = 1000,       // instructions between two looks at the budgets
    CALL_FUEL = 50,           // what a call into the host costs, in instructions
    WAIT_FUEL = 1000,         // what a wait costs: a loop of waits has to end as well
    CLOSE_DEPTH = 100,        // 5.4.4 overflows the C stack some thousands of nested coroutine.close calls deep
    NATIVE_DEPTH = 180,       // nesting that our own recursive functions accept, whatever the caller asks
    TEXT_LIMIT = 4096,        // bytes of one error text
    TEXT_FUEL = 100000,       // instructions that making the text of an error may take
    LINE_LIMIT = 64 * 1024,   // bytes of one printed line
};

typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
} Buffer;

struct CLuaCancelFlag {
    atomic_bool value;
};

struct CLuaTask {
    lua_State *thread;
    uint64_t scope;   // 0 for a main task
    uint32_t index;   // the branch of its scope, from 1
    int start_count;  // arguments on the stack before the first resume, -1 afterwards
    bool cancelled, print;
    Buffer report;    // of the error that is unwinding the task
};

struct CLuaEngine {
    lua_State *main;
    CLuaHost host;
    CLuaLimits limits;
    size_t used, hard;
    uint64_t fuel_used, text_fuel;  // text_fuel: where a __tostring has to be done, 0 outside of one
    bool reply_lost;                // the last reply did not fit into memory
    int live_tasks;
    uint64_t unlooked;              // fuel that C functions charged since the budgets were last looked at
    int64_t time_used, slice_start;
    CLuaAbort abort;
    char abort_chunk[LUA_IDSIZE * 4];
    int abort_line;
    CLuaCancelFlag *cancel;
    CLuaTask *current;
    int blocked;       // resumes on the stack that a wait could not pass through
    int close_depth;
    Buffer arguments, reply, output;
    CLuaReply reply_kind;
    uint64_t next_scope, next_function;
};

// Registry keys: the addresses of these are what counts.
extern const char KEY_ERROR_META, KEY_ABORTS, KEY_TYPES, KEY_OBJECTS, KEY_BASE, KEY_MODULES, KEY_LOADED, KEY_LOADING,
    KEY_FUNCTIONS, KEY_FUNCTION_IDS, KEY_HOST_FUNCTIONS, KEY_FROZEN, KEY_ORDER, KEY_SCOPES, KEY_TASKS, KEY_CHUNK,
    KEY_SENTINEL, KEY_GLOBALS_VIEW, KEY_LENIENT;

// The extra space of a thread holds its engine; the lowest bit says that the thread waits for the host.
static inline CLuaEngine *engine_of(lua_State *L) {
    uintptr_t word;
    memcpy(&word, lua_getextraspace(L), sizeof word);
    return (CLuaEngine *)(word & ~(uintptr_t)1);
}
static inline bool is_waiting(lua_State *L) {
    uintptr_t word;
    memcpy(&word, lua_getextraspace(L), sizeof word);
    return word & 1;
}
static inline void set_waiting(lua_State *L, bool waiting) {
    uintptr_t word = (uintptr_t)engine_of(L) | (waiting ? 1 : 0);
    memcpy(lua_getextraspace(L), &word, sizeof word);
}

// engine.c
int64_t monotonic_nanoseconds(void);
void check_abort(lua_State *L);                 // raises when the run is being ended
void check_cancelled(lua_State *L);             // the same, and when the task was cancelled
bool is_ending(lua_State *L);                   // whether errors must not be caught
void begin_abort(lua_State *L, CLuaAbort why);
_Noreturn void raise_abort(lua_State *L);
_Noreturn void raise_ending(lua_State *L);
void install_hook(lua_State *L);
CLuaStatus protect(CLuaEngine *e, lua_CFunction body, void *context);
void look_at_budgets(lua_State *L);             // raises when one is used up

// Charges what a C function does, in instructions, before or while it does it: no hook runs inside of it.
static inline void spend(lua_State *L, size_t fuel) {
    CLuaEngine *e = engine_of(L);
    e->fuel_used += fuel;
    if ((e->unlooked += fuel) >= HOOK_PERIOD) look_at_budgets(L);
}

// probe.c: what tests look at and turn
bool allocation_fails(void);
extern atomic_long leaked_bytes, leaked_tasks;  // what closed engines still held

// buffer.c: growth fails without raising
bool buffer_append(Buffer *b, const void *bytes, size_t length);
void buffer_clear(Buffer *b);
void buffer_free(Buffer *b);

// codec.c
typedef struct {
    const char *function;  // public name for messages, or NULL
    const char *noun;      // "argument" or "result"
} Blame;
void encode_value(lua_State *L, Buffer *b, int index, Blame blame, int number);
int decode_values(lua_State *L, const uint8_t *bytes, size_t length);  // pushes them, returns how many

// order.c
int push_ordered_keys(lua_State *L, int table, lua_Integer *array_count);
bool push_ordered_keys_lenient(lua_State *L, int table, lua_Integer *array_count, int *count);
int guard_pairs(lua_State *L);
int guard_next(lua_State *L);

// errors.c
_Noreturn void raise(lua_State *L, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void push_error(lua_State *L, const char *kind, const char *message);  // pushes an error object
void wrap_error(lua_State *L);  // turns the table of fields on top into an error object
bool push_error_fields(lua_State *L, int index);  // pushes the fields when the value is an error object
bool find_position(lua_State *L, lua_State *of, int level, lua_Debug *out);
void push_traceback(lua_State *L, lua_State *of);
void push_safe_text(lua_State *L, int index);  // tostring that cannot fail or grow without bound
void report_error(lua_State *L, lua_State *from, Buffer *b);  // value on top of L
void open_errors(lua_State *L);
const char *chunk_label(const char *source, const char *short_source);

// objects.c
typedef struct {
    uint32_t type, length;
    char id[];
} Object;
Object *to_object(lua_State *L, int index);
void push_object(lua_State *L, uint32_t type, const char *id, size_t length);
const char *push_type_name(lua_State *L, uint32_t type);
void push_frozen(lua_State *L, const char *name, bool strict);  // wraps the table on top
bool is_frozen(lua_State *L, int index);

// entry.c
int host_entry(lua_State *L);
int pass_wait_up(lua_State *L, lua_KContext context, lua_KFunction next);
bool can_wait(lua_State *L);

// libraries
void push_tostring(lua_State *L, int index);
int inspect(lua_State *L);
void open_base(lua_State *L);       // guard_base.c: fills the table on top
void open_libraries(lua_State *L);  // guard_libraries.c

// guard_strings.c: these call Lua's own function, which is their upvalue
int guard_rep(lua_State *L);
int guard_format(lua_State *L);
int guard_texts(lua_State *L);
int guard_byte(lua_State *L);

// matcher.c
int guard_find(lua_State *L);
int guard_match(lua_State *L);
int guard_gmatch(lua_State *L);
int guard_gsub(lua_State *L);
void open_coroutine(lua_State *L);  // coroutine.c
void open_modules(lua_State *L);    // modules.c: require
void open_tasks(lua_State *L);      // scope.c

// names.c
const char *push_nearest(lua_State *L, const char *name, size_t length, int table, const char *best, int *distance);

#endif
