// xxHash's C API (XXH3 among it) as Swift can import it.
#include <stddef.h>
#include <xxhash.h>

// The plain functions are compiled for every processor of an architecture; those that dispatch look once what this one
// has, and give the same hashes. libxxhash has them on x86-64 alone.
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<xxh_x86dispatch.h>)
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#define XXH_QUICKEST(function) function##_dispatch
#endif
#endif
#ifndef XXH_QUICKEST
#define XXH_QUICKEST(function) function
#endif

/// XXH3_64bits.
static inline XXH64_hash_t xxh3_64bits(const void *bytes, size_t count) {
    return XXH_QUICKEST(XXH3_64bits)(bytes, count);
}

/// XXH3_64bits_withSeed.
static inline XXH64_hash_t xxh3_64bits_with_seed(const void *bytes, size_t count, XXH64_hash_t seed) {
    return XXH_QUICKEST(XXH3_64bits_withSeed)(bytes, count, seed);
}

/// XXH3_128bits_withSecret.
static inline XXH128_hash_t xxh3_128bits_with_secret(
    const void *bytes, size_t count, const void *secret, size_t secret_size) {
    return XXH_QUICKEST(XXH3_128bits_withSecret)(bytes, count, secret, secret_size);
}

/// XXH3_128bits_update.
static inline XXH_errorcode xxh3_128bits_update(XXH3_state_t *state, const void *bytes, size_t count) {
    return XXH_QUICKEST(XXH3_128bits_update)(state, bytes, count);
}
