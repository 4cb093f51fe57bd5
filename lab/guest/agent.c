// QEMU's guest agent, as Debian has it, and a file system that it can freeze. Every record of the log is noted in a file
// there first and synced: while the file system is frozen the log stands still, which proves the freeze.
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int notes = -1;
static char port[80];
static pid_t agent;
static bool killed;
// Guards `agent` and `killed`.
static pthread_mutex_t agent_lock = PTHREAD_MUTEX_INITIALIZER;

static bool mount_files(void) {
    char device[] = "/dev/vda";
    device[7] = (char)('a' + settings.disks);
    for (int tries = 0; access(device, F_OK) && tries < 6000; tries++) usleep(10000);
    mkdir("/data", 0755);
    if (mount(device, "/data", "ext4", 0, NULL)) {
        say("FAULT mount %s: %s", device, strerror(errno));
        return false;
    }
    notes = open("/data/notes", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return notes >= 0;
}

// The port's name is made of its bus and number; nothing but the agent's has one here.
static bool find_port(char *path, size_t room) {
    for (int tries = 0; tries < 6000; tries++) {
        DIR *devices = opendir("/dev");
        for (struct dirent *entry; devices && (entry = readdir(devices));) {
            if (strncmp(entry->d_name, "vport", 5)) continue;
            snprintf(path, room, "/dev/%.60s", entry->d_name);
            closedir(devices);
            return true;
        }
        if (devices) closedir(devices);
        usleep(10000);
    }
    return false;
}

// Keeps an agent running until it is killed: a port that is not ready yet when it is opened makes the agent end at once.
static void *keep_agent(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&agent_lock);
        pid_t child = killed ? -1 : fork();
        if (child == 0) {
            execl("/usr/sbin/qemu-ga", "qemu-ga", "-m", "virtio-serial", "-p", port, "-t", "/run", (char *)NULL);
            _exit(127);
        }
        agent = child;
        bool over = killed;
        pthread_mutex_unlock(&agent_lock);
        if (over) return NULL;
        int status = 0;
        if (child > 0) waitpid(child, &status, 0);
        say("AGENT ended, status %d", status);
        usleep(200000);
    }
}

// Whether the agent has its port open.
static bool has_port(void) {
    char folder[32], link[80], path[96];
    pthread_mutex_lock(&agent_lock);
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)agent);
    pthread_mutex_unlock(&agent_lock);
    DIR *files = opendir(folder);
    bool found = false;
    for (struct dirent *entry; files && !found && (entry = readdir(files));) {
        snprintf(path, sizeof path, "%s/%.20s", folder, entry->d_name);
        ssize_t length = readlink(path, link, sizeof link - 1);
        if (length <= 0) continue;
        link[length] = 0;
        found = !strcmp(link, port);
    }
    if (files) closedir(files);
    return found;
}

void agent_start(void) {
    if (!settings.agent) return;
    load_modules("/modules/agent-order");
    if (!mount_files()) return;
    if (!find_port(port, sizeof port)) {
        say("FAULT no port for the guest agent");
        return;
    }
    mkdir("/run", 0755);
    mkdir("/var", 0755);
    mkdir("/var/run", 0755);
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep_agent, NULL)) say("FAULT guest agent: no thread");
    // The log takes all the time that it can get; on a busy machine the agent would hardly come to its start beside it.
    for (int tries = 0; !has_port() && tries < 600; tries++) usleep(100000);
    say("AGENT %s", has_port() ? "listens" : "does not listen yet");
}

bool agent_note(uint64_t sequence) {
    if (!settings.agent) return true;
    return pwrite(notes, &sequence, sizeof sequence, 0) == sizeof sequence && !fdatasync(notes);
}

void agent_kill(void) {
    pthread_mutex_lock(&agent_lock);
    killed = true;
    if (agent > 0) kill(agent, SIGKILL);
    pthread_mutex_unlock(&agent_lock);
}
