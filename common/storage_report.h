/* SPDX-License-Identifier: Apache-2.0
 *
 * How a storage is: what upload, which alone has its keys, found when it tried it, for those who show it (console,
 * `fumibako storages`) and must not have the keys.
 *
 *   upload looks every few minutes, one process for all (fb:{s0}:storages:turn) -> hash fb:{s0}:storages
 *   fb_storage_ask: hash fb:{s0}:storages:asked -> upload takes it, tries, writes the report -> fb_storage_wait sees it
 *
 * Who asks gives a name and nothing else: what upload connects to is what its own policy says.  Texts are read by
 * operators: no address of a mail, no content, no key. */
#ifndef FB_COMMON_STORAGE_REPORT_H
#define FB_COMMON_STORAGE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/redis.h"

#define FB_STORAGE_STEPS     40 /* a login and a folder for each of the first users of a pool */
#define FB_STORAGE_STEP_USER 32
#define FB_STORAGE_STEP_TEXT 320
#define FB_STORAGE_LOOK_MS   300000 /* from one look to the next */
#define FB_STORAGE_ASK_MS    30000  /* after that nobody waits any more */

enum fb_storage_step {
    FB_STORAGE_OPEN, /* credentials or key file read; a vault: it is there, and the key is its key */
    FB_STORAGE_LOGIN,  /* Box: it knows us, and says what is used */
    FB_STORAGE_FOLDER, /* Box: the folder of all parcels is there, and may be written to */
    FB_STORAGE_WRITE,  /* vault: something was written, read back and erased; only when asked for */
    FB_STORAGE_SPACE,  /* vault: what is used, and what is free */
    FB_STORAGE_STEP_COUNT
};

/* -1: not known; a quota of 0: there is none. */
struct fb_storage_space {
    int64_t used, quota, free;
};

struct fb_storage_step_result {
    enum fb_storage_step step;
    char user[FB_STORAGE_STEP_USER]; /* of a pool; "" = the service account, or a vault */
    bool is_ok;
    int64_t took_ms;
    struct fb_storage_space space;   /* of a login */
    char text[FB_STORAGE_STEP_TEXT]; /* what went wrong */
};

struct fb_storage_report {
    int64_t began_ms, at_ms;       /* Redis' time, ours */
    bool is_ok, is_asked;          /* asked for: with everything that is tried */
    struct fb_storage_space space; /* of all users together */
    struct fb_storage_step_result steps[FB_STORAGE_STEPS];
    size_t step_count;
};

/* ---- making one ---- */

void fb_storage_report_init(struct fb_storage_report *report_r);
/* Adds a step, which began at since_ms (monotonic); err as of a failure.  Lent; NULL when there are too many. */
struct fb_storage_step_result *fb_storage_report_add(struct fb_storage_report *report,
                                                     enum fb_storage_step step, const char *user,
                                                     int64_t since_ms, enum fb_status s,
                                                     const struct fb_error *err);
FB_MUST_USE enum fb_status fb_storage_report_put(struct fb_redis *r, const char *storage,
                                                 const struct fb_storage_report *report,
                                                 struct fb_error *err);

/* ---- reading one ---- */

/* FB_NOT_FOUND: nobody has looked yet. */
FB_MUST_USE enum fb_status fb_storage_report_get(struct fb_redis *r, const char *storage,
                                                 struct fb_storage_report *report_r,
                                                 struct fb_error *err);
/* "open", "login", ... */
const char *fb_storage_step_name(enum fb_storage_step step);
/* A sentence; language "ja" is Japanese, everything else English. */
FB_MUST_USE enum fb_status fb_storage_step_words(const struct fb_storage_step_result *step,
                                                 const char *language, struct fb_buf *out);
/* Of the API and of --json: {"at", "is_ok", "used", "quota", "free", "users": [{"user", "used", "quota"}], "checks":
 * [{"name", "state", "text", "hint"}]}; what is not known is null. */
json_t *fb_storage_report_json(const struct fb_storage_report *report, const char *language,
                               json_t *(*time)(int64_t ms));

/* ---- asking for one ---- */

/* asked_ms_r: Redis' time. */
FB_MUST_USE enum fb_status fb_storage_ask(struct fb_redis *r, const char *storage,
                                          int64_t *asked_ms_r, struct fb_error *err);
/* Looks until there is a report that was begun after the question, wait_ms at most, and less when nobody takes the
 * question.  FB_AGAIN: there is none: no upload service runs, or a storage keeps it waiting. */
FB_MUST_USE enum fb_status fb_storage_wait(struct fb_redis *r, const char *storage,
                                           int64_t asked_ms, int64_t wait_ms,
                                           struct fb_storage_report *report_r,
                                           struct fb_error *err);
/* Whether there is a question about any storage. */
FB_MUST_USE enum fb_status fb_storage_is_asked(struct fb_redis *r, bool *is_asked_r,
                                               struct fb_error *err);
/* Takes a question for this storage, if there is one, so that nobody else does; or else, with may_look, the turn to
 * look every FB_STORAGE_LOOK_MS.  is_taken_r: the storage is to be tried. */
FB_MUST_USE enum fb_status fb_storage_take(struct fb_redis *r, const char *storage, bool may_look,
                                           bool *is_taken_r, bool *is_asked_r, int64_t *now_ms_r,
                                           struct fb_error *err);

#endif
