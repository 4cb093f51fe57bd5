#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr address(const char *text) {
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr plain;
    inet_aton(text, &in.sin_addr);
    memcpy(&plain, &in, sizeof plain);
    return plain;
}

static int interface(int fd, unsigned long request, const char *name, struct ifreq *details) {
    snprintf(details->ifr_name, sizeof details->ifr_name, "%s", name);
    return ioctl(fd, request, details);
}

static int bring_up(int fd, const char *name) {
    struct ifreq up = { 0 };
    up.ifr_flags = IFF_UP | IFF_RUNNING;
    return interface(fd, SIOCSIFFLAGS, name, &up);
}

// With this set the kernel announces the address when the interface comes up, so a bridge that knew the same machine at
// another port learns of the move at once.
static void announce_when_up(void) {
    int fd = open("/proc/sys/net/ipv4/conf/eth0/arp_notify", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "1", 1) != 1) say("FAULT net: arp_notify");
    close(fd);
}

void net_up(void) {
    if (!*settings.ip) return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ip = { .ifr_addr = address(settings.ip) }, mask = { .ifr_netmask = address(settings.mask) };
    bring_up(fd, "lo");
    announce_when_up();
    if (interface(fd, SIOCSIFADDR, "eth0", &ip) || interface(fd, SIOCSIFNETMASK, "eth0", &mask)
        || bring_up(fd, "eth0")) {
        say("FAULT net: %s", strerror(errno));
    }
    if (*settings.gateway) {
        struct rtentry route = {
            .rt_dst = address("0.0.0.0"), .rt_genmask = address("0.0.0.0"), .rt_gateway = address(settings.gateway),
            .rt_flags = RTF_UP | RTF_GATEWAY,
        };
        if (ioctl(fd, SIOCADDRT, &route)) say("FAULT net: default route: %s", strerror(errno));
    }
    close(fd);
}
