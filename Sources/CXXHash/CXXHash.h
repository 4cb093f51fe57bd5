// xxHash's C API (XXH3 among it) as Swift can import it.
#include <stddef.h>
#include <xxhash.h>
