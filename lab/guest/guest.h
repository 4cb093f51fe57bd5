// The lab's guest: PID 1 of a machine whose only work is to keep a log on its disks that proves what reached them.
//
//   init.c     brings the machine up in order, then becomes the console
//   cmdline.c  the guest's settings, from the kernel command line
//   log.c      the checksummed, chained, synced log: one append at a time
//   scan.c     reads a log back and judges it
//   http.c     GET / tells the log's state as JSON; POST /pause, /resume, /verify
//   power.c    the ACPI power button
//   net.c      a static address
//   agent.c    QEMU's guest agent, and a file system for it to freeze
//   seed.c     another address, when a drive with NoCloud data says so
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_DISKS = 8,
    RECORD_SIZE = 512,           // one sector, so that a record is on the disk whole or not at all
    LOG_START = 1 << 20,         // the first MiB stays empty: nothing takes the disk for a partitioned one
    SLOT_SIZE = 64 << 10,        // room for one record's payload
    VERIFIED_PAYLOADS = 64,      // newest payloads read back by a scan
    SMALLEST_DISK = 16 << 20,
};

// Settings of this boot.
struct settings {
    char label[32], ip[16], mask[16], gateway[16];
    unsigned rate;          // records a second, 0 for as fast as the disks sync
    unsigned disks;
    unsigned payload_kib;   // random data written beside each record, at most SLOT_SIZE
    unsigned ack_every;     // an ACK line on the console every so many records
    bool paused, ignore_power;
    bool agent;             // a file system on one more disk, and QEMU's guest agent
};
extern struct settings settings;
void read_settings(void);

// One record. `sum` covers everything before it and starts from the sum of the record before, so that a log is one
// chain: a record that is missing, old or altered breaks it.
struct record {
    uint64_t magic, sequence, wall_ms, previous;
    uint64_t payload_offset, payload_bytes, payload_sum;
    uint64_t disk;
    char host[32];
    uint8_t filler[408];
    uint64_t sum;
};
_Static_assert(sizeof(struct record) == RECORD_SIZE, "a record is one sector");
#define RECORD_MAGIC 0x5052494c4c4f4731ull
#define CHAIN_START 0xcbf29ce484222325ull

struct disk {
    int fd;
    unsigned number;
    uint64_t log_bytes;      // room for records
    uint64_t slots_start;    // where payload slots begin
    uint64_t slots;          // a power of two
    uint64_t sum;            // of the newest record
};

// What a scan found on one disk.
struct scan {
    uint64_t records, sum, last_ms;
    uint64_t previous_sum, previous_ms;   // the same of the record before the last
    const char *fault;                    // NULL when the chain is whole
};
struct scan scan_disk(const struct disk *disk);
uint64_t checksum(uint64_t start, const void *bytes, size_t count);
uint64_t record_sum(const struct record *record);

// The log's state, as seen from outside.
struct log_state {
    uint64_t records, last_ms, chain;
    uint64_t boot_records, boot_last_ms;
    bool intact, paused;
    char error[64];
};
void log_open(void);
void log_start(void);
void log_stop(void);
void log_pause(bool paused);
bool log_verify(void);
struct log_state log_state(void);

// Mounts the file system and starts the agent; nothing happens where the settings ask for none.
void agent_start(void);
// Returns once a record is in the file system too: not while that is frozen. False when it cannot be written.
bool agent_note(uint64_t sequence);
void agent_kill(void);

void load_modules(const char *order_file);
void read_seed(void);
void net_up(void);
void http_start(void);
void power_start(void);
void power_off(const char *why) __attribute__((noreturn));
// Writes the status as JSON into `text` and returns its length.
size_t status_json(char *text, size_t room);

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
double uptime(void);
uint64_t wall_ms(void);

#endif
