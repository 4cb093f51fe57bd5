#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings;

static char cmdline[2048];

// Copies the value of `key=value` into `value`, or the default.
static void text_setting(const char *key, char *value, size_t room, const char *fallback) {
    size_t length = strlen(key);
    snprintf(value, room, "%s", fallback);
    for (const char *at = cmdline; *at; at += strcspn(at, " \n"), at += strspn(at, " \n")) {
        if (strncmp(at, key, length) != 0 || at[length] != '=') continue;
        const char *start = at + length + 1;
        size_t count = strcspn(start, " \n");
        snprintf(value, room, "%.*s", (int)count, start);
    }
}

static unsigned number_setting(const char *key, unsigned fallback, unsigned most) {
    char text[16];
    text_setting(key, text, sizeof text, "");
    if (!*text) return fallback;
    unsigned long value = strtoul(text, NULL, 10);
    return value > most ? most : (unsigned)value;
}

void read_settings(void) {
    FILE *file = fopen("/proc/cmdline", "r");
    if (file) {
        size_t count = fread(cmdline, 1, sizeof cmdline - 1, file);
        cmdline[count] = 0;
        fclose(file);
    }
    text_setting("label", settings.label, sizeof settings.label, "guest");
    text_setting("ip", settings.ip, sizeof settings.ip, "");
    text_setting("mask", settings.mask, sizeof settings.mask, "255.255.255.0");
    text_setting("gw", settings.gateway, sizeof settings.gateway, "");
    settings.rate = number_setting("rate", 20, 100000);
    settings.disks = number_setting("disks", 1, MAX_DISKS);
    settings.payload_kib = number_setting("payload", 0, SLOT_SIZE >> 10);
    settings.ack_every = number_setting("ack", 50, 1000000);
    settings.paused = number_setting("paused", 0, 1);
    settings.ignore_power = number_setting("ignore_power", 0, 1);
    settings.agent = number_setting("agent", 0, 1);
}
