// libnbd's C API as Swift can import it.
#include <stddef.h>
#include <libnbd.h>
