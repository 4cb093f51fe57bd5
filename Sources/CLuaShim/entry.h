// The upvalues of the one C function behind all host functions.
#ifndef CLUASHIM_ENTRY_H
#define CLUASHIM_ENTRY_H

enum {
    ENTRY_ID = 1,      // integer: which host function
    ENTRY_WAITS = 2,   // boolean: whether it may suspend
    ENTRY_NAME = 3,    // string: its public name
    ENTRY_TYPE = 4,    // integer: the object type of its first argument, or -1
};

#endif
