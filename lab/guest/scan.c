#define _GNU_SOURCE
#include "guest.h"

#include <stdlib.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, LOOK_AHEAD = 1 << 20 };

// FNV-1a, 64 bits.
uint64_t checksum(uint64_t start, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    uint64_t sum = start;
    while (count--) sum = (sum ^ *at++) * 0x100000001b3ull;
    return sum;
}

uint64_t record_sum(const struct record *record) {
    return checksum(record->previous, record, offsetof(struct record, sum));
}

struct payload {
    uint64_t offset, bytes, sum;
};

// The payloads of the newest records must be what their records say. Slots are taken in a fixed order without
// repetition, so neither these nor the one write that may have been under way when the machine stopped overlap.
static bool payloads_match(const struct disk *disk, const struct payload *payloads, uint64_t records) {
    uint64_t most = records < VERIFIED_PAYLOADS ? records : VERIFIED_PAYLOADS;
    if (most >= disk->slots) most = disk->slots - 1;
    void *buffer;
    if (posix_memalign(&buffer, 4096, SLOT_SIZE)) return false;
    bool match = true;
    for (uint64_t sequence = records; match && sequence > records - most; sequence--) {
        const struct payload *payload = &payloads[sequence % VERIFIED_PAYLOADS];
        if (!payload->bytes) continue;
        match = payload->bytes <= SLOT_SIZE
            && pread(disk->fd, buffer, payload->bytes, (off_t)payload->offset) == (ssize_t)payload->bytes
            && checksum(CHAIN_START, buffer, payload->bytes) == payload->sum;
    }
    free(buffer);
    return match;
}

// A record beyond the end of the chain that stands in its own place means that one before it was lost, or that the disk
// was written over with an older state and not wholly.
static bool record_beyond(const struct disk *disk, uint64_t records, void *buffer) {
    uint64_t from = records * RECORD_SIZE, to = from + LOOK_AHEAD;
    if (to > disk->log_bytes) to = disk->log_bytes;
    for (uint64_t at = from; at < to;) {
        uint64_t want = to - at < CHUNK ? to - at : CHUNK;
        ssize_t got = pread(disk->fd, buffer, want, (off_t)(LOG_START + at));
        if (got < RECORD_SIZE) return false;
        const struct record *record = buffer;
        for (ssize_t i = 0; i < got / RECORD_SIZE; i++) {
            uint64_t place = at / RECORD_SIZE + (uint64_t)i + 1;
            if (place > records + 1 && record[i].magic == RECORD_MAGIC && record[i].sequence == place) return true;
        }
        at += (uint64_t)(got / RECORD_SIZE) * RECORD_SIZE;
    }
    return false;
}

struct scan scan_disk(const struct disk *disk) {
    struct scan scan = { .sum = CHAIN_START, .previous_sum = CHAIN_START };
    struct payload payloads[VERIFIED_PAYLOADS] = { 0 };
    void *buffer;
    if (posix_memalign(&buffer, 4096, CHUNK)) {
        scan.fault = "no memory";
        return scan;
    }
    bool more = true;
    while (more && (scan.records + 1) * RECORD_SIZE <= disk->log_bytes) {
        uint64_t at = scan.records * RECORD_SIZE, left = disk->log_bytes - at;
        ssize_t got = pread(disk->fd, buffer, left < CHUNK ? left : CHUNK, (off_t)(LOG_START + at));
        if (got < RECORD_SIZE) {
            scan.fault = "read error";
            break;
        }
        const struct record *record = buffer;
        for (ssize_t i = 0; more && i < got / RECORD_SIZE; i++) {
            if (record[i].magic != RECORD_MAGIC) {
                more = false;
            } else if (record[i].disk != disk->number) {
                scan.fault = "another disk's log";
                more = false;
            } else if (record[i].sequence != scan.records + 1 || record[i].previous != scan.sum
                       || record[i].sum != record_sum(&record[i])) {
                scan.fault = "broken chain";
                more = false;
            } else {
                scan.previous_sum = scan.sum;
                scan.previous_ms = scan.last_ms;
                scan.sum = record[i].sum;
                scan.last_ms = record[i].wall_ms;
                scan.records++;
                payloads[scan.records % VERIFIED_PAYLOADS] = (struct payload){
                    record[i].payload_offset, record[i].payload_bytes, record[i].payload_sum
                };
            }
        }
    }
    if (!scan.fault && record_beyond(disk, scan.records, buffer)) scan.fault = "gap";
    if (!scan.fault && !payloads_match(disk, payloads, scan.records)) scan.fault = "payload differs";
    free(buffer);
    return scan;
}
