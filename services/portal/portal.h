/* SPDX-License-Identifier: Apache-2.0
 *
 * One request: who asks for what, in which language, and what is answered.
 *
 *   GET  /s/<link>            the sender's page                      sender_page.c
 *   POST /s/<link>/confirm    what a recall would do; changes nothing  confirm_page.c
 *   POST /s/<link>/recall     asks for the recall, then 303 to the page  recall.c
 *   any  /r/<text>...         a recipient's: reader.h
 *
 * 1. GET and HEAD change nothing, whatever is sent with them: programs that look at links for people must not recall.
 * 2. Behind /s/ only recall.c writes, after origin, cookie, token and form were found to be ours.
 * 3. A link that is not ours gets the same answer as a path that does not exist, before anything is looked up.
 * 4. Link, cookie, token and addresses are never logged.
 */
#ifndef FB_PORTAL_PORTAL_H
#define FB_PORTAL_PORTAL_H

#include <pthread.h>

#include "common/redis_pool.h"
#include "common/web.h"
#include "common/config.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/link.h"
#include "common/policy/service_source.h"
#include "common/redis.h"
#include "services/portal/brand.h"
#include "services/portal/form.h"
#include "services/portal/html.h"
#include "services/portal/limit.h"

#define PORTAL_THREADS                                                                             \
    16 /* handlers: most of the time they wait, for Redis, the vault, the painter */

struct portal {
    const struct fb_config *config;
    char origin[300]; /* as browsers write it */
    bool is_https;
    uint8_t form_key[FB_KEY_SIZE];
    char policy[256]; /* Content-Security-Policy */
    struct fb_netlist *proxies;
    struct portal_limit *limit;
    struct fb_policy_follow
        *follow;                   /* the policy: where the vaults are, and whose pages these are */
    struct reader_vaults *vaults;  /* reader_vaults.h */
    struct brand_keeper brands;    /* follows the policy, once a second */
    uint8_t door_key[FB_KEY_SIZE]; /* hashes and seals what the door keeps in Redis (door.h) */
    int64_t watched_ms;            /* when guessing was looked for last; of the main thread */
    pthread_mutex_t lock;          /* of warned_ms */
    struct fb_redis_pool *pool;    /* a connection for each handler */
    int64_t warned_ms;             /* when Redis' state was last complained of */
};

struct visit {
    struct portal *portal;
    const struct fb_http_request *request;
    struct fb_http_answer *answer;
    const char *page; /* for the metrics */
    bool is_ja;
    const char *chosen; /* "ja" or "en" of the query, to be kept in links; "" = none */
    char link[FB_LINK_SIZE];
    char
        back[FB_LINK_SIZE + 4]; /* path that an error leads back to, as "/r/<text>"; "" = by link */
    char msg_id[FB_ID_SIZE];
    int64_t ends_ms;     /* of the link */
    struct brand *brand; /* counted (brand.h); NULL = ours */
    char cookie[FORM_COOKIE_SIZE];
    bool has_cookie; /* the browser sent it */
    struct fb_net_address client;
};

/* The handler of the server; ctx is the portal. */
void portal_handle(void *ctx, const struct fb_http_request *request, struct fb_http_answer *answer);

/* Whether the browser says that the request was made by a page of ours; whether its body is a form's. */
bool portal_is_from_here(const struct visit *v);
bool portal_is_form(const struct visit *v);
/* The answer to a link that is not ours: that of a path that does not exist, or 429 after too many of them. */
void portal_bad_link(struct visit *v);

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
    /* What a reader gets; all but PAGE_READ_EXPIRED and the like only who has the whole link. */
    PAGE_READ_RECALLED, /* the sender took it back */
    PAGE_READ_EXPIRED,  /* its time is over */
    PAGE_READ_USED_UP,  /* downloaded as often as it may be */
    PAGE_READ_ONLY,     /* may be read on the page, not be downloaded */
    PAGE_READ_BROKEN,   /* the content cannot be read; nothing the reader can do */
    PAGE_NO_REPLY,      /* replies are off: for this mail, or here */
    PAGE_REPLY_TOO_BIG,
    PAGE_REPLY_BUSY,   /* as many replies are under way as may be */
    PAGE_REPLY_UNSURE, /* ingest did not answer after it had the mail */
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
