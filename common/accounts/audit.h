/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the audit: stream fb:{s0}:console:audit, each entry one field "e" with an object of JSON.  The console
 * writes what is done in it, `fumibako` what is done there; both read it. */
#ifndef FB_COMMON_ACCOUNTS_AUDIT_H
#define FB_COMMON_ACCOUNTS_AUDIT_H

#include <jansson.h>

#include "common/buf.h"
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

/* ---- reading (audit_read.c) ---- */

struct fb_audit_filter {
    const char *user, *action, *object; /* NULL = all; action: "policy" means "policy.*" as well */
    int64_t since_ms, until_ms;         /* 0 = open */
    json_t *(*time)(int64_t ms);        /* how a moment is written */
};
/* A page, newest first: items {id, time, user, role, by, address, action, object, before, after}.  cursor: NULL, or the
 * next_r of the page before; next_r (owned) becomes NULL behind the last one.  FB_INVALID: not a cursor. */
FB_MUST_USE enum fb_status fb_audit_list(struct fb_redis *redis,
                                         const struct fb_audit_filter *filter, const char *cursor,
                                         size_t limit, json_t **items_r, char **next_r,
                                         struct fb_error *err);
enum fb_audit_format { FB_AUDIT_NDJSON, FB_AUDIT_CSV };
struct fb_audit_sink {
    enum fb_status (*put)(void *ctx, struct fb_slice line); /* anything but FB_OK ends the export */
    void *ctx;
};
/* Hands on the newest `most` lines that the filter takes, with the head of a CSV. */
FB_MUST_USE enum fb_status fb_audit_export(struct fb_redis *redis, const struct fb_audit_filter *f,
                                           enum fb_audit_format format, size_t most,
                                           const struct fb_audit_sink *sink, struct fb_error *err);

#endif
