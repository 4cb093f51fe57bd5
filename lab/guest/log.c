// The log. Record s goes to disk n+1 only when it is durable on disk n, so a copy of all disks taken at one instant
// shows, from the first disk to the last, record counts that never rise and differ by one at most. Copies taken at
// different instants do not, and the scan at boot says so.
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct disk disks[MAX_DISKS];
static struct log_state state = { .intact = true };
static bool stopping;
// `append_lock` is held while disks are written or scanned, `state_lock` only for a moment: so the state can be told
// while a write hangs.
static pthread_mutex_t append_lock = PTHREAD_MUTEX_INITIALIZER, state_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t state_changed = PTHREAD_COND_INITIALIZER;

struct log_state log_state(void) {
    pthread_mutex_lock(&state_lock);
    struct log_state copy = state;
    pthread_mutex_unlock(&state_lock);
    return copy;
}

// Writing stops for good: what is on the disks is evidence now.
static void fail(const char *what, unsigned disk) {
    pthread_mutex_lock(&state_lock);
    state.paused = true;
    if (!*state.error) snprintf(state.error, sizeof state.error, "disk %u: %s", disk, what);
    pthread_mutex_unlock(&state_lock);
    say("FAULT disk=%u %s", disk, what);
}

static bool open_disk(unsigned n) {
    char path[] = "/dev/vda";
    path[7] = (char)('a' + n);
    // The driver makes the device some time after its module is loaded; nothing tells us when without udev.
    for (int tries = 0; access(path, F_OK) && tries < 500; tries++) usleep(10000);
    struct disk *disk = &disks[n];
    disk->number = n;
    disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (disk->fd < 0) {
        fail(strerror(errno), n);
        return false;
    }
    off_t size = lseek(disk->fd, 0, SEEK_END);
    if (size < SMALLEST_DISK) {
        fail("smaller than 16 MiB", n);
        return false;
    }
    disk->slots_start = (uint64_t)size / 2 / SLOT_SIZE * SLOT_SIZE;
    disk->log_bytes = disk->slots_start - LOG_START;
    disk->slots = 1;
    while (disk->slots_start + disk->slots * 2 * SLOT_SIZE <= (uint64_t)size) disk->slots *= 2;
    return true;
}

// Scans every disk and settles where the log stands. A record that the last disk lacks was never acknowledged: the log
// steps back before it, and the next append writes over it.
static void scan_all(bool at_boot) {
    struct scan scans[MAX_DISKS];
    uint64_t fewest = UINT64_MAX;
    const char *fault = NULL;
    unsigned faulty = 0;
    for (unsigned n = 0; n < settings.disks; n++) {
        scans[n] = scan_disk(&disks[n]);
        say("DISK %u records=%llu chain=%016llx %s", n, (unsigned long long)scans[n].records,
            (unsigned long long)scans[n].sum, scans[n].fault ? scans[n].fault : "whole");
        if (scans[n].records < fewest) fewest = scans[n].records;
        if (scans[n].fault && !fault) fault = scans[n].fault, faulty = n;
        bool in_order = n == 0
            || (scans[n].records <= scans[n - 1].records && scans[n].records + 1 >= scans[0].records);
        if (!in_order && !fault) fault = "not of one instant with the disks before it", faulty = n;
    }
    if (fault) fail(fault, faulty);

    pthread_mutex_lock(&state_lock);
    state.intact = fault == NULL;
    if (at_boot) {
        for (unsigned n = 0; n < settings.disks; n++) {
            disks[n].sum = scans[n].records > fewest ? scans[n].previous_sum : scans[n].sum;
        }
        state.records = state.boot_records = fewest;
        state.boot_last_ms = scans[0].records > fewest ? scans[0].previous_ms : scans[0].last_ms;
        state.last_ms = state.boot_last_ms;
        state.chain = disks[0].sum;
    }
    pthread_mutex_unlock(&state_lock);
}

void log_open(void) {
    state.paused = settings.paused;
    for (unsigned n = 0; n < settings.disks; n++) {
        if (!open_disk(n)) {
            state.intact = false;
            return;
        }
    }
    scan_all(true);
}

static void fill_random(void *bytes, size_t count, uint64_t seed) {
    uint64_t *word = bytes, x = seed << 1 | 1;   // never 0, which would stay 0
    for (size_t i = 0; i < count / sizeof *word; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        word[i] = x;
    }
}

// Writes one record to one disk, its payload first, and returns when both are durable.
static bool append_to(unsigned n, uint64_t sequence, uint64_t now, struct record *record, void *payload) {
    struct disk *disk = &disks[n];
    uint64_t seed = (sequence << 8 | n) ^ now << 20;
    memset(record, 0, sizeof *record);
    record->magic = RECORD_MAGIC;
    record->sequence = sequence;
    record->wall_ms = now;
    record->previous = disk->sum;
    record->disk = n;
    memcpy(record->host, settings.label, sizeof record->host);
    fill_random(record->filler, sizeof record->filler, seed);
    if (settings.payload_kib) {
        record->payload_bytes = (uint64_t)settings.payload_kib << 10;
        // An odd factor over a power of two visits every slot before it comes back to one.
        record->payload_offset = disk->slots_start + (sequence * 0x9e3779b1u & (disk->slots - 1)) * SLOT_SIZE;
        fill_random(payload, record->payload_bytes, ~seed);
        record->payload_sum = checksum(CHAIN_START, payload, record->payload_bytes);
        ssize_t wrote = pwrite(disk->fd, payload, record->payload_bytes, (off_t)record->payload_offset);
        if (wrote != (ssize_t)record->payload_bytes || fdatasync(disk->fd)) return false;
    }
    record->sum = record_sum(record);
    off_t at = (off_t)(LOG_START + (sequence - 1) * RECORD_SIZE);
    if (pwrite(disk->fd, record, RECORD_SIZE, at) != RECORD_SIZE || fdatasync(disk->fd)) return false;
    disk->sum = record->sum;
    return true;
}

static void append(struct record *record, void *payload) {
    pthread_mutex_lock(&append_lock);
    struct log_state before = log_state();
    uint64_t sequence = before.records + 1, now = wall_ms();
    bool done = !before.paused && !stopping;
    if (done && !agent_note(sequence)) {
        fail("the agent's file system", settings.disks);
        done = false;
    }
    for (unsigned n = 0; done && n < settings.disks; n++) {
        if (sequence * RECORD_SIZE > disks[n].log_bytes) {
            fail("log full", n);
            done = false;
        } else if (!append_to(n, sequence, now, record, payload)) {
            fail(strerror(errno), n);
            done = false;
        }
    }
    if (done) {
        pthread_mutex_lock(&state_lock);
        state.records = sequence;
        state.last_ms = now;
        state.chain = disks[0].sum;
        pthread_mutex_unlock(&state_lock);
        if (settings.ack_every && sequence % settings.ack_every == 0) {
            say("ACK %llu %llu", (unsigned long long)sequence, (unsigned long long)now);
        }
    }
    pthread_mutex_unlock(&append_lock);
}

static void *write_log(void *unused) {
    (void)unused;
    void *record, *payload;
    if (posix_memalign(&record, 4096, 4096) || posix_memalign(&payload, 4096, SLOT_SIZE)) {
        fail("no memory", 0);
        return NULL;
    }
    double due = uptime();
    for (;;) {
        pthread_mutex_lock(&state_lock);
        while (state.paused) pthread_cond_wait(&state_changed, &state_lock);
        pthread_mutex_unlock(&state_lock);
        append(record, payload);
        if (!settings.rate) continue;
        due += 1.0 / settings.rate;
        double wait = due - uptime();
        if (wait > 0) usleep((useconds_t)(wait * 1e6));
        else if (wait < -1) due = uptime();   // after a pause, go on at the rate instead of making up for it
    }
}

void log_start(void) {
    pthread_t thread;
    if (settings.disks && pthread_create(&thread, NULL, write_log, NULL)) fail("no thread", 0);
}

void log_pause(bool paused) {
    pthread_mutex_lock(&append_lock);
    pthread_mutex_lock(&state_lock);
    if (!*state.error) state.paused = paused;   // a fault is not resumed
    pthread_cond_broadcast(&state_changed);
    pthread_mutex_unlock(&state_lock);
    pthread_mutex_unlock(&append_lock);
}

bool log_verify(void) {
    pthread_mutex_lock(&append_lock);
    scan_all(false);
    pthread_mutex_unlock(&append_lock);
    return log_state().intact;
}

void log_stop(void) {
    pthread_mutex_lock(&append_lock);   // and never given back: nothing is written after this
    stopping = true;
    for (unsigned n = 0; n < settings.disks; n++) fsync(disks[n].fd);
}
