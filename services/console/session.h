/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions in Redis: hash fb:{s0}:console:session:<SHA-256 of the cookie>, and for each account the list of its own,
 * fb:{s0}:console:of:<handle>.  They end by themselves: when they are not used (session_idle), and after session_max
 * in any case.  A session belongs to one account by its handle: a later account of the same name has none of them. */
#ifndef FB_CONSOLE_SESSION_H
#define FB_CONSOLE_SESSION_H

#include "services/console/console.h"

#define SESSION_AGENT 121
#define SESSION_MOST  20 /* of one account; the oldest one makes room */

struct session {
    char user[FB_ACCOUNT_NAME];
    char handle[FB_ACCOUNT_HANDLE];
    char method[16];
    enum console_need need;
    int64_t since_ms;  /* when its account signed in first: what session_max counts from */
    int64_t until_ms;  /* its end in any case */
    int64_t proved_ms; /* when a secret was shown last */
    int64_t seen_ms;   /* written by get */
    char address[46];
    char agent[SESSION_AGENT];
    char pending[FB_ACCOUNT_SEALED]; /* the secret of an app that is being enrolled, sealed; "" */
};

const char *session_need_name(enum console_need need);

/* Makes it, and ends the one named old ("" = none) in the same step. */
FB_MUST_USE enum fb_status session_put(struct fb_redis *r, const char *name, const char *old,
                                       const struct session *s, int64_t idle_ms, int64_t now_ms,
                                       struct fb_error *err);
/* The session with its account as it is now.  FB_NOT_FOUND: ended, or its account is gone or switched off.  Its use
 * keeps it alive for idle_ms more. */
FB_MUST_USE enum fb_status session_get(struct fb_redis *r, const char *name, int64_t idle_ms,
                                       int64_t now_ms, struct session *session_r,
                                       struct fb_account **account_r, struct fb_error *err);
/* FB_NOT_FOUND: there is no such session any more. */
FB_MUST_USE enum fb_status session_set_pending(struct fb_redis *r, const char *name,
                                               const char *sealed, struct fb_error *err);
FB_MUST_USE enum fb_status session_end(struct fb_redis *r, const char *handle, const char *name,
                                       struct fb_error *err);
struct session_entry {
    char name[FB_ACCOUNT_HASH];
    struct session session;
};
/* Those of an account that have not ended, newest first; list_r has room for SESSION_MOST. */
FB_MUST_USE enum fb_status session_list(struct fb_redis *r, const char *handle,
                                        struct session_entry *list_r, size_t *count_r,
                                        struct fb_error *err);

/* ---- what waits for one answer: fb:{s0}:console:begin:<hash>, 10 minutes, taken once ---- */

#define BEGIN_MS 600000
FB_MUST_USE enum fb_status begin_put(struct fb_redis *r, const char *name, json_t *what,
                                     struct fb_error *err);
/* FB_NOT_FOUND: there is none, or it was taken.  what_r is the caller's. */
FB_MUST_USE enum fb_status begin_take(struct fb_redis *r, const char *name, json_t **what_r,
                                      struct fb_error *err);
/* Takes a time step of an app's code, once.  FB_EXISTS: it was taken before. */
FB_MUST_USE enum fb_status step_take(struct fb_redis *r, const char *handle, int64_t step,
                                     struct fb_error *err);

#endif
