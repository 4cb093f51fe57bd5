// QEMU's guest agent, as Debian has it, and a file system that it can freeze. Every record of the log is noted in a file
// there first and synced: while the file system is frozen the log stands still, which proves the freeze.
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int notes = -1;
static pid_t agent;

static bool mount_files(void) {
    char device[] = "/dev/vda";
    device[7] = (char)('a' + settings.disks);
    for (int tries = 0; access(device, F_OK) && tries < 500; tries++) usleep(10000);
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
    for (int tries = 0; tries < 500; tries++) {
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

void agent_start(void) {
    if (!settings.agent) return;
    load_modules("/modules/agent-order");
    char port[80];
    if (!mount_files()) return;
    if (!find_port(port, sizeof port)) {
        say("FAULT no port for the guest agent");
        return;
    }
    mkdir("/run", 0755);
    mkdir("/var", 0755);
    mkdir("/var/run", 0755);
    agent = fork();
    if (agent == 0) {
        execl("/usr/sbin/qemu-ga", "qemu-ga", "-m", "virtio-serial", "-p", port, "-t", "/run", (char *)NULL);
        _exit(127);
    }
}

bool agent_note(uint64_t sequence) {
    if (!settings.agent) return true;
    return pwrite(notes, &sequence, sizeof sequence, 0) == sizeof sequence && !fdatasync(notes);
}

void agent_kill(void) {
    if (agent <= 0) return;
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    agent = 0;
}
