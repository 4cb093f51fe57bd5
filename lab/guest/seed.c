#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

// What a real guest's cloud-init does at boot, in little: the drive's NoCloud data has the last word on addresses. It
// is read as it lies on the drive (ISO 9660: the root's record is at 156 of sector 16), since the guest has no such
// file system.
enum { SECTOR = 2048, VOLUME = 16 * SECTOR, ROOT_RECORD = 156, LONGEST = 16 << 10 };

static uint32_t little32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

// Reads a file of the root folder into `text`; false when there is none.
static bool read_file(int fd, const char *name, char *text, size_t room) {
    unsigned char volume[SECTOR], folder[SECTOR];
    if (pread(fd, volume, SECTOR, VOLUME) != SECTOR || memcmp(volume + 1, "CD001", 5) != 0) return false;
    if (memcmp(volume + 40, "CIDATA", 6) != 0) return false;
    if (pread(fd, folder, SECTOR, (off_t)little32(volume + ROOT_RECORD + 2) * SECTOR) != SECTOR) return false;
    for (size_t at = 0; at + 33 < SECTOR && folder[at]; at += folder[at]) {
        const unsigned char *record = folder + at;
        size_t length = record[32];
        if (at + 33 + length > SECTOR || length != strlen(name)) continue;
        if (strncasecmp((const char *)record + 33, name, length) != 0) continue;
        size_t size = little32(record + 10);
        if (size > room - 1) size = room - 1;
        ssize_t count = pread(fd, text, size, (off_t)little32(record + 2) * SECTOR);
        text[count > 0 ? count : 0] = 0;
        return count > 0;
    }
    return false;
}

static void own_address(char *mac, size_t room) {
    *mac = 0;
    FILE *file = fopen("/sys/class/net/eth0/address", "r");
    if (!file) return;
    if (fgets(mac, (int)room, file)) mac[strcspn(mac, "\n")] = 0;
    fclose(file);
}

// Copies what stands between the first two quotation marks of a line.
static bool quoted(const char *line, char *value, size_t room) {
    const char *start = strchr(line, '"');
    const char *end = start ? strchr(start + 1, '"') : NULL;
    if (!end || (size_t)(end - start) > room) return false;
    snprintf(value, room, "%.*s", (int)(end - start - 1), start + 1);
    return true;
}

static void take_address(char *value) {
    char *slash = strchr(value, '/');
    if (!slash) return;
    *slash = 0;
    int prefix = atoi(slash + 1);
    if (prefix < 1 || prefix > 30) return;
    uint32_t mask = ~0u << (32 - prefix);
    snprintf(settings.ip, sizeof settings.ip, "%.15s", value);
    snprintf(settings.mask, sizeof settings.mask, "%u.%u.%u.%u", mask >> 24, mask >> 16 & 255, mask >> 8 & 255,
             mask & 255);
    *settings.gateway = 0;
}

// The network-config of version 2, as far as the guest has a use for it: the one Ethernet device, its address, its way
// out.
static void obey(char *text) {
    char mac[32], value[64];
    own_address(mac, sizeof mac);
    bool mine = false, addresses = false;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const char *word = line + strspn(line, " -");
        if (!strncmp(word, "macaddress:", 11)) mine = quoted(line, value, sizeof value) && !strcasecmp(value, mac);
        if (!mine) continue;
        if (!strncmp(word, "addresses:", 10)) addresses = true;
        else if (!strncmp(word, "nameservers:", 12)) mine = false;
        else if (!strncmp(word, "via:", 4) && quoted(line, value, sizeof value))
            snprintf(settings.gateway, sizeof settings.gateway, "%.15s", value);
        else if (addresses && *word == '"' && quoted(line, value, sizeof value)) {
            take_address(value);
            addresses = false;
        }
    }
}

void read_seed(void) {
    static char text[LONGEST];
    int fd = open("/dev/sr0", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (read_file(fd, "NETWORK-CONFIG;1", text, sizeof text)) {
        obey(text);
        say("SEED ip=%s mask=%s gw=%s", settings.ip, settings.mask, settings.gateway);
    }
    close(fd);
}
