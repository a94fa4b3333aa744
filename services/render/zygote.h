/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygote: a process that loads fonts and character sets once and then forks a fresh child for
 * every message (about a millisecond), so that no message ever meets the memory of another. Started
 * before the service has threads.
 */
#ifndef FB_RENDER_ZYGOTE_H
#define FB_RENDER_ZYGOTE_H

#include <stdbool.h>

#include "services/render/sandbox.h"

struct render_zygote;

/* What the child does: talks on fd (blocking stream socket), then exits.  Runs inside the sandbox.
 */
typedef void render_child_fn(int fd);

/* Forks the zygote; warm() runs in it once. */
FB_MUST_USE enum fb_status render_zygote_start(const struct render_sandbox *sandbox,
                                               void (*warm)(void), render_child_fn *child,
                                               struct render_zygote **zygote_r,
                                               struct fb_error *err);
void render_zygote_stop(struct render_zygote **zygote);

struct render_child {
    int fd;    /* stream socket to the child */
    int pidfd; /* becomes readable when it has ended */
    int pid;
};
/* A fresh child.  Thread-safe.  FB_AGAIN when none can be made now.  A zygote that died (somebody
 * killed it) is not restarted, since the service has threads by then: the service must end and be
 * started again. */
FB_MUST_USE enum fb_status render_zygote_spawn(struct render_zygote *zygote,
                                               struct render_child *child_r, struct fb_error *err);
bool render_zygote_is_dead(struct render_zygote *zygote);
/* Kills it if it still runs, waits, closes the descriptors. */
void render_child_end(struct render_child *child);

#endif
