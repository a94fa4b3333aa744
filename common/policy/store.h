/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy in Redis: the one in force, and those before it.  `fumibako policy` and the console write here and nowhere
 * else, so that both follow the same rules:
 *
 * 1. Only what parses without an error becomes active.
 * 2. Who edits says which version was edited; when another one is in force meanwhile, nothing is changed.
 * 3. A version is in the history before it is in force.  It is never changed after that.
 * 4. Changes go one behind the other; their numbers have no gap but where one was given up half-way.
 */
#ifndef FB_COMMON_POLICY_STORE_H
#define FB_COMMON_POLICY_STORE_H

#include "common/config.h"
#include "common/policy/policy.h"
#include "common/redis.h"

#define FB_POLICY_MAX_COMMENT 500
#define FB_POLICY_MAX_AUTHOR  129

struct fb_policy_version {
    char version[65]; /* SHA-256 (hex) of the document's bytes */
    char written[65]; /* as Redis has it: by hand, something else may stand there */
    int64_t number;   /* counted from 1; a document that is applied again has another one */
    int64_t at_ms;    /* 0 = not known (policy.source is a file) */
    char author[FB_POLICY_MAX_AUTHOR];
    char comment[FB_POLICY_MAX_COMMENT + 1];
    struct fb_buf document; /* empty in listings */
    size_t rule_count;      /* of fb_policy_apply */
};
void fb_policy_version_deinit(struct fb_policy_version *v);

/* The policy in force: of Redis, or of the file that policy.source names.  FB_NOT_FOUND: there is none. */
FB_MUST_USE enum fb_status fb_policy_current(const struct fb_config *config, struct fb_redis *r,
                                             struct fb_policy_version *v_r, struct fb_error *err);

/* Newest first, without their documents, from the one below `below` on (0 = from the newest); stops when each returns
 * false. */
FB_MUST_USE enum fb_status fb_policy_versions(struct fb_redis *r, int64_t below, size_t limit,
                                              bool (*each)(void *ctx,
                                                           const struct fb_policy_version *v),
                                              void *ctx, struct fb_error *err);
/* One of the history, with its document.  name: its number, or its hash (the newest with it).  FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_policy_version_get(struct fb_redis *r, const char *name,
                                                 struct fb_policy_version *v_r,
                                                 struct fb_error *err);

struct fb_policy_change {
    struct fb_slice document;
    const char *author;
    const char *comment; /* NULL = "" */
    const char *
        expected; /* version that was edited; "" = there must be none; NULL = whatever is in force */
    bool is_ja;   /* the language of the findings */
};
/* Checks and puts in force.  findings_r is always filled (fb_policy_findings_deinit).
 *   FB_OK       it is in force; v_r says under which number, without the document
 *   FB_INVALID  the document has errors (findings_r), or comment or author are no UTF-8 or too long
 *   FB_LOST     another version is in force: v_r says which
 *   FB_AGAIN    others' changes were under way for as long as it waits (20 s)
 *   FB_DENIED   policy.source is a file */
FB_MUST_USE enum fb_status fb_policy_apply(const struct fb_config *config, struct fb_redis *r,
                                           const struct fb_policy_change *change,
                                           struct fb_policy_version *v_r,
                                           struct fb_policy_findings *findings_r,
                                           struct fb_error *err);

#endif
