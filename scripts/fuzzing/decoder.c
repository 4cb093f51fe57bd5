// Any bytes as a reply of the host: refused, or values whose flat form gives the same values again.
#include "engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLuaEngine *e = engine();
    if (clua_probe_decode(e, data, size) != CLUA_OK) return 0;
    size_t length, again_length;
    const uint8_t *output = clua_output(e, &length);
    uint8_t *first = malloc(length + 1);
    if (length) memcpy(first, output, length);
    if (clua_probe_decode(e, first, length) != CLUA_OK) abort();
    output = clua_output(e, &again_length);
    if (again_length != length || (length && memcmp(first, output, length) != 0)) abort();
    free(first);
    return 0;
}
