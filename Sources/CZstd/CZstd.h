// zstd's C API as Swift can import it.
#include <stddef.h>
#include <zstd.h>
