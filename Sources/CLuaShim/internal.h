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
    HOOK_PERIOD = 1000,       // instructions between two looks at the budgets, at most
    LOOK_BYTES = 256 * 1024,  // bytes that are allocated between two looks, at most
    LONG_WALK = 1024,         // places of a table from which on a walk through it is charged by them too
    PLACES_PER_FUEL = 8,      // an empty place is passed sooner than an instruction is done
    BYTES_PER_FUEL = 32,      // what goes through texts, and allocating, is charged by bytes
    SHORT_TEXT = 256,         // bytes up to which a text is not charged where it is allocated
    LONG_TEXT = 64 * 1024,    // from here on a text is long enough to have the looks come more often
    NAME_SHOWN = 100,         // bytes of a __name that tostring shows
    CALL_FUEL = 50,           // what a call into the host costs, in instructions
    WAIT_FUEL = 1000,         // what a wait costs: a loop of waits has to end as well
    CLOSE_DEPTH = 100,        // 5.4.4 overflows the C stack some thousands of nested coroutine.close calls deep
    NATIVE_DEPTH = 180,       // nesting that our own recursive functions accept, whatever the caller asks
    TEXT_LIMIT = 4096,        // bytes of one error text
    TEXT_FUEL = 100000,       // instructions that making the text of an error may take
    LINE_LIMIT = 64 * 1024,   // bytes of one printed line
    NESTED_COROUTINES = 190,  // resumes inside resumes, which is what stock Lua allows within 200 nested C calls
    STACK_RESERVE = 4 << 20,  // bytes of C stack that a nested coroutine needs for 200 nested C calls of its own
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
    uint64_t calls;   // host calls made so far
    uint64_t closing_fuel_end;  // of a cancelled task: where its close handlers have to be done
    int64_t closing_time_end;
    bool cancelled, print;
    bool spent;       // they were not
    bool has_ending;  // KEY_ENDINGS holds the error that a cancelled wait gave
    bool has_suppressed;  // KEY_SUPPRESSED holds what its close handlers raised
    Buffer report;    // of the error that is unwinding the task
};

// A host function; the only upvalue of its closure points here.
typedef struct Entry {
    CLuaEngine *engine;
    CLuaCallback callback;
    void *binding;
    const void *meta;     // the metatable that the first argument of a method has, or NULL
    char *name;           // public name
    struct Entry *next;
    uint32_t id, type;
    bool waits, timed;
} Entry;

struct CLuaEngine {
    lua_State *main;
    CLuaHost host;
    CLuaLimits limits;
    size_t used, hard, text_limit;  // text_limit: bytes of one text
    size_t unseen;                  // bytes allocated that are not charged yet
    uint64_t asked;                 // bytes that were charged, or will be, since the state was opened
    size_t longest;                 // the longest text made, of those that may still be there
    int period;                     // instructions between two looks now
    lua_State *running;             // the thread that Lua runs on, NULL outside of protected calls
    uint64_t refused;               // allocations that failed
    uint64_t fuel_used, text_fuel;  // text_fuel: where a __tostring has to be done, 0 outside of one
    bool reply_lost;                // the last reply did not fit into memory
    int live_tasks;
    uint64_t unlooked;              // fuel that C functions charged since the budgets were last looked at
    int64_t time_used, slice_start, host_time, last_look;  // see clock.c
    bool in_slice, called_untimed;
    bool knows_capacity;            // see capacity.c
    CLuaAbort abort;
    bool spent;                     // the close handlers of an aborted run have used up their own budget
    uint64_t closing_fuel_end;
    int64_t closing_time_end;
    char abort_chunk[LUA_IDSIZE * 4];
    int abort_line;
    CLuaCancelFlag *cancel;
    CLuaTask *current;
    int blocked;       // resumes on the stack that a wait could not pass through
    int close_depth, resume_depth;
    uintptr_t stack_thread, stack_low;  // the thread that runs Lua, and where its C stack ends
    char position_text[LUA_IDSIZE];
    lua_State *calling;   // of the host call that is being served
    Entry *entries;       // all host functions
    CLuaSlot *slots;      // for the arguments of one call
    uint32_t slot_capacity;
    CLuaSlot results[CLUA_RESULT_SLOTS];
    Buffer arguments, reply, output;
    CLuaReply reply_kind;
    uint64_t next_scope, next_function;
};

// Registry keys: the addresses of these are what counts.
extern const char KEY_ERROR_META, KEY_ABORTS, KEY_TYPES, KEY_OBJECTS, KEY_BASE, KEY_MODULES, KEY_LOADED, KEY_LOADING,
    KEY_FUNCTIONS, KEY_FUNCTION_IDS, KEY_HOST_FUNCTIONS, KEY_FROZEN, KEY_ORDER, KEY_SCOPES, KEY_TASKS, KEY_CHUNK,
    KEY_SENTINEL, KEY_ENDINGS, KEY_SUPPRESSED, KEY_HANDLE_META, KEY_LENIENT, KEY_GLOBALS_VIEW;

// The extra space of a thread holds its engine, which is aligned so that the low bits are free: whether the thread
// waits for the host, whether who resumed it would catch its errors, and how many protected calls it is in. The
// count stays at its highest value once it is there, as waits let protected calls nest without bound: the thread then
// passes for guarded.
enum { WORD_WAITING = 1, WORD_INHERITED = 2, WORD_GUARD = 4, WORD_GUARDS = 255 * WORD_GUARD, WORD_FLAGS = 1023 };

static inline uintptr_t *thread_word(lua_State *L) { return lua_getextraspace(L); }
static inline CLuaEngine *engine_of(lua_State *L) {
    return (CLuaEngine *)(*thread_word(L) & ~(uintptr_t)WORD_FLAGS);
}
static inline bool is_waiting(lua_State *L) { return *thread_word(L) & WORD_WAITING; }
static inline void set_waiting(lua_State *L, bool waiting) {
    *thread_word(L) = (*thread_word(L) & ~(uintptr_t)WORD_WAITING) | (waiting ? WORD_WAITING : 0);
}
static inline bool is_guarded(lua_State *L) { return *thread_word(L) & (WORD_GUARDS | WORD_INHERITED); }
static inline void set_inherited(lua_State *L, bool guarded) {
    *thread_word(L) = (*thread_word(L) & ~(uintptr_t)WORD_INHERITED) | (guarded ? WORD_INHERITED : 0);
}
static inline void enter_guard(lua_State *L) {
    if ((*thread_word(L) & WORD_GUARDS) != WORD_GUARDS) *thread_word(L) += WORD_GUARD;
}
static inline void leave_guard(lua_State *L) {
    uintptr_t guards = *thread_word(L) & WORD_GUARDS;
    if (guards != 0 && guards != WORD_GUARDS) *thread_word(L) -= WORD_GUARD;
}

// engine.c
CLuaStatus protect(CLuaEngine *e, lua_CFunction body, void *context);

// abort.c
void check_abort(lua_State *L);                 // raises when the run has to be ended, or has to end at once
void check_ending(lua_State *L);                // raises when the run or the task is being ended
bool is_ending(lua_State *L);                   // whether the run or the task is being ended
bool is_spent(lua_State *L);                    // whether it has to end at once: close handlers took too long
bool must_catch(lua_State *L, bool was_ending); // whether a protected call has to hand an error on
void keep_ending(lua_State *L, CLuaEngine *e);  // keeps the error of a cancelled wait, which is the reply
void set_ending(lua_State *L, CLuaTask *task);  // the error on top, which is popped
void begin_abort(lua_State *L, CLuaAbort why);
_Noreturn void raise_abort(lua_State *L);
_Noreturn void raise_ending(lua_State *L);

// budgets.c
void *allocate(void *context, void *block, size_t old_size, size_t new_size);
void install_hook(lua_State *L);
void refresh_hook(lua_State *L);  // before a thread is resumed: the looks may have to come more often by now
_Noreturn void refuse_text(lua_State *L);  // a text is too long for the memory budget: ends the run
void look_at_budgets(lua_State *L);             // raises when one is used up
bool look_at_end(lua_State *L);                 // the same when a task has ended well: whether the run was to end

// As luaL_checkstack, which calls it a stack overflow when there is no memory for a larger stack.
void need_stack(lua_State *L, int slots, const char *message);
#define luaL_checkstack need_stack

static inline bool must_look(CLuaEngine *e) {
    return e->abort || (e->cancel && atomic_load_explicit(&e->cancel->value, memory_order_relaxed));
}

// Charges what a C function does, in instructions, before or while it does it: no hook runs inside of it.
static inline void spend(lua_State *L, size_t fuel) {
    CLuaEngine *e = engine_of(L);
    e->fuel_used += fuel;
    if ((e->unlooked += fuel) >= HOOK_PERIOD || e->unseen >= LOOK_BYTES) look_at_budgets(L);
}

// clock.c
void begin_slice(CLuaEngine *e);  // Lua is resumed
void end_slice(CLuaEngine *e);
int64_t lua_time(CLuaEngine *e);  // nanoseconds of this run so far
int64_t enter_host(CLuaEngine *e);
void leave_host(CLuaEngine *e, int64_t entered);

// suppressed.c
void keep_suppressed(lua_State *L, int index, bool here);
void hand_up_suppressed(lua_State *L, CLuaTask *task, int error, int to);
void take_suppressed(lua_State *L, int list);
void attach_suppressed(lua_State *L, int error, int list);
void push_suppressed(lua_State *L, CLuaTask *task);

// budgets.c: what tests set, once and before the first engine is opened; NULL in programs
typedef struct {
    bool (*allocation_fails)(void);
    void (*closed)(size_t bytes, int tasks);  // what an engine still held when it was closed
} TestHooks;
extern const TestHooks *test_hooks;
static inline bool allocation_fails(void) { return test_hooks && test_hooks->allocation_fails(); }

// buffer.c: growth fails without raising
bool buffer_reserve(Buffer *b, size_t length);
bool buffer_append(Buffer *b, const void *bytes, size_t length);
void buffer_free(Buffer *b);
static inline void buffer_clear(Buffer *b) {
    b->length = 0;
    // One huge call must not hold its memory for the rest of the run.
    if (b->capacity > 1 << 20) buffer_free(b);
}

// codec_encode.c, codec_decode.c
typedef struct {
    const char *function;  // public name for messages, or NULL
    const char *noun;      // "argument" or "result"
} Blame;
void encode_value(lua_State *L, Buffer *b, int index, Blame blame, int number);
int decode_values(lua_State *L, const uint8_t *bytes, size_t length);  // pushes them, returns how many

// codec_slots.c
void fill_slots(lua_State *L, CLuaEngine *e, uint32_t count, const char *function);  // the arguments on the stack
int push_slots(lua_State *L, CLuaEngine *e, const CLuaSlot *slots, uint32_t count);

// order.c: one key of a table, as it is compared
typedef struct {
    uint8_t class;
    bool integer;
    int slot;
    uint64_t prefix;  // of a text: its first 8 bytes, which mostly decide
    union {
        lua_Integer i;
        lua_Number n;
        struct {
            const char *bytes;
            size_t length;
        } text;
        const struct Object *object;
    } key;
} OrderedKey;
void classify_key(lua_State *L, int index, OrderedKey *key);
int compare_keys(const void *a, const void *b);
bool has_order(const OrderedKey *key);
_Noreturn void raise_unordered(lua_State *L);
int push_ordered_keys(lua_State *L, int table, lua_Integer *array_count);
void sort_keys(lua_State *L, OrderedKey *keys, size_t count);  // sort.c
bool push_ordered_keys_lenient(lua_State *L, int table, lua_Integer *array_count, int *count);

static inline bool in_array(lua_State *L, int index, lua_Integer array) {
    if (!lua_isinteger(L, index)) return false;
    lua_Integer key = lua_tointeger(L, index);
    return key >= 1 && key <= array;
}

// Charges one step of a walk through a table that a script did not write as a loop, a thousand steps at a time.
static inline void charge_step(lua_State *L, size_t *steps) {
    if (++*steps % HOOK_PERIOD == 0) spend(L, HOOK_PERIOD);
}

// capacity.c
void open_capacity(lua_State *L);
void charge_walk(lua_State *L, int index);  // before the first lua_next of a table

// traverse.c
int guard_pairs(lua_State *L);
int guard_next(lua_State *L);
int push_hidden_pairs(lua_State *L, int shown, int hidden);  // what __pairs returns for a table that stays hidden

// errors.c
_Noreturn void raise(lua_State *L, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void push_error(lua_State *L, const char *kind, const char *message);  // pushes an error object
void wrap_error(lua_State *L);  // turns the table of fields on top into an error object
bool push_error_fields(lua_State *L, int index);  // pushes the fields when the value is an error object
bool find_position(lua_State *of, int level, lua_Debug *out);
void push_traceback(lua_State *L, lua_State *of);
int stack_depth(lua_State *of);
void push_safe_text(lua_State *L, int index);  // tostring that cannot fail or grow without bound
void report_error(lua_State *L, lua_State *from, Buffer *b);  // value on top of L
void open_errors(lua_State *L);
const char *chunk_label(const char *source, const char *short_source);

// objects.c
typedef struct Object {
    uint32_t type, length;
    char id[];
} Object;
Object *to_object(lua_State *L, int index);
void push_object(lua_State *L, uint32_t type, const char *id, size_t length);
const char *push_type_name(lua_State *L, uint32_t type);

// frozen.c
// Replaces the table on top by a frozen view of it. A strict one raises for members that do not exist; Lua's own
// libraries are not strict, as portable code asks them what they have.
void push_frozen(lua_State *L, const char *name, bool strict);
void push_frozen_data(lua_State *L, const char *name);  // the same for a table of values, and all tables in it
bool is_frozen(lua_State *L, int index);
bool is_frozen_data(lua_State *L, int index);
bool see_through(lua_State *L, int index);  // puts the real table in the place of a view; whether it was one

// entry.c
void free_entries(CLuaEngine *e);
int host_entry(lua_State *L);
int pass_wait_up(lua_State *L, lua_KContext context, lua_KFunction next);
bool can_wait(lua_State *L);

// libraries
void push_tostring(lua_State *L, int index);
int inspect(lua_State *L);
void open_base(lua_State *L);       // guard_base.c: fills the table on top
void open_globals(lua_State *L);    // globals.c: what scripts have in front of it
void open_libraries(lua_State *L);  // guard_libraries.c

// guard_calls.c, guard_raw.c, guard_text.c, guard_load.c
int guard_pcall(lua_State *L);
int guard_xpcall(lua_State *L);
int guard_setmetatable(lua_State *L);
int guard_rawget(lua_State *L);
int guard_rawset(lua_State *L);
int guard_rawlen(lua_State *L);
int next_of_view(lua_State *L);
int guard_tostring(lua_State *L);
int guard_print(lua_State *L);
int guard_load(lua_State *L);

// guard_strings.c: these call Lua's own function, which is their upvalue
int guard_rep(lua_State *L);
int guard_format(lua_State *L);
int guard_texts(lua_State *L);
int guard_byte(lua_State *L);
int guard_pack(lua_State *L);

// guard_tables.c: these stand in for Lua's own, which no budget could stop
int table_insert(lua_State *L);
int table_remove(lua_State *L);
int table_move(lua_State *L);
int table_concat(lua_State *L);
int table_unpack(lua_State *L);
lua_Integer table_length(lua_State *L);  // of the table at 1, which is to be changed
int table_sort(lua_State *L);            // table_sort.c

// match_functions.c
int guard_find(lua_State *L);
int guard_match(lua_State *L);
int guard_gmatch(lua_State *L);
int guard_gsub(lua_State *L);
void open_coroutine(lua_State *L);  // coroutine.c
void open_modules(lua_State *L);    // modules.c: require
void open_tasks(lua_State *L);      // task_library.c
bool task_function_id(lua_State *L, int index, uint64_t *id);

// names.c
const char *push_nearest(lua_State *L, const char *name, size_t length, int table, const char *best, int *distance);

#endif
