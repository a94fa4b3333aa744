/* SPDX-License-Identifier: Apache-2.0
 *
 * A port of 127.0.0.1 that nobody listens on, and that no other test is given while this process lives: as in
 * harness.mjs, it is below those that the kernel gives to clients, and whoever has the UDP port of that number, which
 * nobody needs, has the TCP port. */
#ifndef FB_TESTS_SUPPORT_FREE_PORT_H
#define FB_TESTS_SUPPORT_FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/status.h"

#define FREE_PORT_FIRST 10000
#define FREE_PORT_COUNT 22000

/* The socket, bound to that port of 127.0.0.1; -1 when somebody has it. */
static inline int bind_port(int type, uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    FB_ASSERT(fd >= 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

static inline uint16_t free_port(void)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t random = 0;
        FB_ASSERT(getrandom(&random, sizeof random, 0) == sizeof random);
        uint16_t port = (uint16_t)(FREE_PORT_FIRST + random % FREE_PORT_COUNT);
        int kept = bind_port(SOCK_DGRAM, port); /* until the process ends */
        int tcp = kept >= 0 ? bind_port(SOCK_STREAM, port) : -1;
        if (tcp >= 0) {
            (void)close(tcp);
            return port;
        }
        if (kept >= 0) {
            (void)close(kept);
        }
    }
    FB_ASSERT(false);
    return 0;
}

#endif
