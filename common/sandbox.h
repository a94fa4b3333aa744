/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox of a parser and painter child (render's, and the portal's painter): no network, no exec,
 * no new process, no file but fonts and character sets for reading (Landlock where the kernel has
 * it), bounded memory and CPU, another user when started by root, no life beyond its parent's.  What
 * is left of a child that was taken over: its own message or file, and a socket to a parent that
 * trusts none of its words.
 */
#ifndef FB_COMMON_SANDBOX_H
#define FB_COMMON_SANDBOX_H

#include <stdint.h>

#include "common/status.h"

struct fb_sandbox {
    int64_t memory_bytes;  /* RLIMIT_AS; not under a sanitizer, whose shadow memory needs more than
                              any limit */
    int64_t cpu_s;         /* RLIMIT_CPU */
    const char *user;      /* whom to become when root; NULL = stay */
    const char *fonts_dir; /* one more folder that may be read (our fonts.conf) */
};

/* Enters it for good; the calling process must have one thread.  FB_CONFIG when a part that the
 * kernel has cannot be entered: the caller must then not touch a message. */
FB_MUST_USE enum fb_status fb_sandbox_enter(const struct fb_sandbox *s, struct fb_error *err);
#endif
