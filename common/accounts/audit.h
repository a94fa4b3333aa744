/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the audit: stream fb:{s0}:console:audit, each entry one field "e" with an object of JSON.  The console
 * writes what is done in it, `fumibako user` what is done there. */
#ifndef FB_COMMON_ACCOUNTS_AUDIT_H
#define FB_COMMON_ACCOUNTS_AUDIT_H

#include <jansson.h>

#include "common/redis.h"

#define FB_AUDIT_KEY "fb:{s0}:console:audit"

struct fb_audit_line {
    const char *user, *role, *by, *address; /* by: "session", "token", "command" */
    const char *action, *object;
    json_t *before, *after; /* borrowed; NULL = null */
};
/* What is larger than 64 KiB is replaced by its SHA-256 and size.  Entries older than keep_ms go. */
FB_MUST_USE enum fb_status fb_audit_write(struct fb_redis *r, const struct fb_audit_line *line,
                                          int64_t keep_ms, struct fb_error *err);

#endif
