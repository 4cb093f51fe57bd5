// The face of Lua for Swift: opaque types, flat bytes, and functions that return a status.
//
// Nothing declared here raises a Lua error, so no Swift frame is ever jumped over. The callbacks in CLuaHost return
// a code; what has to raise or yield does so in C, after the Swift frame has ended.
#ifndef CLUASHIM_H
#define CLUASHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct CLuaEngine CLuaEngine;
typedef struct CLuaTask CLuaTask;

// Tags of the flat form: one byte, then the payload in the machine's byte order, unaligned.
enum {
    CLUA_TAG_NIL = 0,
    CLUA_TAG_FALSE = 1,
    CLUA_TAG_TRUE = 2,
    CLUA_TAG_INTEGER = 3,   // int64
    CLUA_TAG_NUMBER = 4,    // double
    CLUA_TAG_STRING = 5,    // uint32 length, bytes
    CLUA_TAG_TABLE = 6,     // uint32 n, uint32 m, n values, m times key and value
    CLUA_TAG_OBJECT = 7,    // uint32 type, uint32 length, bytes of the id
    CLUA_TAG_FUNCTION = 8,  // uint64; CLUA_HOST_FUNCTION is set for the host's own
    CLUA_TAG_ERROR = 9,     // a table value: the fields of an error object
};
#define CLUA_HOST_FUNCTION ((uint64_t)1 << 63)

// Why a run is being ended. Once set, every way of catching errors hands the error on.
typedef enum : int32_t {
    CLUA_ABORT_NONE = 0,
    CLUA_ABORT_FUEL,
    CLUA_ABORT_DEADLINE,
    CLUA_ABORT_MEMORY,
    CLUA_ABORT_CANCELLED,
} CLuaAbort;

// What a callback asks C to do once the Swift frame has ended.
typedef enum : int32_t {
    CLUA_REPLY_VALUES = 0,  // push the values in the reply buffer
    CLUA_REPLY_ERROR,       // raise the value in the reply buffer
    CLUA_REPLY_WAIT,        // suspend the task
    CLUA_REPLY_SCOPE,       // a scope has ended: take its results, or raise its error
    CLUA_REPLY_SLOTS,       // push the result slots of the call
    CLUA_REPLY_RETRY,       // make the call again, with the same arguments
} CLuaReply;

typedef enum : int32_t {
    CLUA_SCOPE_ALL = 0,
    CLUA_SCOPE_MAP,
    CLUA_SCOPE_RACE,
    CLUA_SCOPE_TIMEOUT,
    CLUA_SCOPE_OPEN,  // task.scope: starts with one branch, to which task.spawn adds
} CLuaScopeMode;

// One argument or result. Scalars are in the slot itself; arguments that are tables are in flat form.
typedef struct {
    uint8_t tag;                      // CLUA_TAG_*
    uint32_t type;                    // of an object
    int64_t word;                     // integer, bits of a number, id of a function; of a result in bytes: its offset
    const uint8_t *_Nullable bytes;   // text, id of an object, or flat form; in the reply buffer for results
    size_t length;
} CLuaSlot;

enum { CLUA_RESULT_SLOTS = 16 };

// One call from Lua into the host. The pointers hold until the callback returns.
typedef struct {
    uint32_t count;
    uint32_t result_count;
    uint64_t ordinal;                      // counts the host calls of the task, from 1
    const CLuaSlot *_Nonnull arguments;
    CLuaSlot *_Nonnull results;            // CLUA_RESULT_SLOTS of them
    bool guarded;                          // whether something in the task would catch an error
} CLuaCall;

// Serves the calls of one host function; `binding` is what it was installed with.
typedef CLuaReply (*CLuaCallback)(void *_Nullable binding, CLuaCall *call);

// A scope that a task wants opened: `count` branches, of which at most `limit` run at once (0: all).
typedef struct {
    CLuaScopeMode mode;
    uint32_t count;
    uint32_t limit;
    uint64_t scope;
    uint64_t ordinal;
    bool guarded;
    const uint8_t *_Nullable arguments;  // the duration, for a timeout
    size_t length;
} CLuaScopeCall;

// What a task asks the scheduler for besides calls and scopes.
typedef enum : int32_t {
    CLUA_ASK_SPAWN = 0,    // a new branch in the nearest open scope: fills in `scope` and `index`
    CLUA_ASK_JOIN,         // wait until the branch has ended
    CLUA_ASK_LOADER,       // who loads `name`; no wait: WAIT for another task, ERROR for this one, VALUES for nobody
    CLUA_ASK_MODULE,       // wait until another task has loaded the module `name`
    CLUA_ASK_LOADING,      // this task begins to load `name`; no wait
    CLUA_ASK_LOADED,       // this task has ended loading `name`, well or badly; no wait
} CLuaQuestion;

typedef struct {
    CLuaQuestion question;
    uint64_t scope;
    uint32_t index;
    bool guarded;
    const char *_Nullable name;
    size_t length;
} CLuaAsk;

typedef struct {
    void *_Nullable context;
    CLuaReply (*_Nonnull ask)(void *_Nullable context, CLuaAsk *ask);
    CLuaReply (*_Nonnull scope)(void *_Nullable context, const CLuaScopeCall *call);
    // Finds a module: VALUES with chunk name and text, VALUES with nothing when there is none, or ERROR.
    CLuaReply (*_Nonnull module)(void *_Nullable context, const char *name, size_t length);
    void (*_Nonnull print)(void *_Nullable context, const char *bytes, size_t length);
    double (*_Nonnull now)(void *_Nullable context);  // seconds since 1970
    // The same, as scripts read it: what a journal may keep.
    double (*_Nonnull time)(void *_Nullable context);
} CLuaHost;

typedef struct {
    uint64_t fuel;            // 0: no limit
    int64_t time_nanoseconds; // 0: no limit
    size_t memory;
    size_t argument_bytes;
    size_t source_bytes;
    uint64_t closing_fuel;             // for the close handlers of what is being ended
    int64_t closing_time_nanoseconds;
    int32_t depth;
    uint64_t seed;
    bool virtual_time;  // time budgets go by CLuaHost.now, not by the machine's clock
} CLuaLimits;

typedef struct {
    uint64_t fuel;
    int64_t time_nanoseconds;
    size_t memory;
} CLuaUsage;

typedef enum : int32_t {
    CLUA_OK = 0,
    CLUA_WAITING,     // the task waits for the host
    CLUA_ERROR,       // the output buffer holds a report: value, text, traceback, chunk, line, what was suppressed
    CLUA_INCOMPLETE,  // the text ends too early
    CLUA_NO_MEMORY,
} CLuaStatus;

// ---- life
CLuaEngine *_Nullable clua_open(const CLuaLimits *limits, const CLuaHost *host);
void clua_close(CLuaEngine *engine);

// ---- what scripts find in their environment; to be called before the first script is loaded
typedef enum : int32_t {
    CLUA_IN_GLOBALS = 0,
    CLUA_IN_MODULE,
    CLUA_AS_METHOD,
    CLUA_AS_FIELD,
    CLUA_AS_DESCRIPTION,
} CLuaPlace;

CLuaStatus clua_install_module(CLuaEngine *engine, const char *name, bool global);
CLuaStatus clua_install_type(CLuaEngine *engine, const char *name, uint32_t type);
CLuaStatus clua_install_constant(
    CLuaEngine *engine, const char *module, const char *name, const uint8_t *bytes, size_t length);
// With `timed`, what its calls take is not counted as Lua's time; without, only when one takes long.
CLuaStatus clua_install_function(
    CLuaEngine *engine, CLuaPlace place, const char *container, const char *name, const char *public_name,
    uint32_t function, bool waits, bool timed, CLuaCallback callback, void *_Nullable binding);

// ---- running
// Compiles a text and keeps it for clua_task_main. With `expression`, "return " stands before the text.
CLuaStatus clua_load(CLuaEngine *engine, const uint8_t *source, size_t length, const char *chunk, bool expression);
CLuaTask *_Nullable clua_task_main(CLuaEngine *engine, const uint8_t *_Nullable arguments, size_t length, bool print);
CLuaTask *_Nullable clua_task_branch(CLuaEngine *engine, uint64_t scope, uint32_t index);
// Runs a task until it waits or ends. On CLUA_OK of a main task the output buffer holds its results; with `print`,
// each result is a value and its printed form.
CLuaStatus clua_task_resume(
    CLuaEngine *engine, CLuaTask *task, CLuaReply reply, const uint8_t *_Nullable bytes, size_t length);
void clua_task_cancel(CLuaTask *task);
uint64_t clua_task_calls(const CLuaTask *task);  // host calls made so far
void clua_task_free(CLuaEngine *engine, CLuaTask *task);

// The public name of one of the functions of `task` that the shim has itself, or null.
const char *_Nullable clua_function_name(uint64_t function);

// ---- buffers
void clua_reply_set(CLuaEngine *engine, const uint8_t *_Nullable bytes, size_t length);
// Adds bytes to the reply and gives their offset in it. Not to be mixed with clua_reply_set in one reply.
bool clua_reply_append(CLuaEngine *engine, const uint8_t *_Nullable bytes, size_t length, int64_t *offset);
// Whether the callback that is being served may answer CLUA_REPLY_WAIT.
bool clua_call_can_wait(CLuaEngine *engine);
// Where the script made the call that is being served: the nearest line of Lua. Null when there is none.
const char *_Nullable clua_call_position(CLuaEngine *engine, int32_t *line);
const uint8_t *_Nullable clua_output(CLuaEngine *engine, size_t *length);

// ---- budgets
void clua_budget_reset(CLuaEngine *engine);
CLuaUsage clua_usage(CLuaEngine *engine);
CLuaAbort clua_aborted(CLuaEngine *engine);
// A flag that any thread may set to have the run ended; it outlives the engine if retained by its owner.
typedef struct CLuaCancelFlag CLuaCancelFlag;
CLuaCancelFlag *clua_cancel_flag_make(void);
void clua_cancel_flag_set(CLuaCancelFlag *flag, bool value);
bool clua_cancel_flag_get(CLuaCancelFlag *flag);
void clua_cancel_flag_free(CLuaCancelFlag *flag);
void clua_use_cancel_flag(CLuaEngine *engine, CLuaCancelFlag *flag);

// Tells the processor that this thread looks again and again.
static inline void clua_spin_hint(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

// ---- names
// The number of insertions, deletions, substitutions and swaps of neighbours that lead from one name to the other;
// `limit + 1` when more than `limit`.
int clua_name_distance(const char *a, size_t a_length, const char *b, size_t b_length, int limit);

#pragma clang assume_nonnull end

#endif
