/* SPDX-License-Identifier: Apache-2.0
 *
 * One request: who asks for what, in which language, and what is answered.
 *
 *   GET  /s/<link>            the sender's page                      sender_page.c
 *   POST /s/<link>/confirm    what a recall would do; changes nothing  confirm_page.c
 *   POST /s/<link>/recall     asks for the recall, then 303 to the page  recall.c
 *
 * 1. GET and HEAD change nothing, whatever is sent with them: programs that look at links for people must not recall.
 * 2. Only recall.c writes, after origin, cookie, token and form were found to be ours.
 * 3. A link that is not ours gets the same answer as a path that does not exist, before anything is looked up.
 * 4. Link, cookie, token and addresses are never logged.
 */
#ifndef FB_PORTAL_PORTAL_H
#define FB_PORTAL_PORTAL_H

#include <pthread.h>

#include "common/config.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/link.h"
#include "common/redis.h"
#include "services/portal/form.h"
#include "services/portal/html.h"
#include "services/portal/limit.h"

#define PORTAL_THREADS 4

struct portal {
    const struct fb_config *config;
    char origin[300]; /* as browsers write it */
    bool is_https;
    uint8_t form_key[FB_KEY_SIZE];
    char policy[256]; /* Content-Security-Policy */
    struct fb_netlist *proxies;
    struct portal_limit *limit;
    pthread_mutex_t lock; /* guards the pool */
    struct fb_redis *pool[PORTAL_THREADS];
    bool is_taken[PORTAL_THREADS];
    int64_t warned_ms; /* when Redis' state was last complained of; under lock */
};

struct visit {
    struct portal *portal;
    const struct fb_http_request *request;
    struct fb_http_answer *answer;
    const char *page; /* for the metrics */
    bool is_ja;
    const char *chosen; /* "ja" or "en" of the query, to be kept in links; "" = none */
    char link[FB_LINK_SIZE];
    char msg_id[FB_ID_SIZE];
    int64_t ends_ms; /* of the link */
    char cookie[FORM_COOKIE_SIZE];
    bool has_cookie; /* the browser sent it */
    struct fb_net_address client;
};

/* The handler of the server; ctx is the portal. */
void portal_handle(void *ctx, const struct fb_http_request *request, struct fb_http_answer *answer);

/* A connection of the pool, for one request.  There are as many as handlers. */
struct fb_redis *portal_redis_take(struct portal *p);
void portal_redis_give(struct portal *p, struct fb_redis *r);

/* ---- page.c: what all pages share ---- */

/* Security headers, for every answer. */
void page_headers(struct visit *v);
/* A fresh cookie where the browser has none. */
void page_set_cookie(struct visit *v);
/* From <!DOCTYPE> to <main>; the title is escaped.  has_languages: the page can be had in the other one. */
void page_begin(struct visit *v, struct html *h, const char *title, bool has_languages);
/* </main> to the end; the answer's status, 500 when the page could not be written. */
void page_end(struct visit *v, struct html *h, unsigned status);
/* "?lang=ja" where it was chosen, else "". */
const char *page_query(const struct visit *v);

enum page_error {
    PAGE_NOT_FOUND,   /* nothing here, or no link of ours */
    PAGE_ENDED,       /* the link has ended */
    PAGE_NO_RECORD,   /* ours, but the ledger does not know the mail (any more) */
    PAGE_UNAVAILABLE, /* Redis cannot be asked */
    PAGE_UNSURE,      /* Redis was asked for a recall and did not answer */
    PAGE_TOO_MANY,    /* too many requests */
    PAGE_BAD_METHOD,
    PAGE_BAD_TYPE, /* not a form */
    PAGE_TOO_BIG,
    PAGE_BAD_FORM, /* not our form */
    PAGE_LONG_REASON,
    PAGE_NOBODY,       /* nobody was chosen */
    PAGE_ONLY_WHOLE,   /* a parcel with one link for all can be recalled as a whole only */
    PAGE_NOTHING,      /* nothing is left to be recalled */
    PAGE_OTHER_SITE,   /* the form was sent from elsewhere */
    PAGE_STALE_FORM,   /* token: expired, of another browser, or forged */
    PAGE_MANY_RECALLS, /* more than the ledger keeps of one mail */
    PAGE_ERROR_COUNT
};
void page_error(struct visit *v, enum page_error what);
/* 503, and a line in the log now and then. */
void page_unavailable(struct visit *v, const struct fb_error *err);

/* style.c */
extern const char portal_style[];

/* ---- what is behind the paths ---- */

void sender_page(struct visit *v);
void confirm_page(struct visit *v, const struct form *form);
void recall_act(struct visit *v, const struct form *form);

#endif
