/* SPDX-License-Identifier: Apache-2.0
 *
 * What the console's sources about accounts share: cookies, the steps of signing in, changes of an account.
 *
 *   [POST session] (password) -> needs totp | passkey | enrol
 *        totp, passkey: [POST session/totp], [POST session/passkey] -> needs password | nothing
 *        enrol:         [PUT account/totp], [POST account/passkeys] -> needs password | nothing
 *        password:      [POST account/password]                     -> needs nothing
 *   [POST session/passkey] (user verified) -> needs nothing        [login/oidc/callback] -> needs nothing
 *
 * The same calls show a secret once more (proved_ms): what would let somebody stay who found an open browser (another
 * factor, a token, an account) asks for a proof of the last minutes. */
#ifndef FB_CONSOLE_ACCOUNTS_H
#define FB_CONSOLE_ACCOUNTS_H

#include "common/accounts/password.h"
#include "services/console/call.h"
#include "services/console/passkey.h"
#include "services/console/session.h"

#define ACCOUNT_FRESH_MS 900000 /* how long a proof is recent */
#define ACCOUNT_KNOWN    200    /* the cookie of a browser that signed in here before */

struct oidc;
struct console_accounts {
    uint8_t key[FB_KEY_SIZE]; /* for what is sealed or kept as HMAC */
    struct fb_password_cost cost;
    pthread_mutex_t lock; /* guards hashing */
    pthread_cond_t room;
    unsigned hashing; /* passwords that are being hashed: each takes cost.memory */
    struct fb_accounts_copy *copy;
    struct oidc *oidc; /* NULL = off */
    int64_t warned_ms, trimmed_ms;
};

/* ---- cookies (cookies.c) ---- */

enum cookie { COOKIE_SESSION, COOKIE_BEGIN, COOKIE_KNOWN };
/* NULL: none. */
const char *cookie_get(const struct call *c, enum cookie which);
/* max_age_s: -1 = until the browser is closed, 0 = take it away. */
void cookie_set(struct call *c, enum cookie which, const char *value, int64_t max_age_s);
/* HMAC-SHA256 in hex; no part holds a NUL. */
void account_hmac(const struct call *c, const char *purpose, const char *a, const char *b,
                  char out_r[FB_ACCOUNT_HASH]);
/* Whether a browser says that the call comes from pages of somebody else. */
bool account_is_foreign(const struct call *c);
/* The origin that pages have: "https://fumibako.example.jp".  False: the Host is not ours. */
bool account_origin(const struct call *c, char *out, size_t size);
/* The name that failures are counted for: the account's, or that of a browser which signed in here before: nobody else
 * can use up its tries. */
void account_throttle_name(const struct call *c, const char *user, const struct fb_account *a,
                           char *out, size_t size);
void account_know_browser(struct call *c, const struct fb_account *a);

/* ---- signing in (signin.c) ---- */

/* A new session in place of the one that the call came with (who.session), with its cookie; fills c->who.  since_ms
 * goes over from that one. */
FB_MUST_USE enum fb_status account_sign_in(struct call *c, const struct fb_account *a,
                                           const char *method, enum console_need need,
                                           struct fb_error *err);
/* What is still to be done when every secret was shown. */
enum console_need account_need_after_proof(const struct fb_account *a, bool by_password);
/* Answers {user, role, csrf, needs, ...}, and recovery codes where there are some (taken; NULL = none); a may be NULL
 * (nobody). */
void account_answer_session(struct call *c, const struct fb_account *a, json_t *recovery);

/* ---- changes (edit.c) ---- */

/* Reads the account, changes it by edit, writes it; again when somebody else was faster. edit's FB_OK goes on.
 * account_r (may be NULL): as it is now, the caller's. */
typedef enum fb_status (*account_edit)(struct fb_account *a, void *ctx, struct fb_error *err);
FB_MUST_USE enum fb_status account_change(struct fb_redis *r, const char *name, account_edit edit,
                                          void *ctx, bool keeps_admin,
                                          struct fb_account **account_r, struct fb_error *err);
/* The caller's own account (of his session).  False: answered. */
bool account_mine(struct call *c, struct fb_account **account_r);
/* Whether this is a session (no token) that needs nothing any more, or what `also` says (it is what the call does),
 * with a recent proof where that is asked for.  False: answered. */
bool account_may_change(struct call *c, enum console_need also, bool asks_fresh);
/* Writes the audit, and says in the log when that fails: the change is made. */
void account_note(struct call *c, const char *action, const char *object, json_t *before,
                  json_t *after);
/* Takes one try of the client's network; false: 429 was answered. */
bool account_take_network(struct call *c);
/* 429 with Retry-After. */
void account_too_many(struct call *c, int64_t wait_ms);
/* Fresh recovery codes: hashes into a, the codes as JSON array. */
json_t *account_new_recovery(const struct call *c, struct fb_account *a);
/* Takes one of two places where passwords are hashed; false: 503 was answered.  Give it back. */
bool account_hash_begin(struct call *c);
void account_hash_end(struct call *c);
/* A factor was added: audit (after is taken), a new session, the answer with recovery codes (taken; NULL = none). */
void account_enrolled(struct call *c, const struct fb_account *a, const char *action, json_t *after,
                      json_t *recovery);
/* What the audit says of an account: no secrets, but which there are. */
json_t *account_public(const struct fb_account *a);

/* ---- handlers; the table is in account_routes.c ---- */

void session_show(struct call *c);            /* signin.c */
void session_begin(struct call *c);           /* signin.c */
void session_totp(struct call *c);            /* signin.c */
void session_leave(struct call *c);           /* signin.c */
void session_passkey_options(struct call *c); /* passkey_routes.c */
void session_passkey(struct call *c);         /* passkey_routes.c */
void account_show(struct call *c);            /* mine.c */
void account_patch(struct call *c);           /* mine.c */
void account_password(struct call *c);        /* mine.c */
void account_totp_begin(struct call *c);      /* mine_totp.c */
void account_totp_confirm(struct call *c);    /* mine_totp.c */
void account_totp_remove(struct call *c);     /* mine_totp.c */
void account_recovery(struct call *c);        /* mine_totp.c */
void account_passkey_options(struct call *c); /* passkey_routes.c */
void account_passkey_add(struct call *c);     /* passkey_routes.c */
void account_passkey_remove(struct call *c);  /* passkey_routes.c */
void account_token_add(struct call *c);       /* mine.c */
void account_token_remove(struct call *c);    /* mine.c */
void account_sessions(struct call *c);        /* mine.c */
void account_session_end(struct call *c);     /* mine.c */
void account_sessions_end(struct call *c);    /* mine.c */
void users_list(struct call *c);              /* users.c */
void users_create(struct call *c);
void users_patch(struct call *c);
void users_remove(struct call *c);
void users_password(struct call *c);
void users_reset(struct call *c);
void users_unlock(struct call *c);
void oidc_begin(struct call *c); /* oidc.c */
void oidc_callback(struct call *c);

/* ---- the provider (oidc.c) ---- */

FB_MUST_USE enum fb_status oidc_check(const struct fb_config *config, struct fb_error *err);
struct oidc *oidc_new(const struct fb_config *config); /* NULL = off */
void oidc_free(struct oidc **o);

#endif
