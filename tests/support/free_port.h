/* SPDX-License-Identifier: Apache-2.0
 *
 * A port of 127.0.0.1 that nobody listens on now; somebody else may be faster. */
#ifndef FB_TESTS_SUPPORT_FREE_PORT_H
#define FB_TESTS_SUPPORT_FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/status.h"

static inline uint16_t free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FB_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0 &&
              getsockname(fd, (struct sockaddr *)&any, &len) == 0);
    (void)close(fd);
    return ntohs(any.sin_port);
}

#endif
