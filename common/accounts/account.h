/* SPDX-License-Identifier: Apache-2.0
 *
 * The accounts of the console: who may sign in, with what, and in which role.  They live in Redis (store.c), where all
 * consoles and `fumibako user` see the same, with a copy on disk that brings them back when Redis lost them (copy.c).
 *
 * 1. One account is one JSON text, changed only where nobody else changed it meanwhile (its revision).
 * 2. What opens something is there as argon2id (password), SHA-256 (tokens: 256 random bits), HMAC (recovery codes) or
 *    sealed (the app's secret), the last two with a key made from rewrite.key.  Passkeys are public keys.
 * 3. A removed account stays as a mark with the time of its end, so that an older copy cannot bring it back.
 */
#ifndef FB_COMMON_ACCOUNTS_ACCOUNT_H
#define FB_COMMON_ACCOUNTS_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/redis.h"

#define FB_ACCOUNT_NAME 129 /* a word or an address, and a NUL */
#define FB_ACCOUNT_HASH 65  /* SHA-256 or HMAC-SHA256 in hex, and a NUL */
#define FB_ACCOUNT_PASSWORD                                                                        \
    128 /* argon2id as text, and a NUL (libsodium's crypto_pwhash_STRBYTES) */
#define FB_ACCOUNT_SEALED       128 /* base64 of the app's sealed secret */
#define FB_ACCOUNT_HANDLE       33  /* 16 random bytes in hex, and a NUL */
#define FB_ACCOUNT_LABEL        65
#define FB_ACCOUNT_RECOVERY     10
#define FB_ACCOUNT_PASSKEYS     10
#define FB_ACCOUNT_TOKENS       20
#define FB_ACCOUNT_KEY_ID       512  /* bytes of a passkey's id: longer ones are refused */
#define FB_ACCOUNT_KEY_MATERIAL 600  /* bytes of its public key */
#define FB_ACCOUNTS_MAX         1000 /* with the marks of removed ones */

enum fb_role {
    FB_ROLE_NONE,
    FB_ROLE_HELPDESK,
    FB_ROLE_AUDITOR,
    FB_ROLE_OPERATOR,
    FB_ROLE_ADMIN,
    FB_ROLE_COUNT
};
/* "admin", "operator", "auditor", "helpdesk"; "none". */
const char *fb_role_name(enum fb_role role);
/* FB_ROLE_NONE: no such role. */
enum fb_role fb_role_of(const char *name);

struct fb_passkey {
    uint8_t id[FB_ACCOUNT_KEY_ID];
    size_t id_len;
    uint8_t key[FB_ACCOUNT_KEY_MATERIAL];
    size_t key_len;
    int alg; /* of COSE: -7 ES256, -8 EdDSA, -257 RS256 */
    uint32_t counter;
    char label[FB_ACCOUNT_LABEL];
    int64_t since_ms;
};

struct fb_token {
    char hash[FB_ACCOUNT_HASH];
    char label[FB_ACCOUNT_LABEL];
    enum fb_role role;
    int64_t since_ms, until_ms;
};

struct fb_account {
    char name[FB_ACCOUNT_NAME];
    char handle[FB_ACCOUNT_HANDLE]; /* random, of this account and no later one of the same name */
    enum fb_role role;
    bool is_off;                        /* may not sign in */
    bool is_removed;                    /* a mark: nothing but name and time counts */
    char password[FB_ACCOUNT_PASSWORD]; /* "" = none */
    bool must_change;                   /* it was given by somebody else */
    char totp[FB_ACCOUNT_SEALED];       /* "" = none */
    char recovery[FB_ACCOUNT_RECOVERY][FB_ACCOUNT_HASH];
    size_t recovery_count;
    struct fb_passkey passkeys[FB_ACCOUNT_PASSKEYS];
    size_t passkey_count;
    struct fb_token tokens[FB_ACCOUNT_TOKENS];
    size_t token_count;
    char oidc[FB_ACCOUNT_HASH]; /* "" = local; else SHA-256 of issuer and subject */
    char language[3];           /* "ja", "en", "" = the browser's */
    int64_t since_ms;
    int64_t changed_ms; /* its revision as well */
};

/* A new one with a fresh handle.  Free it with fb_account_free, which wipes it. */
struct fb_account *fb_account_new(const char *name, enum fb_role role);
void fb_account_free(struct fb_account **account);
/* Letters, digits and ._@+-, a letter or digit first, at most 128; capitals become small.  False: no name. */
bool fb_account_name(const char *typed, char out_r[FB_ACCOUNT_NAME]);
/* Copies a label: at most 64 bytes, cut between characters, no control characters. */
void fb_account_label(const char *typed, char out_r[FB_ACCOUNT_LABEL]);
bool fb_account_has_second(const struct fb_account *a);

/* ---- as text (codec.c) ---- */

/* One line of JSON.  FB_TOO_BIG when it has no room, which an account within its limits always has. */
FB_MUST_USE enum fb_status fb_account_encode(const struct fb_account *a, struct fb_buf *out);
/* FB_CORRUPT for what is no account. */
FB_MUST_USE enum fb_status fb_account_decode(struct fb_slice text, struct fb_account **account_r,
                                             struct fb_error *err);

/* ---- in Redis (store.c): hash fb:{s0}:console:users ---- */

/* FB_NOT_FOUND: none of this name, or it was removed. */
FB_MUST_USE enum fb_status fb_account_get(struct fb_redis *r, const char *name,
                                          struct fb_account **account_r, struct fb_error *err);
/* The account of a handle, as a passkey gives it. */
FB_MUST_USE enum fb_status fb_account_by_handle(struct fb_redis *r, const char *handle,
                                                struct fb_account **account_r,
                                                struct fb_error *err);
/* Writes what was read before and changed since; changed_ms is set.  A new one has changed_ms 0.
 *   FB_AGAIN   somebody else changed it meanwhile: read it again (a new one: FB_EXISTS, the name is taken)
 *   FB_DENIED  it would leave no administrator who can sign in (keeps_admin)
 *   FB_TOO_BIG there are FB_ACCOUNTS_MAX */
FB_MUST_USE enum fb_status fb_account_put(struct fb_redis *r, struct fb_account *a,
                                          bool keeps_admin, struct fb_error *err);
/* Leaves a mark.  FB_NOT_FOUND, FB_AGAIN, FB_DENIED as above. */
FB_MUST_USE enum fb_status fb_account_remove(struct fb_redis *r, struct fb_account *a,
                                             bool keeps_admin, struct fb_error *err);
struct fb_accounts {
    struct fb_account **items; /* by name; marks are among them where asked for */
    size_t count;
};
FB_MUST_USE enum fb_status fb_accounts_list(struct fb_redis *r, bool with_removed,
                                            struct fb_accounts *list_r, struct fb_error *err);
void fb_accounts_deinit(struct fb_accounts *list);
/* Ends the sessions of a handle but the one named keep ("" = all). */
FB_MUST_USE enum fb_status fb_account_end_sessions(struct fb_redis *r, const char *handle,
                                                   const char *keep, struct fb_error *err);

/* ---- the copy on disk (copy.c) ---- */

struct fb_accounts_copy;
/* path NULL: keeps none, and the calls below do nothing.  Reads what is there: FB_CONFIG when others can read it, or
 * when it is no such file. */
FB_MUST_USE enum fb_status fb_accounts_copy_new(const char *path, struct fb_accounts_copy **copy_r,
                                                struct fb_error *err);
/* Makes both the same: of two versions of an account the later one stays.  Cheap while nothing changed. */
FB_MUST_USE enum fb_status fb_accounts_copy_sync(struct fb_accounts_copy *copy, struct fb_redis *r,
                                                 int64_t now_ms, struct fb_error *err);
void fb_accounts_copy_free(struct fb_accounts_copy **copy);

/* ---- how often somebody may guess (throttle.c): fb:{s0}:console:try:<kind>:<SHA-256 of name> ---- */

#define FB_THROTTLE_TRIES 5
/* Takes one try before a secret is looked at.  After each fifth in a row it takes longer until the next ones: 30
 * seconds, 1, 2, 5, 10 minutes, and 15 from then on: never for good.  wait_ms_r: 0 = go on.  is_new_lock_r: this was
 * the last one for now. */
FB_MUST_USE enum fb_status fb_throttle_take(struct fb_redis *r, const char *kind, const char *name,
                                            int64_t now_ms, int64_t *wait_ms_r, bool *is_new_lock_r,
                                            struct fb_error *err);
/* The secret was right. */
FB_MUST_USE enum fb_status fb_throttle_clear(struct fb_redis *r, const char *kind, const char *name,
                                             struct fb_error *err);
/* Takes one of `most` in a window that begins with the first. */
FB_MUST_USE enum fb_status fb_throttle_window(struct fb_redis *r, const char *kind,
                                              const char *name, int64_t window_ms, int64_t most,
                                              int64_t *wait_ms_r, struct fb_error *err);
/* Until when a name is locked; 0 = it is not. */
FB_MUST_USE enum fb_status fb_throttle_look(struct fb_redis *r, const char *kind, const char *name,
                                            int64_t now_ms, int64_t *until_ms_r,
                                            struct fb_error *err);
/* Forgets the failures at every door of one account: `fumibako user unlock`. */
FB_MUST_USE enum fb_status fb_account_unlock(struct fb_redis *r, const char *name,
                                             struct fb_error *err);

#endif
