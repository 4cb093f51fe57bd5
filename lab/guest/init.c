#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int console = -1;
static pthread_mutex_t console_lock = PTHREAD_MUTEX_INITIALIZER;

void say(const char *format, ...) {
    char line[512];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    if (length < 0) return;
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    pthread_mutex_lock(&console_lock);
    ssize_t wrote = write(console, line, (size_t)length);
    (void)wrote;   // there is nowhere else to say that the console is gone
    pthread_mutex_unlock(&console_lock);
}

double uptime(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void mount_system(void) {
    const char *const systems[][2] = { { "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" } };
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        mkdir(systems[i][1], 0755);
        mount(systems[i][0], systems[i][1], systems[i][0], 0, NULL);
    }
    console = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

// Modules in the order the build wrote down, each after those it needs: the initramfs has no modprobe.
void load_modules(const char *order_file) {
    FILE *order = fopen(order_file, "r");
    char name[64], path[96];
    while (order && fscanf(order, "%63s", name) == 1) {
        snprintf(path, sizeof path, "/modules/%s.ko", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)) {
            say("FAULT module %s: %s", name, strerror(errno));
        }
        if (fd >= 0) close(fd);
    }
    if (order) fclose(order);
}

static void obey(const char *word) {
    char text[1024];
    if (!strcmp(word, "pause")) log_pause(true);
    else if (!strcmp(word, "resume")) log_pause(false);
    else if (!strcmp(word, "verify")) log_verify();
    else if (!strcmp(word, "poweroff")) power_off("console");
    else if (strcmp(word, "status")) {
        if (*word) say("status, verify, pause, resume or poweroff");
        return;
    }
    status_json(text, sizeof text);
    say("STATUS %s", text);
}

static void serve_console(void) {
    char line[64];
    size_t length = 0;
    for (;;) {
        char letter;
        if (read(console, &letter, 1) != 1) {
            usleep(200000);   // a console that cannot be read from, such as a file; the other threads do the work
            continue;
        }
        if (letter != '\r' && letter != '\n') {
            if (length < sizeof line - 1) line[length++] = letter;
            continue;
        }
        line[length] = 0;
        length = 0;
        obey(line);
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    mount_system();
    read_settings();
    load_modules("/modules/order");
    agent_start();
    log_open();
    struct log_state log = log_state();
    say("BOOT host=%s records=%llu intact=%d", settings.label, (unsigned long long)log.boot_records, log.intact);
    read_seed();
    net_up();
    http_start();
    power_start();
    log_start();
    say("READY up=%.3f", uptime());
    serve_console();
}
