/* SPDX-License-Identifier: Apache-2.0
 *
 * A real redis-server of one's own for a test: free port, own folder, nothing on disk, gone with
 * the test (also when that crashes).
 */
#ifndef FB_TESTS_SUPPORT_REDIS_FIXTURE_H
#define FB_TESTS_SUPPORT_REDIS_FIXTURE_H

#include <sys/types.h>

#include "common/config.h"
#include "common/redis.h"

struct redis_fixture {
    pid_t pid;
    uint16_t port;
    char dir[64];
    char url[64];
    struct fb_config config; /* redis.url and redis.shards are set, all else is zero */
};

/* Starts the server and waits until it answers; aborts the test program when it does not. */
void redis_fixture_start(struct redis_fixture *f, int shards);
/* SIGKILL, and away with the folder. */
void redis_fixture_stop(struct redis_fixture *f);
/* SIGKILL; the port is kept. */
void redis_fixture_kill(struct redis_fixture *f);
/* Starts it again, empty, on the same port. */
void redis_fixture_again(struct redis_fixture *f);
/* A connection (time-out 2 s); fb_redis_free(). */
struct fb_redis *redis_fixture_connect(const struct redis_fixture *f);
/* One command by a connection of its own; the reply as an integer (strings are parsed), -1 for nil
 * and for errors.  Arguments ended by NULL. */
long long redis_fixture_int(const struct redis_fixture *f, ...) __attribute__((sentinel));

#endif
