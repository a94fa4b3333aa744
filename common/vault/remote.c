/* SPDX-License-Identifier: Apache-2.0
 *
 * A vault in a bucket: the same names as in a folder, below parcels/.  A PUT is seen whole or not
 * at all and is durable; the state is replaced on the condition that nobody else did meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vault/internal.h"
#include "proto/limits.h"

#define MAX_STATE  ((size_t)FB_MAX_MANIFEST * 2)
#define FIRST_READ ((size_t)128 << 10)
#define MANY_PARTS 1000U /* of one upload; beyond it parts are larger */
#define PARCELS    "parcels/"
#define ANY_AGE_MS ((int64_t)24 * 60 * 60 * 1000) /* clocks differ */
#define MAX_KEPT   2000000U                       /* parcels of one listing */

static enum fb_status make_key(const char *parcel_id, const char *name, char key[FB_S3_KEY_SIZE],
                               struct fb_error *err)
{
    char place[FB_FS_PLACE];
    enum fb_status s = fb_fs_parcel_place(parcel_id, place, err);
    if (s == FB_OK) {
        int n = snprintf(key, FB_S3_KEY_SIZE, PARCELS "%s/%s", place, name);
        FB_ASSERT(n > 0 && n < FB_S3_KEY_SIZE);
    }
    return s;
}

static enum fb_status bucket_open(struct fb_vault *v, const char *url, struct fb_error *err)
{
    char id[FB_ID_SIZE];
    size_t got = 0;
    fb_id_new(id);
    const struct fb_slice bytes = fb_slice_of(id, FB_ID_SIZE - 1);
    enum fb_status s = fb_s3_open(url, NULL, &v->s3, err);
    if (s == FB_OK) {
        s = fb_s3_get(v->s3, FB_VAULT_ID_NAME, 0, v->id, FB_ID_SIZE - 1, NULL, &got, NULL, err);
    }
    if (s == FB_NOT_FOUND) {
        s = fb_s3_put(v->s3, FB_VAULT_ID_NAME, &bytes, 1, true, err);
        if (s == FB_OK || s == FB_EXISTS) {
            s = fb_s3_get(v->s3, FB_VAULT_ID_NAME, 0, v->id, FB_ID_SIZE - 1, NULL, &got, NULL, err);
        }
    }
    if (s == FB_OK && !fb_id_is_valid(v->id)) {
        s = fb_error_set(err, FB_CONFIG, "%s is damaged: restore it from a backup",
                         FB_VAULT_ID_NAME);
    }
    return s;
}

static void bucket_close(struct fb_vault *v)
{
    fb_s3_close(&v->s3);
}

/* ---- key and state ---- */

static enum fb_status bucket_key_read(struct fb_vault *v, const char *parcel_id,
                                      uint8_t out[FB_VAULT_KEY_SIZE], struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    size_t got = 0;
    enum fb_status s = make_key(parcel_id, FB_VAULT_KEY_NAME, key, err);
    if (s == FB_OK) {
        s = fb_s3_get(v->s3, key, 0, out, FB_VAULT_KEY_SIZE, NULL, &got, NULL, err);
    }
    if (s == FB_NOT_FOUND) {
        return fb_error_set(err, FB_NOT_FOUND, "there is no parcel %s in the vault", parcel_id);
    }
    return s == FB_OK && got < FB_VAULT_KEY_SIZE
               ? fb_error_set(err, FB_CORRUPT, "the key of parcel %s is cut", parcel_id)
               : s;
}

static enum fb_status bucket_key_new(struct fb_vault *v, const char *parcel_id,
                                     const uint8_t bytes[FB_VAULT_KEY_SIZE], struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    const struct fb_slice piece = fb_slice_of(bytes, FB_VAULT_KEY_SIZE);
    enum fb_status s = make_key(parcel_id, FB_VAULT_KEY_NAME, key, err);
    return s == FB_OK ? fb_s3_put(v->s3, key, &piece, 1, true, err) : s;
}

static enum fb_status bucket_state_read(struct fb_vault *v, const char *parcel_id,
                                        struct fb_buf *out, struct fb_vault_mark *mark_r,
                                        struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    struct fb_s3_info info = {0};
    uint64_t total = FIRST_READ;
    fb_buf_init(out, MAX_STATE);
    enum fb_status s = make_key(parcel_id, FB_VAULT_STATE_NAME, key, err);
    while (s == FB_OK && out->len < total) {
        size_t want = (size_t)(total - out->len);
        size_t got = 0;
        if (fb_buf_reserve(out, want) != FB_OK) {
            s = fb_error_set(err, total > MAX_STATE ? FB_CORRUPT : FB_NO_SPACE,
                             "no memory for a state document of %llu bytes",
                             (unsigned long long)total);
            break;
        }
        s = fb_s3_get(v->s3, key, out->len, out->ptr + out->len, want,
                      info.etag[0] != '\0' ? info.etag : NULL, &got,
                      info.etag[0] != '\0' ? NULL : &info, err);
        if (s == FB_EXISTS) {
            s = fb_error_set(err, FB_AGAIN, "the state of parcel %s changed while it was read",
                             parcel_id);
        }
        if (s == FB_OK) {
            out->len += got;
            out->ptr[out->len] = '\0';
            total = got > 0 ? info.size : out->len;
        }
    }
    if (s == FB_OK) {
        (void)snprintf(mark_r->text, sizeof mark_r->text, "%s", info.etag);
    } else {
        fb_buf_deinit(out);
    }
    return s;
}

/* Whether the parcel was purged between our look and our writing. */
static enum fb_status still_there(struct fb_vault *v, const char *parcel_id, const char *written,
                                  struct fb_error *err)
{
    uint8_t bytes[FB_VAULT_KEY_SIZE];
    enum fb_status s = bucket_key_read(v, parcel_id, bytes, err);
    fb_wipe(bytes, sizeof bytes);
    if (s == FB_NOT_FOUND) {
        struct fb_error own = {0};
        if (fb_s3_purge(v->s3, written, &own) != FB_OK) {
            return fb_error_set(err, own.status, "take back what was written too late: %s",
                                own.text);
        }
    }
    return s;
}

static enum fb_status bucket_state_write(struct fb_vault *v, const char *parcel_id,
                                         struct fb_slice bytes, const struct fb_vault_mark *mark,
                                         struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    enum fb_status s = make_key(parcel_id, FB_VAULT_STATE_NAME, key, err);
    if (s == FB_OK) {
        s = mark->text[0] == '\0' ? fb_s3_put(v->s3, key, &bytes, 1, true, err)
                                  : fb_s3_replace(v->s3, key, bytes, mark->text, err);
        /* The one that was to be replaced is gone: purged. */
    }
    return s == FB_OK ? still_there(v, parcel_id, key, err) : s;
}

/* ---- files ---- */

static enum fb_status bucket_file_open(struct fb_vault *v, const char *parcel_id, const char *name,
                                       struct fb_sealed_src *src_r, uint64_t *size_r,
                                       struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    *src_r = FB_SEALED_SRC_NONE;
    enum fb_status s = make_key(parcel_id, name, key, err);
    return s == FB_OK
               ? fb_sealed_object_open(v->s3, key, 0, FIRST_READ, &src_r->object, size_r, err)
               : s;
}

static enum fb_status bucket_sink_open(struct fb_vault *v, const char *parcel_id, const char *name,
                                       const uint8_t *header, uint64_t total,
                                       struct fb_vault_sink *sink, struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    size_t part = FB_S3_PART;
    *sink = (struct fb_vault_sink){.dst = {.fd = -1}, .dir_fd = -1};
    (void)snprintf(sink->name, sizeof sink->name, "%s", name);
    while ((uint64_t)part * MANY_PARTS < total && part < FB_S3_MAX_PART) {
        part *= 2;
    }
    enum fb_status s = make_key(parcel_id, name, key, err);
    s = s == FB_OK ? fb_s3_upload_new(v->s3, key, part, &sink->upload, err) : s;
    s = s == FB_OK ? fb_s3_upload_add(sink->upload, header, FB_VAULT_HEADER, err) : s;
    sink->dst.upload = sink->upload;
    return s;
}

static enum fb_status bucket_sink_commit(struct fb_vault *v, const char *parcel_id,
                                         struct fb_vault_sink *sink, struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    enum fb_status s = fb_s3_upload_commit(&sink->upload, err);
    sink->dst.upload = NULL;
    s = s == FB_OK ? make_key(parcel_id, sink->name, key, err) : s;
    return s == FB_OK ? still_there(v, parcel_id, key, err) : s;
}

static void bucket_sink_close(struct fb_vault *v, struct fb_vault_sink *sink)
{
    (void)v;
    fb_s3_upload_abort(&sink->upload);
    sink->dst.upload = NULL;
}

/* ---- the end ---- */

static enum fb_status bucket_key_destroy(struct fb_vault *v, const char *parcel_id,
                                         struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    enum fb_status s = make_key(parcel_id, FB_VAULT_KEY_NAME, key, err);
    return s == FB_OK ? fb_s3_purge(v->s3, key, err) : s;
}

static enum fb_status bucket_remove_all(struct fb_vault *v, const char *parcel_id,
                                        struct fb_error *err)
{
    char prefix[FB_S3_KEY_SIZE];
    uint64_t swept = 0;
    enum fb_status s = make_key(parcel_id, "", prefix, err);
    s = s == FB_OK ? fb_s3_upload_sweep(v->s3, prefix, -ANY_AGE_MS, &swept, err) : s;
    return s == FB_OK ? fb_s3_purge(v->s3, prefix, err) : s;
}

static enum fb_status bucket_remove(struct fb_vault *v, const char *parcel_id, const char *name,
                                    struct fb_error *err)
{
    char key[FB_S3_KEY_SIZE];
    enum fb_status s = make_key(parcel_id, name, key, err);
    return s == FB_OK ? fb_s3_purge(v->s3, key, err) : s;
}

/* ---- listing ---- */

struct listing {
    fb_vault_entry_fn *each;
    void *ctx;
    size_t skip; /* bytes of the prefix */
    size_t count;
};

static bool tell_entry(void *ctx, const struct fb_s3_entry *object)
{
    struct listing *l = ctx;
    const struct fb_vault_entry entry = {
        .name = object->key + l->skip, .size = object->size, .modified_ms = object->modified_ms};
    l->count++;
    return l->each(l->ctx, &entry);
}

static enum fb_status bucket_list(struct fb_vault *v, const char *parcel_id,
                                  fb_vault_entry_fn *each, void *ctx, struct fb_error *err)
{
    char prefix[FB_S3_KEY_SIZE];
    struct listing l = {.each = each, .ctx = ctx};
    enum fb_status s = make_key(parcel_id, "", prefix, err);
    if (s == FB_OK) {
        l.skip = strlen(prefix);
        s = fb_s3_list(v->s3, prefix, NULL, tell_entry, &l, err);
    }
    return s == FB_OK && l.count == 0
               ? fb_error_set(err, FB_NOT_FOUND, "there is no parcel %s in the vault", parcel_id)
               : s;
}

/* All of the bucket in one listing, with its parcels one by one: not while the pages come. */
struct parcels {
    char (*ids)[FB_PARCEL_ID_SIZE];
    size_t count, cap;
    uint64_t bytes;
    bool is_over;
};

static bool keep_parcel(void *ctx, const struct fb_s3_entry *object)
{
    struct parcels *p = ctx;
    char id[FB_PARCEL_ID_SIZE];
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    const char *from = object->key + sizeof PARCELS - 1;
    const char *slash = strchr(from, '/');
    const char *end = slash != NULL ? strchr(slash + 1, '/') : NULL;
    p->bytes += object->size;
    if (end == NULL || (size_t)(end - slash - 1) >= sizeof id) {
        return true; /* not ours */
    }
    memcpy(id, slash + 1, (size_t)(end - slash - 1));
    id[end - slash - 1] = '\0';
    bool is_same = p->count > 0 && strcmp(p->ids[p->count - 1], id) == 0;
    if (is_same || !fb_parcel_id_split(id, msg_id, &branch)) {
        return true;
    }
    if (p->count == MAX_KEPT) {
        p->is_over = true;
        return false;
    }
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 64 : p->cap * 2;
        char(*grown)[FB_PARCEL_ID_SIZE] = realloc(p->ids, p->cap * sizeof *grown);
        FB_ASSERT(grown != NULL);
        p->ids = grown;
    }
    memcpy(p->ids[p->count++], id, sizeof id);
    return true;
}

static enum fb_status bucket_each(struct fb_vault *v,
                                  bool (*each)(void *ctx, const char *parcel_id), void *ctx,
                                  struct fb_error *err)
{
    struct parcels p = {0};
    enum fb_status s = fb_s3_list(v->s3, PARCELS, NULL, keep_parcel, &p, err);
    if (s == FB_OK && p.is_over) {
        s = fb_error_set(err, FB_TOO_BIG, "the vault holds too many parcels");
    }
    for (size_t i = 0; i < p.count && s == FB_OK && each(ctx, p.ids[i]); i++) {
    }
    free(p.ids);
    return s;
}

static bool add_size(void *ctx, const struct fb_s3_entry *object)
{
    *(uint64_t *)ctx += object->size;
    return true;
}

static enum fb_status bucket_usage(struct fb_vault *v, uint64_t *bytes_r, struct fb_error *err)
{
    uint64_t bytes = 0;
    enum fb_status s = fb_s3_list(v->s3, PARCELS, NULL, add_size, &bytes, err);
    if (s == FB_OK) {
        *bytes_r = bytes;
    }
    return s;
}

const struct fb_vault_backend fb_vault_bucket = {
    .open = bucket_open,
    .close = bucket_close,
    .key_read = bucket_key_read,
    .key_new = bucket_key_new,
    .state_read = bucket_state_read,
    .state_write = bucket_state_write,
    .file_open = bucket_file_open,
    .sink_open = bucket_sink_open,
    .sink_commit = bucket_sink_commit,
    .sink_close = bucket_sink_close,
    .key_destroy = bucket_key_destroy,
    .remove_all = bucket_remove_all,
    .remove = bucket_remove,
    .list = bucket_list,
    .each = bucket_each,
    .usage = bucket_usage,
};
