/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygote: a process that loads fonts and character sets once and then forks a fresh child for
 * every message (about a millisecond), so that no message ever meets the memory of another. Started
 * before the service has threads, and before it gives up forking (common/confine.h).
 */
#ifndef FB_COMMON_ZYGOTE_H
#define FB_COMMON_ZYGOTE_H

#include <stdbool.h>

#include "common/sandbox.h"

struct fb_zygote;

/* What the child does: talks on fd (blocking stream socket), then exits.  Runs inside the sandbox.
 */
typedef void fb_child_fn(int fd);

/* Forks the zygote; warm() runs in it once.  name: of the process, 15 letters at most. */
FB_MUST_USE enum fb_status fb_zygote_start(const char *name, const struct fb_sandbox *sandbox,
                                           void (*warm)(void), fb_child_fn *child,
                                           struct fb_zygote **zygote_r, struct fb_error *err);
void fb_zygote_stop(struct fb_zygote **zygote);

struct fb_child {
    int fd;    /* stream socket to the child */
    int pidfd; /* becomes readable when it has ended */
    int pid;
    struct fb_zygote *zygote; /* that made it */
};
/* A fresh child.  Thread-safe.  FB_AGAIN when none can be made now.  A zygote that died (somebody
 * killed it) is not restarted, since the service has threads by then: the service must end and be
 * started again. */
FB_MUST_USE enum fb_status fb_zygote_spawn(struct fb_zygote *zygote, struct fb_child *child_r,
                                           struct fb_error *err);
bool fb_zygote_is_dead(struct fb_zygote *zygote);
/* Kills it if it still runs, waits, closes the descriptors. */
void fb_child_end(struct fb_child *child);

#endif
