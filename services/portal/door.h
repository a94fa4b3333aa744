/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: how a recipient proves control of the mailbox before anything can be read.
 *
 *   link      a button (programs that open links do not press it)
 *   code      6 digits by mail
 *   totp      a code at the first visit, then an authenticator app (RFC 6238) is enrolled, and asked for from then on
 *   password  behind any of these, where the parcel has one
 *
 *        [POST code] -> code is out -> [POST enter] -+-> session
 *        [POST open] (link, trusted device) ---------+-> session that needs an app: [POST enrol], [totp], [recovery]
 *        [POST totp] [POST recovery] (enrolled) -----+-> session that needs the password: [POST password]
 *
 * Each step that proves something makes a new session and ends the one before it (door_session.c).  A session names its
 * grant and opens nothing else.  What Redis keeps is in common/ledger/door.h; what opens something is there as SHA-256
 * (cookies: 256 random bits), as HMAC (codes, recovery codes) or sealed (the app's secret), with keys made from
 * rewrite.key.
 */
#ifndef FB_PORTAL_DOOR_H
#define FB_PORTAL_DOOR_H

#include "common/ledger/door.h"
#include "common/totp/totp.h"
#include "services/portal/reader.h"

#define DOOR_CODE_DIGITS FB_TOTP_DIGITS
#define DOOR_NETWORK     64 /* "2001:db8::/64" and a NUL */

/* ---- what is kept as a hash, or sealed (door_secret.c) ---- */

/* SHA-256 in hex. */
void door_sha256(const char *text, char out_r[FB_DOOR_HASH]);
/* HMAC-SHA256 in hex; purpose, a and b hold no NUL, so that no two of them make the same text. */
void door_hmac(const uint8_t key[FB_KEY_SIZE], const char *purpose, const char *a, const char *b,
               char out_r[FB_DOOR_HASH]);
/* "012345": each of a million as likely as any other. */
void door_code_new(char out_r[DOOR_CODE_DIGITS + 1]);
/* What a network counts as one: 203.0.113.0/24, 2001:db8::/64. */
void door_network(const struct fb_net_address *client, char out_r[DOOR_NETWORK]);
/* "h***@example.jp", with bullets. */
void door_masked(const char *address, char *out, size_t size);
/* Whether somebody with this address may prove himself for a mail to that one: the same domain. */
bool door_is_member(const char *address, const char *of);
bool door_is_address(const char *text);

/* ---- sessions, devices (door_session.c) ---- */

/* Who the browser is: a cookie of this link, made with the first page.  Set again where it is missing. */
void door_set_browser(struct reader *r, bool is_rotated);
void door_browser(const struct reader *r, char out_r[FB_DOOR_HASH]);
/* Fills r->session and r->has_session by the cookie.  Without one, or with one that ended: FB_OK, and nothing is
 * filled. */
FB_MUST_USE enum fb_status door_session_load(struct reader *r, struct fb_error *err);

struct door_proved {
    const char *address;
    enum reader_proof proof;
    bool has_password; /* given, or none is asked for */
    bool trusts;       /* the device, for parcel.trusted_days */
    bool enrols_again; /* the app is lost: another one takes its place */
    const char *how;   /* for the audit: "code", ... */
};
/* Somebody proved something: opens a session that is good for it, with the cookie.  FB_DENIED: recalled, ended
 * (*why_r); statuses of Redis. */
FB_MUST_USE enum fb_status door_admit(struct reader *r, const struct door_proved *p,
                                      enum fb_reading *why_r, struct fb_error *err);
/* Ends session and trust, and takes the cookies away. */
FB_MUST_USE enum fb_status door_end(struct reader *r, struct fb_error *err);
/* Whether this browser is trusted for the grant's address. */
FB_MUST_USE enum fb_status door_is_trusted(struct reader *r, bool *is_trusted_r,
                                           enum reader_proof *proof_r, struct fb_error *err);
/* Whether an app is enrolled for the address.  is_stale_r: one is, but its secret does not open (any more). */
FB_MUST_USE enum fb_status door_has_app(struct reader *r, const char *address, bool *has_r,
                                        bool *is_stale_r, struct fb_error *err);
enum reader_proof door_required(const struct reader *r);

/* ---- limits, audit (door_limit.c) ---- */

/* What happened, for log, history and metrics: event is "<kind> <outcome>", as "code wrong". */
void door_note(struct reader *r, const char *kind, const char *outcome, const char *address);
/* A wrong code, password...: counted for the network and for all, so that guessing is seen. */
void door_note_wrong(struct reader *r, const char *kind, const char *address, bool is_locked);
/* One that was not looked at, because it is locked. */
void door_note_refused(struct reader *r, const char *kind);
/* *wait_ms_r is 0 unless the client's network guessed too much. */
FB_MUST_USE enum fb_status door_look_network(struct reader *r, int64_t *wait_ms_r,
                                             struct fb_error *err);
/* The same for another code; address: where it goes, NULL = nowhere. */
FB_MUST_USE enum fb_status door_take_mail(struct reader *r, const char *address, int64_t *wait_ms_r,
                                          struct fb_error *err);
/* Raises or clears the alarm; every few seconds, in one thread. */
void door_watch(struct portal *p, struct fb_redis *redis);

/* ---- pages (door_page.c, door_app_page.c) ---- */

enum door_alert {
    DOOR_NO_ALERT,
    DOOR_NOT_A_CODE,
    DOOR_WRONG,       /* tries_left */
    DOOR_LOCKED,      /* until_ms */
    DOOR_NO_CODE,     /* none for this browser, or over */
    DOOR_EARLY,       /* until_ms: another code */
    DOOR_USED,        /* this code of the app was taken before */
    DOOR_BAD_ADDRESS, /* not an address */
    DOOR_LEFT,        /* the session was ended */
    DOOR_ALERT_COUNT
};
struct door_said {
    enum door_alert alert;
    unsigned tries_left;
    int64_t until_ms;
    unsigned status; /* of HTTP */
    const char *at;  /* id of the field that it is about; "" = none */
};
/* The page for what is to be done next. */
void door_page(struct reader *r, const struct door_said *said);
void door_enrol_form(struct reader *r, struct html *h, const struct door_said *said,
                     bool offers_trust);
void door_app_form(struct reader *r, struct html *h, const struct door_said *said,
                   bool offers_trust);
/* The recovery codes, once; then the way on. */
void door_recovery_page(struct reader *r, char codes[FB_DOOR_RECOVERY][FB_TOTP_RECOVERY]);
/* Parts of forms: the field of a code (by mail, or of the app); "do not ask again", where the definition has it; the
 * button that ends the form. */
void door_code_field(struct html *h, const struct door_said *said, bool is_app);
void door_trust_field(struct html *h, const struct reader *r, bool is_offered);
void door_button(struct html *h, const char *ja, const char *en);
/* The square of an address for an app, as SVG. */
void door_qr(struct html *h, const char *text, const char *label);

/* ---- actions (door.c, door_app.c) ---- */

void door_open(struct reader *r);
void door_code(struct reader *r);
void door_enter(struct reader *r);
void door_totp(struct reader *r);
void door_enrol(struct reader *r);
void door_recovery(struct reader *r);
void door_password(struct reader *r);
void door_leave(struct reader *r);
/* The form's code.  False: it has none, and a page says so. */
bool door_take_code(struct reader *r, char code_r[DOOR_CODE_DIGITS + 1]);
/* 429 in words, with Retry-After. */
void door_too_many(struct reader *r, int64_t wait_ms);
/* What a failing status of admit says. */
void door_admitted(struct reader *r, enum fb_status s, enum fb_reading why,
                   const struct fb_error *err);

#endif
