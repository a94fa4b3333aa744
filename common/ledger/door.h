/* SPDX-License-Identifier: Apache-2.0
 *
 * What the portal's door remembers in Redis: codes, sessions, trusted devices, authenticator apps, and how often
 * somebody tried.  All of it ends by itself (ledger.md has keys and times); a loss of Redis ends sessions and trust,
 * and makes people enrol their app once more, nothing else.
 *
 * 1. What opens something (code, cookie, recovery code) is here as a hash or sealed, under keys that Redis does not
 *    have (the caller's business, services/portal/door.h).
 * 2. Checking and counting are one script: of many guesses at the same time no more are looked at than are allowed.
 * 3. A right code, a time step and a recovery code are taken by the check that finds them right.
 * 4. Names of keys are hex digits or a parcel's id and a number: nothing that somebody wrote gets into one.
 */
#ifndef FB_COMMON_LEDGER_DOOR_H
#define FB_COMMON_LEDGER_DOOR_H

#include "common/redis.h"

#define FB_DOOR_HASH     65  /* SHA-256 or HMAC-SHA256 in hex, and a NUL */
#define FB_DOOR_ADDRESS  321 /* 64 "@" 255, and a NUL */
#define FB_DOOR_SEALED   512 /* base64 of something short that is sealed */
#define FB_DOOR_TRIES    5   /* then it takes longer and longer until the next ones */
#define FB_DOOR_RECOVERY 10  /* recovery codes of one person */
#define FB_DOOR_CODE_MS  600000
#define FB_DOOR_KEEP_MS  INT64_C(172800000) /* how long failures are held against somebody: 2 days */
#define FB_DOOR_TOTP_MS                                                                            \
    INT64_C(34560000000) /* an app that is not used for so long is forgotten: 400 days */

/* ---- codes by mail (door_code.c): fb:{sN}:pc:<parcel>.<recipient> ---- */

struct fb_door_grant {
    const char *parcel_id;
    uint32_t recipient;
};

struct fb_door_ask {
    const char *browser; /* hash of the browser's cookie */
    const char *to;      /* where the code goes */
    const char *
        sealed; /* the code for whoever writes the letter (common/proof_code.h); NULL = none is sent */
    const char *hash; /* of the code, for this grant and browser */
};
/* A new code in place of any earlier one.  FB_AGAIN: it is too early for another one, *wait_until_ms_r says until when;
 * FB_OK sets it to when the next one may be asked for. */
FB_MUST_USE enum fb_status fb_door_code_ask(struct fb_redis *r, const struct fb_door_grant *grant,
                                            const struct fb_door_ask *ask, int64_t now_ms,
                                            int64_t *wait_until_ms_r, struct fb_error *err);

enum fb_door_found {
    FB_DOOR_RIGHT, /* and used up by that */
    FB_DOOR_WRONG,
    FB_DOOR_LOCKED, /* too many wrong ones; see the time */
    FB_DOOR_NONE /* there is none for this browser: not asked for, over, used, or asked for in another browser */
};
struct fb_door_check {
    enum fb_door_found found;
    unsigned tries_left;      /* of WRONG */
    int64_t until_ms;         /* of LOCKED: when to come again */
    bool is_new_lock;         /* this try was the last one */
    char to[FB_DOOR_ADDRESS]; /* of RIGHT: where the code went */
};
FB_MUST_USE enum fb_status fb_door_code_enter(struct fb_redis *r, const struct fb_door_grant *grant,
                                              const char *browser, const char *hash, int64_t now_ms,
                                              struct fb_door_check *check_r, struct fb_error *err);

struct fb_door_code {
    bool is_waiting; /* a code is out for this browser and still good */
    unsigned tries_left;
    int64_t until_ms;         /* end of that code */
    int64_t next_ms;          /* when another one may be asked for; 0 = now */
    int64_t locked_until_ms;  /* 0 = not locked */
    char to[FB_DOOR_ADDRESS]; /* of that code, for this browser alone */
};
/* Changes nothing. */
FB_MUST_USE enum fb_status fb_door_code_get(struct fb_redis *r, const struct fb_door_grant *grant,
                                            const char *browser, int64_t now_ms,
                                            struct fb_door_code *code_r, struct fb_error *err);

/* ---- sessions (door_session.c): fb:{sN}:ps:<hash of the cookie>, in the message's shard ---- */

struct fb_door_session {
    char grant[64]; /* "<parcel>.<recipient>.<tag>": a session opens nothing else */
    char address[FB_DOOR_ADDRESS];
    char proof[8], need[12]; /* words of services/portal/reader.h */
    char form[FB_DOOR_HASH];
    char sealed[FB_DOOR_SEALED]; /* "" or the secret of an app that is being enrolled */
    bool replaces;               /* which then takes the place of the earlier one */
    int64_t since_ms, until_ms;
    int64_t idle_until_ms; /* written by get */
};
/* Makes it, and ends the one named `old` ("" = none) in the same step. */
FB_MUST_USE enum fb_status fb_door_session_put(struct fb_redis *r, int shard, const char *name,
                                               const char *old, const struct fb_door_session *s,
                                               int64_t idle_ms, int64_t now_ms,
                                               struct fb_error *err);
/* FB_NOT_FOUND: ended, or never was.  Its use keeps it alive for idle_ms more, until_ms at most. */
FB_MUST_USE enum fb_status fb_door_session_get(struct fb_redis *r, int shard, const char *name,
                                               int64_t idle_ms, int64_t now_ms,
                                               struct fb_door_session *session_r,
                                               struct fb_error *err);
FB_MUST_USE enum fb_status fb_door_session_end(struct fb_redis *r, int shard, const char *name,
                                               struct fb_error *err);

/* ---- trusted devices (door_session.c): fb:{sN}:pd:<hash of the cookie> ---- */

struct fb_door_device {
    char owner[FB_DOOR_HASH]; /* hash of the address */
    char proof[8];            /* what was proved when it was trusted */
    int64_t since_ms;
};
FB_MUST_USE enum fb_status fb_door_device_put(struct fb_redis *r, const char *name,
                                              const struct fb_door_device *d, int64_t ttl_ms,
                                              struct fb_error *err);
/* FB_NOT_FOUND.  Changes nothing. */
FB_MUST_USE enum fb_status fb_door_device_get(struct fb_redis *r, const char *name,
                                              struct fb_door_device *device_r,
                                              struct fb_error *err);
FB_MUST_USE enum fb_status fb_door_device_end(struct fb_redis *r, const char *name,
                                              struct fb_error *err);

/* ---- authenticator apps (door_totp.c): fb:{sN}:pt:<hash of the address> ---- */

/* The key's name of an address: SHA-256 in hex, with ASCII letters in small, so that everybody who writes it finds the
 * same. */
void fb_door_owner(const char *address, char out_r[FB_DOOR_HASH]);

struct fb_door_totp {
    char sealed[FB_DOOR_SEALED]; /* the secret */
    int64_t step;                /* the last one taken */
    int64_t since_ms;
    unsigned recovery_left;
};
/* FB_NOT_FOUND: none is enrolled.  Changes nothing. */
FB_MUST_USE enum fb_status fb_door_totp_get(struct fb_redis *r, const char *owner,
                                            struct fb_door_totp *totp_r, struct fb_error *err);
/* Takes a time step whose code was right.  FB_EXISTS: it, or a later one, was taken before; FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_door_totp_take(struct fb_redis *r, const char *owner, int64_t step,
                                             struct fb_error *err);
struct fb_door_enrol {
    const char *sealed;
    int64_t step;                   /* of the code that confirmed it */
    char (*recovery)[FB_DOOR_HASH]; /* FB_DOOR_RECOVERY hashes */
    bool replaces;
    int64_t now_ms;
};
/* FB_EXISTS: another one is enrolled (and replaces is false). */
FB_MUST_USE enum fb_status fb_door_totp_enrol(struct fb_redis *r, const char *owner,
                                              const struct fb_door_enrol *e, struct fb_error *err);
/* FB_NOT_FOUND: no such code, or it was used. */
FB_MUST_USE enum fb_status fb_door_totp_recover(struct fb_redis *r, const char *owner,
                                                const char *hash, unsigned *left_r,
                                                struct fb_error *err);
/* The app is lost, and its recovery codes with it: the next visit enrols another one.
 * FB_NOT_FOUND: none is enrolled. */
FB_MUST_USE enum fb_status fb_door_totp_forget(struct fb_redis *r, const char *owner,
                                               struct fb_error *err);

/* ---- how often (door_limit.c): fb:{sN}:pl:<kind>:<name> ---- */

/* Counts one in a window that begins with the first; *wait_ms_r is 0 when there was room (most), else how long it takes
 * until there is, and nothing is counted.  name: hex digits. */
FB_MUST_USE enum fb_status fb_door_take(struct fb_redis *r, const char *kind, const char *name,
                                        int64_t window_ms, int64_t most, int64_t *wait_ms_r,
                                        struct fb_error *err);
/* Whether there is room; counts nothing. */
FB_MUST_USE enum fb_status fb_door_look(struct fb_redis *r, const char *kind, const char *name,
                                        int64_t most, int64_t *wait_ms_r, struct fb_error *err);
/* Counts one in any case; *count_r is how many there are in this window now. */
FB_MUST_USE enum fb_status fb_door_count(struct fb_redis *r, const char *kind, const char *name,
                                         int64_t window_ms, int64_t *count_r, struct fb_error *err);

/* Takes one of FB_DOOR_TRIES before a secret is looked at; then the next ones come after 1, 5, 15 minutes, 1, 4, 24
 * hours.  *until_ms_r: 0 = go on; else LOCKED until then.  *left_r: how many are left behind this one. */
FB_MUST_USE enum fb_status fb_door_try(struct fb_redis *r, const char *kind, const char *name,
                                       int64_t now_ms, int64_t *until_ms_r, unsigned *left_r,
                                       struct fb_error *err);
/* The secret was right: earlier failures are forgotten. */
FB_MUST_USE enum fb_status fb_door_try_clear(struct fb_redis *r, const char *kind, const char *name,
                                             struct fb_error *err);
/* When the next try may be made; 0 = now.  Changes nothing. */
FB_MUST_USE enum fb_status fb_door_try_look(struct fb_redis *r, const char *kind, const char *name,
                                            int64_t now_ms, int64_t *until_ms_r,
                                            struct fb_error *err);

#endif
