/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the vault share; nobody else includes this.  Formats are in vault.md.
 *
 * A parcel's key, state and files are kept by a backend (file.c, remote.c), which knows bytes and
 * names, and no key; parcel.c, content.c and verify.c know what is in them.
 */
#ifndef FB_COMMON_VAULT_INTERNAL_H
#define FB_COMMON_VAULT_INTERNAL_H

#include "common/bytes.h"
#include "common/fs.h"
#include "common/keyring.h"
#include "common/sealed/sealed.h"
#include "common/vault/vault.h"

#define FB_VAULT_ID_NAME    "vault.id"
#define FB_VAULT_KEY_NAME   "key"
#define FB_VAULT_STATE_NAME "state"
#define FB_VAULT_TEMP       ".tmp"

#define FB_VAULT_KEY_SIZE    160U /* of the key file */
#define FB_VAULT_HEADER      256U /* of a file */
#define FB_VAULT_NOTE        160U /* sealed in it */
#define FB_VAULT_STATE_HEAD  32U
#define FB_VAULT_MAX_CONTENT ((uint64_t)1 << 40)

/* Which writing of a document it is: an etag, or the salt in hex; "" for none. */
struct fb_vault_mark {
    char text[80];
};

struct fb_vault_entry {
    const char *name; /* in the parcel's folder; lent for the call */
    uint64_t size;
    int64_t modified_ms;
};
typedef bool fb_vault_entry_fn(void *ctx, const struct fb_vault_entry *entry);

/* A file on its way in. */
struct fb_vault_sink {
    struct fb_sealed_dst dst;
    int dir_fd;                  /* -1: an object */
    char temp[FB_FS_NAME_SIZE];  /* the file's name until it is whole */
    char name[FB_VAULT_FILE_ID]; /* and then */
    struct fb_s3_upload *upload;
};

/* parcel_id is valid in all of these. */
struct fb_vault_backend {
    enum fb_status (*open)(struct fb_vault *v, const char *url, struct fb_error *err);
    void (*close)(struct fb_vault *v);
    /* FB_NOT_FOUND. */
    enum fb_status (*key_read)(struct fb_vault *v, const char *parcel_id,
                               uint8_t out[FB_VAULT_KEY_SIZE], struct fb_error *err);
    /* Makes the parcel's place with this key; FB_EXISTS when it has one. */
    enum fb_status (*key_new)(struct fb_vault *v, const char *parcel_id,
                              const uint8_t key[FB_VAULT_KEY_SIZE], struct fb_error *err);
    /* out is initialised by the call, and empty on failure.  FB_NOT_FOUND. */
    enum fb_status (*state_read)(struct fb_vault *v, const char *parcel_id, struct fb_buf *out,
                                 struct fb_vault_mark *mark_r, struct fb_error *err);
    /* Replaces the writing that has that mark (FB_EXISTS: it is another one; FB_NOT_FOUND: the
     * parcel's key is gone). */
    enum fb_status (*state_write)(struct fb_vault *v, const char *parcel_id, struct fb_slice bytes,
                                  const struct fb_vault_mark *mark, struct fb_error *err);
    enum fb_status (*file_open)(struct fb_vault *v, const char *parcel_id, const char *name,
                                struct fb_sealed_src *src_r, uint64_t *size_r,
                                struct fb_error *err);
    /* header (FB_VAULT_HEADER bytes) is written first; total is the size that it will have. */
    enum fb_status (*sink_open)(struct fb_vault *v, const char *parcel_id, const char *name,
                                const uint8_t *header, uint64_t total, struct fb_vault_sink *sink,
                                struct fb_error *err);
    /* Durable and under its name, unless the parcel was purged meanwhile (FB_NOT_FOUND). */
    enum fb_status (*sink_commit)(struct fb_vault *v, const char *parcel_id,
                                  struct fb_vault_sink *sink, struct fb_error *err);
    /* Frees; what was not committed is taken back. */
    void (*sink_close)(struct fb_vault *v, struct fb_vault_sink *sink);
    /* For good and durable, first of all; FB_OK when there is none. */
    enum fb_status (*key_destroy)(struct fb_vault *v, const char *parcel_id, struct fb_error *err);
    enum fb_status (*remove_all)(struct fb_vault *v, const char *parcel_id, struct fb_error *err);
    /* One file of the parcel, or what is left of one; FB_AGAIN: somebody writes it. */
    enum fb_status (*remove)(struct fb_vault *v, const char *parcel_id, const char *name,
                             struct fb_error *err);
    /* Everything that lies in the parcel's folder; FB_NOT_FOUND when there is none. */
    enum fb_status (*list)(struct fb_vault *v, const char *parcel_id, fb_vault_entry_fn *each,
                           void *ctx, struct fb_error *err);
    enum fb_status (*each)(struct fb_vault *v, bool (*each)(void *ctx, const char *parcel_id),
                           void *ctx, struct fb_error *err);
    enum fb_status (*usage)(struct fb_vault *v, uint64_t *bytes_r, struct fb_error *err);
};
/* A parcel's folder, of a vault in a folder (file.c); FB_NOT_FOUND. */
FB_MUST_USE enum fb_status fb_vault_file_dir(const struct fb_vault *v, const char *parcel_id,
                                             int *fd_r, struct fb_error *err);
/* file_list.c */
FB_MUST_USE enum fb_status fb_vault_file_list(struct fb_vault *v, const char *parcel_id,
                                              fb_vault_entry_fn *each, void *ctx,
                                              struct fb_error *err);
FB_MUST_USE enum fb_status fb_vault_file_each(struct fb_vault *v,
                                              bool (*each)(void *ctx, const char *parcel_id),
                                              void *ctx, struct fb_error *err);
FB_MUST_USE enum fb_status fb_vault_file_usage(struct fb_vault *v, uint64_t *bytes_r,
                                               struct fb_error *err);
extern const struct fb_vault_backend fb_vault_files;  /* file.c */
extern const struct fb_vault_backend fb_vault_bucket; /* remote.c */

struct fb_vault {
    const struct fb_vault_backend *backend;
    char id[FB_ID_SIZE];
    struct fb_keyring *keys;
    uint64_t quota;
    struct fb_s3 *s3;        /* of a bucket */
    int root_fd, parcels_fd; /* of a folder; -1 */
};

/* "<two characters>/<parcel id>": the folder of a parcel, below parcels/. */
bool fb_vault_file_id_is_valid(const char *text);

/* ---- key.c ---- */

/* A fresh key for the parcel, and the bytes of its key file. */
void fb_vault_key_make(const struct fb_vault *v, const char *parcel_id,
                       uint8_t bytes_r[FB_VAULT_KEY_SIZE]);
/* Reads and opens it.  FB_NOT_FOUND: destroyed; FB_CORRUPT, FB_CONFIG, FB_AGAIN (a newer version). */
FB_MUST_USE enum fb_status fb_vault_key_get(struct fb_vault *v, const char *parcel_id,
                                            uint8_t key_r[FB_KEY_SIZE], struct fb_error *err);
/* Whether these bytes are of a destroyed key. */
bool fb_vault_key_is_gone(const uint8_t bytes[FB_VAULT_KEY_SIZE]);
/* What the bytes at FB_VAULT_KEY_SECRET become when it is destroyed. */
#define FB_VAULT_KEY_SECRET      64U
#define FB_VAULT_KEY_SECRET_SIZE 64U
void fb_vault_key_gone(uint8_t out[FB_VAULT_KEY_SECRET_SIZE]);
/* The key of one document or file of the parcel. */
void fb_vault_key_derive(const uint8_t key[FB_KEY_SIZE], const uint8_t salt[FB_VAULT_SALT],
                         const char *what, const char *parcel_id, const char *name,
                         uint8_t out[FB_KEY_SIZE]);

/* ---- state.c: the state document ---- */

FB_MUST_USE enum fb_status fb_vault_state_encode(const struct fb_vault_parcel *parcel,
                                                 struct fb_buf *out, struct fb_error *err);
FB_MUST_USE enum fb_status fb_vault_state_decode(struct fb_slice bytes,
                                                 struct fb_vault_parcel *parcel_r,
                                                 struct fb_error *err);
/* Sealed, as it is stored; out is initialised by the call. */
FB_MUST_USE enum fb_status fb_vault_state_seal(const struct fb_vault_parcel *parcel,
                                               const uint8_t key[FB_KEY_SIZE], struct fb_buf *out,
                                               struct fb_error *err);
FB_MUST_USE enum fb_status
fb_vault_state_unseal(const char *parcel_id, const uint8_t key[FB_KEY_SIZE], struct fb_slice bytes,
                      struct fb_vault_parcel *parcel_r, struct fb_error *err);

/* ---- usage.c ---- */

/* Counted as put since the last counting. */
void fb_vault_usage_add(struct fb_vault *v, uint64_t bytes);
/* FB_NO_SPACE with words when that much more is beyond the quota. */
FB_MUST_USE enum fb_status fb_vault_usage_room(struct fb_vault *v, uint64_t bytes,
                                               struct fb_error *err);

#endif
