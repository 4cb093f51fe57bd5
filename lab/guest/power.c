#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

enum { MAX_INPUTS = 8 };
static struct pollfd inputs[MAX_INPUTS];
static nfds_t input_count;

void power_off(const char *why) {
    log_stop();
    struct log_state log = log_state();
    say("POWEROFF why=%s records=%llu chain=%016llx", why, (unsigned long long)log.records,
        (unsigned long long)log.chain);
    sync();
    reboot(RB_POWER_OFF);
    for (;;) pause();
}

static void *watch_button(void *unused) {
    (void)unused;
    for (;;) {
        if (poll(inputs, input_count, -1) < 0) continue;
        for (nfds_t i = 0; i < input_count; i++) {
            struct input_event event;
            if (!inputs[i].revents || read(inputs[i].fd, &event, sizeof event) != sizeof event) continue;
            if (event.type != EV_KEY || event.code != KEY_POWER || event.value != 1) continue;
            if (!settings.ignore_power) power_off("button");
            say("POWER-BUTTON ignored");
        }
    }
}

// A press before the button's driver has its device open is lost: who asks for a shutdown asks again.
void power_start(void) {
    for (int n = 0; n < MAX_INPUTS; n++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", n);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) inputs[input_count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    pthread_t thread;
    if (!input_count || pthread_create(&thread, NULL, watch_button, NULL)) say("FAULT power: no button");
}
