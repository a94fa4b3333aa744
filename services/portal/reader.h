/* SPDX-License-Identifier: Apache-2.0
 *
 * A recipient's visit: what stands behind <portal.public_url>/r/<text>.
 *
 *   GET  /r/<text>                      the door; with a session, what is to be read
 *   POST /r/<text>/open                 proof "link", or a trusted device
 *   POST /r/<text>/code  /enter         sends a code; checks it
 *   POST /r/<text>/totp  /enrol  /recovery   authenticator app
 *   POST /r/<text>/password             the parcel's password
 *   POST /r/<text>/leave                ends the session, and the trust in this device
 *   GET  /r/<text>/body.pdf  /page/<file>/<n>.png  /file/<ticket>/<name>    read_*.c
 *   POST /r/<text>/download             read_*.c: a ticket, then 303
 *   GET, POST /r/<text>/reply           reply_*.c
 *
 * 1. GET, HEAD and OPTIONS change nothing, count nothing and send nothing: programs that look at links for people come
 *    before people do.  (A session that is used lives on: who has one has proved himself by a POST.)
 * 2. A POST acts only from our own page: origin, cookie and token are checked before its handler runs, except that a
 *    handler with is_own_form reads its form itself and must check the token.
 * 3. Each request asks the vault and the ledger anew; what was recalled is refused by the next request.
 * 4. Who has no valid secret gets the answer of a path that does not exist, after the same work (reader.c).
 * 5. Neither link, code, password, cookie nor token is ever logged.
 */
#ifndef FB_PORTAL_READER_H
#define FB_PORTAL_READER_H

#include "common/ledger/reading.h"
#include "common/link.h"
#include "common/vault/vault.h"
#include "services/portal/portal.h"
#include "services/portal/reader_vaults.h"

#define READER_ADDRESS     321 /* 64 "@" 255 and a NUL; longer ones cannot prove anything */
#define READER_ID_HASH     65  /* SHA-256 in hex */
#define READER_FORM_SECRET 65
#define READER_TAG         17
#define READER_SEALED      512

/* How much was proved.  The higher one holds for the lower one. */
enum reader_proof { READER_PROOF_LINK, READER_PROOF_CODE, READER_PROOF_TOTP };

/* What the holder of a session still has to do.  Handlers but the door's run with READER_NEEDS_NOTHING only. */
enum reader_need {
    READER_NEEDS_NOTHING,
    READER_NEEDS_TOTP,
    READER_NEEDS_ENROL,
    READER_NEEDS_PASSWORD
};

struct reader_session {
    char id_hash[READER_ID_HASH]; /* of the cookie: the session's name in Redis */
    char address[READER_ADDRESS]; /* whose mailbox was proved: the grant's, or a member's */
    enum reader_proof proof;
    enum reader_need need;
    int64_t since_ms;                     /* when it was proved */
    int64_t idle_until_ms, until_ms;      /* it ends with the earlier one */
    char form_secret[READER_FORM_SECRET]; /* binds tokens to the session */
    char sealed[READER_SEALED]; /* the door's: secret of an app that is being enrolled; "" */
    bool replaces;              /* the door's: it takes the place of the earlier one */
};

struct reader {
    struct visit *visit;
    struct fb_redis *redis;         /* of the pool, for this request */
    char text[FB_READER_LINK_SIZE]; /* of the link; harmless in URLs and HTML */
    char parcel_id[FB_PARCEL_ID_SIZE];
    char msg_id[FB_ID_SIZE];
    int shard; /* of the message */
    uint32_t recipient;
    uint8_t secret_hash[FB_VAULT_HASH];
    char
        grant_tag[READER_TAG]; /* first hex digits of secret_hash: names the grant, opens nothing */
    struct reader_vault
        *home; /* the vault that has the parcel; whoever streams on takes a reference */
    struct fb_vault *vault;             /* the same, opened */
    const char *storage;                /* its name in the policy; lent by home */
    struct fb_vault_parcel parcel;      /* as it is now */
    const struct fb_vault_grant *grant; /* of parcel; its secret is the link's */
    struct reader_session session;
    bool has_session; /* proved all that the parcel asks for */
    char verb_text[32];
    const char *verb; /* the first word behind the text: "", "page", "reply" */
    const char *rest; /* what stands behind verb and "/": "" or more; not checked */
};

/* Answers a request whose path begins with "/r/"; path: what stands behind that. */
void reader_handle(struct visit *v, const char *path);

/* ---- for handlers ---- */

/* Whether this action (download, reply) is allowed now: asks the ledger.  False: a page was answered. */
bool reader_is_allowed(struct reader *r);
/* Answers why there is nothing to be read (any more): FB_READING_RECALLED, _ENDED, _USED_UP. */
void reader_refuse(struct reader *r, enum fb_reading why);
/* Redis or vault cannot be asked: 503; FB_CORRUPT and others of content: 500 with words. */
void reader_unavailable(struct reader *r, const struct fb_error *err);
/* The answer of a path that does not exist. */
void reader_not_found(struct reader *r);
/* 303 to /r/<text>[/<verb>]; verb: "" or a path behind the text. */
void reader_see(struct reader *r, const char *verb);

/* <form method="post" action="/r/<text>/<verb>"> with its token in a hidden field "token"; attributes: "" or more of
 * the tag, as " enctype=\"multipart/form-data\" class=\"x\"".  Whoever calls closes the form. */
void reader_form_begin(struct reader *r, struct html *h, const char *verb, const char *attributes);
/* A field of the form that was sent (application/x-www-form-urlencoded), decoded.  False: not there, given twice, too
 * long, or with a NUL; out_r is "" then. */
bool reader_field(const struct reader *r, const char *name, char *out_r, size_t size);

/* The session cookie of a request as the session is named, whether or not there is such a session: nothing is asked.
 * False: no cookie of that form. */
bool reader_session_name(const struct portal *p, const struct fb_http_request *request,
                         char id_hash_r[READER_ID_HASH]);

/* A line in the parcel's history and one in the log: "code asked", ...  Source "portal". */
void reader_audit(struct reader *r, const char *event, const char *address);

/* ---- handlers of others; r->has_session is true ---- */

void read_page(struct reader *r);   /* GET "" : what is to be read */
void read_body(struct reader *r);   /* GET body.pdf */
void read_image(struct reader *r);  /* GET page/<file>/<n>.png: r->rest */
void read_ticket(struct reader *r); /* POST download: counts, then 303 to file/<ticket>/<name> */
void read_file(struct reader *r);   /* GET file/<ticket>/<name>: r->rest */
void reply_page(struct reader *r);  /* GET reply */
void reply_send(struct reader *r);  /* POST reply, multipart/form-data: is_own_form */

#endif
