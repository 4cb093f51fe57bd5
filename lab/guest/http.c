#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static char boot_id[40];

size_t status_json(char *text, size_t room) {
    struct log_state log = log_state();
    int length = snprintf(text, room,
        "{\"host\":\"%s\",\"boot_id\":\"%s\",\"records\":%llu,\"last_ms\":%llu,\"boot_records\":%llu,"
        "\"boot_last_ms\":%llu,\"intact\":%s,\"chain\":\"%016llx\",\"disks\":%u,\"paused\":%s,\"error\":\"%s\","
        "\"now_ms\":%llu,\"up_s\":%.3f}",
        settings.label, boot_id, (unsigned long long)log.records, (unsigned long long)log.last_ms,
        (unsigned long long)log.boot_records, (unsigned long long)log.boot_last_ms, log.intact ? "true" : "false",
        (unsigned long long)log.chain, settings.disks, log.paused ? "true" : "false", log.error,
        (unsigned long long)wall_ms(), uptime());
    return length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

// Does what the request line asks and says whether there is such a thing.
static bool obey(const char *request) {
    if (!strncmp(request, "GET / ", 6)) return true;
    if (!strncmp(request, "POST /pause ", 12)) return log_pause(true), true;
    if (!strncmp(request, "POST /resume ", 13)) return log_pause(false), true;
    if (!strncmp(request, "POST /kill-agent ", 17)) return agent_kill(), true;
    if (!strncmp(request, "POST /verify ", 13)) return log_verify(), true;
    return false;
}

static void answer(int client) {
    char request[2048], body[1024], head[160];
    size_t got = 0;
    request[0] = 0;
    while (got < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
        ssize_t count = read(client, request + got, sizeof request - 1 - got);
        if (count <= 0) return;
        got += (size_t)count;
        request[got] = 0;
    }
    bool found = obey(request);
    size_t length = found ? status_json(body, sizeof body) : (size_t)snprintf(body, sizeof body, "{}");
    int heading = snprintf(head, sizeof head,
        "HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
        found ? "200 OK" : "404 Not Found", length);
    if (write(client, head, (size_t)heading) < 0 || write(client, body, length) < 0) return;
}

static void *serve(void *argument) {
    int listener = *(const int *)argument;
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) continue;
        // Clients are answered one after another; one that says nothing must not keep the others waiting.
        struct timeval limit = { .tv_sec = 2 };
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        answer(client);
        close(client);
    }
    return NULL;
}

// Listens when it returns: who sees READY may ask at once.
void http_start(void) {
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        if (fscanf(file, "%36s", boot_id) != 1) boot_id[0] = 0;
        fclose(file);
    }
    static int listener;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(80) };
    pthread_t thread;
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 16)
        || pthread_create(&thread, NULL, serve, &listener)) {
        say("FAULT http: %s", strerror(errno));
    }
}
