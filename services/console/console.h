/* SPDX-License-Identifier: Apache-2.0
 *
 * Who uses the console, and what he may do: roles and permissions, who a request comes from, and the audit of what was
 * changed.
 *
 * 1. A session is a random cookie; Redis knows its hash only.  Each step that proves something (password, second
 *    factor, a new password) makes a new session and ends the one before it: nobody can have put it there first.
 * 2. A session whose who.need is not CONSOLE_NEEDS_NOTHING proves half of what it has to: it opens the steps that are
 *    missing (ROUTE_SIGNED) and nothing else.
 * 3. The account is read with each request: another role, or the end of an account, counts from the next one on.
 * 4. What comes with a cookie and changes something has the CSRF token of this session and our own Origin.
 */
#ifndef FB_CONSOLE_CONSOLE_H
#define FB_CONSOLE_CONSOLE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/accounts/account.h"
#include "common/http_server.h"
#include "common/redis.h"

struct call;
struct console;

/* ---- roles (roles.c); enum fb_role is in common/accounts/account.h: fumibako sets it as well ---- */

enum console_permission {
    CONSOLE_SEE_STATES,   /* messages, queues, overview, storages: no subject, no notice text */
    CONSOLE_SEE_MESSAGES, /* subjects as well */
    CONSOLE_RECALL,       /* recall, restore */
    CONSOLE_OPERATE,      /* dead letters: retry, release, reject */
    CONSOLE_SEE_POLICY,   /* read, test, dry run */
    CONSOLE_EDIT_POLICY,
    CONSOLE_SEE_AUDIT,
    CONSOLE_MANAGE_USERS,
    CONSOLE_PERMISSION_COUNT
};
/*            states messages recall operate see-policy edit-policy audit users
 * admin        x       x        x      x        x           x        x     x
 * operator     x       x        x      x        x
 * auditor      x       x                        x                    x
 * helpdesk     x                                                              */
bool console_may(enum fb_role role, enum console_permission permission);

/* ---- who (account.c) ---- */

enum console_need {
    CONSOLE_NEEDS_NOTHING,
    CONSOLE_NEEDS_TOTP,    /* "totp": the app's code, or a recovery code, or a passkey */
    CONSOLE_NEEDS_PASSKEY, /* "passkey": it is the only second factor */
    CONSOLE_NEEDS_ENROL,   /* "enrol": no second factor yet */
    CONSOLE_NEEDS_PASSWORD /* "password": it was given by somebody else, and has to be changed */
};

enum console_by { CONSOLE_BY_NOBODY, CONSOLE_BY_SESSION, CONSOLE_BY_TOKEN };

struct console_who {
    char user[FB_ACCOUNT_NAME]; /* "" = nobody */
    enum fb_role role;          /* of a token: the lesser of its own and its owner's */
    enum console_by by;
    enum console_need need;
    char session[FB_ACCOUNT_HASH]; /* hash of the session's cookie, or of the token */
    char csrf[FB_ACCOUNT_HASH];    /* what the header X-Fumibako-CSRF must say; "" for tokens */
    char method[16];               /* how he signed in: "password", "passkey", "oidc", "token" */
    int64_t proved_ms;             /* when: what is delicate asks for a recent one */
};

/* Fills who by the request's cookie or bearer token; call->who is not touched.
 *   FB_OK         somebody is signed in (look at who.need)
 *   FB_NOT_FOUND  nobody: no cookie, one that ended, a token that does not exist (any more): 401
 *   FB_DENIED     a change without the right token or Origin: 403
 *   others        Redis is away: 503 */
FB_MUST_USE enum fb_status console_authenticate(struct call *call, struct console_who *who_r,
                                                struct fb_error *err);

/* Whether a request comes from somebody who signed in here or has a token, by its head alone: asked in a thread that
 * reads, before the body is read.  It permits nothing: the session may have ended since. */
struct fb_http_request;
bool console_is_known(struct console *console, const struct fb_http_request *head);

/* ---- the life of the accounts (account.c) ---- */

struct console_accounts;
/* Checks the settings of the accounts, for --check. */
FB_MUST_USE enum fb_status console_accounts_check(const struct fb_config *config,
                                                  struct fb_error *err);
/* Sets console->accounts; console->config, origin and is_https are filled before.  It is free'd with NULL allowed. */
FB_MUST_USE enum fb_status console_accounts_new(struct console *console, struct fb_error *err);
/* Keeps users_file and Redis the same, and drops what is over from the audit; every second, in one thread.  What fails
 * is logged now and then, and tried again. */
void console_accounts_tick(struct console *console, struct fb_redis *redis);
void console_accounts_free(struct console_accounts **accounts);

/* ---- audit (audit.c): stream fb:{s0}:console:audit ---- */

/* Adds a line: who (call->who, with the client's address), what was done ("policy.put", "message.recall",
 * "account.totp.enrol", "user.create"), with which object ("message 01J...", "user anna"), and how it was before and
 * after (borrowed; NULL = null).  No secret and no content of a mail belongs into it.  What is larger than 64 KiB is
 * replaced by its SHA-256 and size. */
FB_MUST_USE enum fb_status console_audit(struct call *call, const char *action, const char *object,
                                         json_t *before, json_t *after, struct fb_error *err);

/* ---- headers (account.c) ---- */

/* What every answer has: nosniff, Referrer-Policy, frame-ancestors and the rest of the policy, HSTS with https,
 * no-store for the API.  Replaces what is there. */
void console_security_headers(const struct console *console, bool is_api,
                              struct fb_http_answer *answer);

#endif
