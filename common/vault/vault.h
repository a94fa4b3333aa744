/* SPDX-License-Identifier: Apache-2.0
 *
 * The vault: Fumibako's own storage of parcels, in a folder (file:///FOLDER) or a bucket
 * (s3://BUCKET/PREFIX, credentials as common/s3/s3.h says).  Layout, formats, order of writing and
 * what purging guarantees are in vault.md.
 *
 * A parcel has a key of its own, wrapped by a key of the vault's key file; everything else of it is
 * sealed with keys made from that one: its files, and one state document that says who may read
 * what (struct fb_vault_parcel).  Whoever holds the folder alone learns how many parcels and files
 * there are and how large, and nothing else.
 *
 * A struct fb_vault may be used by many threads, and many processes may use one vault.
 */
#ifndef FB_COMMON_VAULT_VAULT_H
#define FB_COMMON_VAULT_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/id.h"
#include "common/policy/policy.h"
#include "common/status.h"

#define FB_VAULT_FILE_ID  17 /* 16 hex digits and a NUL */
#define FB_VAULT_HASH     32 /* SHA-256 of a recipient's secret */
#define FB_VAULT_SALT     16
#define FB_VAULT_MAX_TYPE 127U /* bytes of a media type */

struct fb_vault;

/* One recipient's right to read. */
struct fb_vault_grant {
    uint32_t recipient;                 /* number in the message's envelope */
    char *address;                      /* whose mailbox is to be proved */
    uint8_t secret_hash[FB_VAULT_HASH]; /* SHA-256 of the 32 bytes in the recipient's link */
    bool is_recalled;
};

struct fb_vault_file {
    char *name, *type; /* UTF-8; a media type */
    char id[FB_VAULT_FILE_ID];
    uint64_t size; /* bytes of the content */
    uint8_t sha1[20];
    bool is_body; /* the PDF of the mail's text */
};

/* The state document of a parcel.  Strings are never NULL in what fb_vault_load fills; NULL is
 * written as "". */
struct fb_vault_parcel {
    char parcel_id[FB_PARCEL_ID_SIZE];
    uint64_t revision;                                           /* 0: not in the vault yet */
    char *storage, *from, *subject, *language, *rule, *security; /* of the policy and the mail */
    int64_t accepted_ms, expires_ms, purge_ms;                   /* since 1970; 0: none */
    enum fb_access access;
    enum fb_proof proof;
    bool can_download, is_watermarked, has_members, may_reply;
    int64_t max_downloads, trusted_days; /* of each grant, 0: any number; 0: no device is trusted */
    bool has_password;
    uint8_t password_salt[FB_VAULT_SALT], password_hash[FB_VAULT_HASH];
    bool is_closed; /* ended for good: by expiry, or a recall of all that is not to be undone */
    struct fb_vault_grant *grants;
    uint32_t grant_count;
    struct fb_vault_file *files;
    uint32_t file_count;
};
/* Frees what it holds and zeroes it; a zeroed one may be given. */
void fb_vault_parcel_deinit(struct fb_vault_parcel *parcel);

/* Opens the vault (a folder is made, mode 0700, when the one above it is there and we may write).
 * key_file as the spool's: lines "<id>:<base64 of 32 bytes>", the first one seals.  FB_CONFIG: bad
 * url or key file, a folder that is no vault, or none yet and we may not make it; FB_IO, and the
 * statuses of common/s3/s3.h. */
FB_MUST_USE enum fb_status fb_vault_open(const char *url, const char *key_file,
                                         struct fb_vault **vault_r, struct fb_error *err);
void fb_vault_close(struct fb_vault **vault);
/* The vault's own id (a ULID), made with it: tells an empty or another folder mounted in its place
 * from a vault whose parcel was purged.  Lent. */
const char *fb_vault_id(const struct fb_vault *vault);
/* Whether its content lies in a bucket, so that reading waits for a network. */
bool fb_vault_is_remote(const struct fb_vault *vault);
/* FB_OK when url is no folder, or lies in or beneath one of vault.roots; FB_CONFIG with words. */
FB_MUST_USE enum fb_status fb_vault_check_root(const struct fb_config *config, const char *url,
                                               struct fb_error *err);

/* Bytes that its parcels may have together; 0, as after opening: no limit.  A put beyond it is
 * FB_NO_SPACE.  Set it before the vault is shared by threads. */
void fb_vault_set_quota(struct fb_vault *vault, uint64_t bytes);

/* ---- the state document ---- */

/* Makes the parcel with a fresh key and a state document that lets nobody in (parcel->revision
 * becomes 1), or, when it is there, finds it and changes nothing: *parcel then keeps its revision,
 * and the caller loads.  is_new_r may be NULL.  Durable when FB_OK comes back. */
FB_MUST_USE enum fb_status fb_vault_create(struct fb_vault *vault, struct fb_vault_parcel *parcel,
                                           bool *is_new_r, struct fb_error *err);
/* parcel_r is filled on FB_OK only; deinit it then.  FB_NOT_FOUND: there is none, or it was purged;
 * FB_CORRUPT: it fails its check; FB_CONFIG: its key is not in the key file; FB_AGAIN: a newer
 * version of Fumibako wrote it. */
FB_MUST_USE enum fb_status fb_vault_load(struct fb_vault *vault, const char *parcel_id,
                                         struct fb_vault_parcel *parcel_r, struct fb_error *err);
/* Writes the state anew, whole or not at all, when the vault still has parcel->revision, which is
 * then one higher in both.  FB_EXISTS: somebody else wrote meanwhile, load and do it again;
 * FB_NOT_FOUND: purged; FB_INVALID: it breaks a limit of the format.  After another failure it may
 * have been written all the same: load shows.  Durable when FB_OK comes back. */
FB_MUST_USE enum fb_status fb_vault_save(struct fb_vault *vault, struct fb_vault_parcel *parcel,
                                         struct fb_error *err);

/* ---- files ---- */

/* The id of the file with that number in the parcel: first 16 hex digits of SHA-256("<parcel
 * id>/<number>"). */
void fb_vault_file_id(const char *parcel_id, uint32_t number, char id_r[FB_VAULT_FILE_ID]);

/* Up to len bytes, 0 at the end; called from front to back. */
typedef enum fb_status fb_vault_read_fn(void *ctx, void *out, size_t len, size_t *read_r,
                                        struct fb_error *err);
/* What is known of a file's content before it is read. */
struct fb_vault_content {
    uint64_t size;
    uint8_t sha1[20];
    const char *type; /* lent; cut at FB_VAULT_MAX_TYPE */
    bool is_body;
};
/* Streams a file in, sealed, with memory that does not grow with it (64 KiB; a bucket: one part).
 * A file that is there with the same size, SHA-1, type and mark is kept, without a read; another
 * one is replaced.  FB_CORRUPT: what read gave is not what was announced, nothing is left of it;
 * FB_NOT_FOUND: no such parcel; read's own statuses.  Durable when FB_OK comes back. */
FB_MUST_USE enum fb_status fb_vault_put(struct fb_vault *vault, const char *parcel_id,
                                        const char *file_id, const struct fb_vault_content *content,
                                        fb_vault_read_fn *read, void *ctx, struct fb_error *err);

struct fb_vault_reader;
/* Opens a file for reading by range.  size_r and content_r may be NULL; content_r->type is lent by
 * the reader.  FB_NOT_FOUND, FB_CORRUPT (cut, or sealed for another place), FB_CONFIG, FB_AGAIN. */
FB_MUST_USE enum fb_status fb_vault_file_open(struct fb_vault *vault, const char *parcel_id,
                                              const char *file_id,
                                              struct fb_vault_reader **reader_r, uint64_t *size_r,
                                              struct fb_error *err);
/* Size, SHA-1, type and mark of an open file, as they were sealed with it; type is lent. */
const struct fb_vault_content *fb_vault_file_content(const struct fb_vault_reader *reader);
/* Up to len bytes at offset; fewer only at the end, 0 behind it.  May be called from several
 * threads.  Every byte given was checked; FB_CORRUPT, FB_IO. */
FB_MUST_USE enum fb_status fb_vault_file_read(struct fb_vault_reader *reader, uint64_t offset,
                                              void *out, size_t len, size_t *read_r,
                                              struct fb_error *err);
void fb_vault_file_close(struct fb_vault_reader **reader);

/* ---- the end, and the whole ---- */

/* Destroys the parcel's key, durably, and then removes all the rest.  FB_OK also when there is
 * nothing (any more).  On failure it may be called again. */
FB_MUST_USE enum fb_status fb_vault_purge(struct fb_vault *vault, const char *parcel_id,
                                          struct fb_error *err);
/* Bytes in use by files and documents.  Counted at most every 30 seconds (large vaults: less
 * often), with what this process put since. */
FB_MUST_USE enum fb_status fb_vault_usage(struct fb_vault *vault, uint64_t *bytes_r,
                                          struct fb_error *err);
/* Calls for every parcel id, also of what is half made or half purged, until each returns false. */
FB_MUST_USE enum fb_status fb_vault_each(struct fb_vault *vault,
                                         bool (*each)(void *ctx, const char *parcel_id), void *ctx,
                                         struct fb_error *err);

/* ---- integrity (verify.c) ---- */

enum fb_vault_fault {
    FB_VAULT_DAMAGED,  /* key, state or a file fails its check or is not what the state says */
    FB_VAULT_MISSING,  /* a file that the state names is not there */
    FB_VAULT_UNKNOWN,  /* the key is not in the key file, or a newer version wrote it */
    FB_VAULT_ORPHAN,   /* nothing needs it: what a crash or a half purge left */
    FB_VAULT_HALF_MADE /* never shared with anybody: a job may still be at it */
};
/* "damaged", ... : stable names. */
const char *fb_vault_fault_name(enum fb_vault_fault fault);
struct fb_vault_finding {
    enum fb_vault_fault fault;
    const char *parcel_id;
    const char *name; /* of the file or object in the parcel's folder; "" for the parcel */
    const char *text; /* what, for people */
    bool is_repaired; /* an orphan that was removed */
};
struct fb_vault_verified {
    uint64_t parcels, files, bytes; /* looked at; of content */
    uint64_t faults[FB_VAULT_HALF_MADE + 1];
    uint64_t repaired;
};
struct fb_vault_verify {
    bool repairs_orphans;
    int64_t half_made_ms; /* a parcel never shared and older than this is an orphan */
    void (*found)(void *ctx, const struct fb_vault_finding *finding);
    void *ctx;
};
/* Reads everything of a parcel and compares; adds to *sum.  What is found is told by found; the
 * status is of troubles that kept it from looking (FB_IO, FB_NETWORK, ...).  FB_NOT_FOUND: there is
 * nothing of that id. */
FB_MUST_USE enum fb_status fb_vault_verify(struct fb_vault *vault, const char *parcel_id,
                                           const struct fb_vault_verify *how,
                                           struct fb_vault_verified *sum, struct fb_error *err);

/* ---- passwords (password.c) ---- */

/* scrypt (RFC 7914) with N = 2^15, r = 8, p = 1: 32 MiB and some 60 ms.  FB_NO_SPACE when that
 * memory is not to be had. */
FB_MUST_USE enum fb_status fb_vault_password_hash(const char *password,
                                                  const uint8_t salt[FB_VAULT_SALT],
                                                  uint8_t hash_r[FB_VAULT_HASH],
                                                  struct fb_error *err);

#endif
