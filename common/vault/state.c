/* SPDX-License-Identifier: Apache-2.0
 *
 * The state document: a msgpack map (vault.md), sealed behind magic[8], salt[16] and zeros[8] with
 * a key made from the parcel's key and the salt, so that no key seals twice.
 */
#include <stdlib.h>
#include <string.h>

#include "common/vault/internal.h"
#include "proto/limits.h"
#include "proto/pack.h"

#define VERSION   1U
#define MAX_WORDS 1024
#define MAX_NAME  (FB_MAX_FILE_NAME * 4)
#define MAX_STATE FB_MAX_MANIFEST

static const uint8_t magic[8] = {'F', 'B', 'V', 'S', 'T', 'A', 'T', '1'};

void fb_vault_parcel_deinit(struct fb_vault_parcel *p)
{
    char *const texts[] = {p->storage, p->from, p->subject, p->language, p->rule, p->security};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(texts[i]);
    }
    for (uint32_t i = 0; i < p->grant_count; i++) {
        free(p->grants[i].address);
    }
    for (uint32_t i = 0; i < p->file_count; i++) {
        free(p->files[i].name);
        free(p->files[i].type);
    }
    free(p->grants);
    free(p->files);
    *p = (struct fb_vault_parcel){0};
}

/* ---- msgpack ---- */

static void put_grants(struct fb_pack *p, const struct fb_vault_parcel *parcel)
{
    fb_pack_key(p, "grants");
    fb_pack_array(p, parcel->grant_count);
    for (uint32_t i = 0; i < parcel->grant_count; i++) {
        const struct fb_vault_grant *g = &parcel->grants[i];
        fb_pack_map(p, 4);
        fb_pack_uint(p, "rcpt", g->recipient);
        fb_pack_str(p, "to", g->address);
        fb_pack_bin(p, "hash", g->secret_hash, sizeof g->secret_hash);
        fb_pack_bool(p, "recalled", g->is_recalled);
    }
}

static void put_files(struct fb_pack *p, const struct fb_vault_parcel *parcel)
{
    fb_pack_key(p, "files");
    fb_pack_array(p, parcel->file_count);
    for (uint32_t i = 0; i < parcel->file_count; i++) {
        const struct fb_vault_file *f = &parcel->files[i];
        fb_pack_map(p, 6);
        fb_pack_str(p, "id", f->id);
        fb_pack_str(p, "name", f->name);
        fb_pack_str(p, "type", f->type);
        fb_pack_uint(p, "size", f->size);
        fb_pack_bin(p, "sha1", f->sha1, sizeof f->sha1);
        fb_pack_bool(p, "body", f->is_body);
    }
}

static uint64_t not_negative(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

enum fb_status fb_vault_state_encode(const struct fb_vault_parcel *parcel, struct fb_buf *out,
                                     struct fb_error *err)
{
    struct fb_pack p;
    fb_pack_init(&p, out);
    fb_pack_map(&p, parcel->has_password ? 25 : 23);
    fb_pack_uint(&p, "v", VERSION);
    fb_pack_str(&p, "parcel", parcel->parcel_id);
    fb_pack_uint(&p, "revision", parcel->revision);
    fb_pack_str(&p, "storage", parcel->storage);
    fb_pack_str(&p, "from", parcel->from);
    fb_pack_str(&p, "subject", parcel->subject);
    fb_pack_str(&p, "language", parcel->language);
    fb_pack_str(&p, "rule", parcel->rule);
    fb_pack_str(&p, "security", parcel->security);
    fb_pack_uint(&p, "at", not_negative(parcel->accepted_ms));
    fb_pack_uint(&p, "expires", not_negative(parcel->expires_ms));
    fb_pack_uint(&p, "purge", not_negative(parcel->purge_ms));
    fb_pack_uint(&p, "access", parcel->access);
    fb_pack_uint(&p, "proof", parcel->proof);
    fb_pack_bool(&p, "download", parcel->can_download);
    fb_pack_bool(&p, "watermark", parcel->is_watermarked);
    fb_pack_bool(&p, "members", parcel->has_members);
    fb_pack_bool(&p, "reply", parcel->may_reply);
    fb_pack_uint(&p, "max", not_negative(parcel->max_downloads));
    fb_pack_uint(&p, "trusted", not_negative(parcel->trusted_days));
    fb_pack_bool(&p, "closed", parcel->is_closed);
    put_grants(&p, parcel);
    put_files(&p, parcel);
    if (parcel->has_password) {
        fb_pack_bin(&p, "salt", parcel->password_salt, sizeof parcel->password_salt);
        fb_pack_bin(&p, "scrypt", parcel->password_hash, sizeof parcel->password_hash);
    }
    return p.status == FB_OK
               ? FB_OK
               : fb_error_set(err, p.status == FB_TOO_BIG ? FB_INVALID : p.status,
                              "the state of parcel %s cannot be written down", parcel->parcel_id);
}

static void read_grants(struct fb_read *r, struct fb_vault_parcel *p)
{
    const msgpack_object_array *list = fb_read_array(r, "grants", FB_MAX_RECIPIENTS);
    if (list == NULL) {
        return;
    }
    p->grants = fb_read_alloc(r, "grants", list->size, sizeof *p->grants);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        struct fb_vault_grant *g = &p->grants[p->grant_count++];
        fb_read_item(r, list, i, "state.grants", &item);
        g->recipient = (uint32_t)fb_read_uint(&item, "rcpt", FB_MAX_RECIPIENTS - 1);
        g->address = fb_read_str(&item, "to", FB_MAX_ADDRESS);
        fb_read_bin(&item, "hash", g->secret_hash, sizeof g->secret_hash);
        g->is_recalled = fb_read_bool(&item, "recalled");
        fb_read_item_end(r, &item);
    }
}

static void read_files(struct fb_read *r, struct fb_vault_parcel *p)
{
    const msgpack_object_array *list = fb_read_array(r, "files", FB_MAX_PARTS + 1);
    if (list == NULL) {
        return;
    }
    p->files = fb_read_alloc(r, "files", list->size, sizeof *p->files);
    for (uint32_t i = 0; i < list->size && r->status == FB_OK; i++) {
        struct fb_read item;
        struct fb_vault_file *f = &p->files[p->file_count++];
        fb_read_item(r, list, i, "state.files", &item);
        fb_read_str_into(&item, "id", f->id, sizeof f->id);
        f->name = fb_read_str(&item, "name", MAX_NAME);
        f->type = fb_read_str(&item, "type", FB_VAULT_MAX_TYPE);
        f->size = fb_read_uint(&item, "size", FB_VAULT_MAX_CONTENT);
        fb_read_bin(&item, "sha1", f->sha1, sizeof f->sha1);
        f->is_body = fb_read_bool(&item, "body");
        if (item.status == FB_OK && !fb_vault_file_id_is_valid(f->id)) {
            (void)fb_read_fail(&item, "id", "no file id");
        }
        fb_read_item_end(r, &item);
    }
}

static void read_rights(struct fb_read *r, struct fb_vault_parcel *p)
{
    p->access = (enum fb_access)fb_read_uint(r, "access", FB_ACCESS_ANYONE);
    p->proof = (enum fb_proof)fb_read_uint(r, "proof", FB_PROOF_TOTP);
    p->can_download = fb_read_bool(r, "download");
    p->is_watermarked = fb_read_bool(r, "watermark");
    p->has_members = fb_read_bool(r, "members");
    p->may_reply = fb_read_bool(r, "reply");
    p->max_downloads = (int64_t)fb_read_uint(r, "max", INT64_MAX);
    p->trusted_days = (int64_t)fb_read_uint(r, "trusted", 3650);
    p->is_closed = fb_read_bool(r, "closed");
    bool has_salt = fb_read_opt_bin(r, "salt", p->password_salt, sizeof p->password_salt);
    p->has_password = fb_read_opt_bin(r, "scrypt", p->password_hash, sizeof p->password_hash);
    if (r->status == FB_OK && has_salt != p->has_password) {
        (void)fb_read_fail(r, "scrypt", "half a password"); /* or it would open without one */
    }
}

enum fb_status fb_vault_state_decode(struct fb_slice bytes, struct fb_vault_parcel *parcel_r,
                                     struct fb_error *err)
{
    struct fb_read r;
    struct fb_vault_parcel p = {0};
    char msg_id[FB_ID_SIZE];
    uint32_t branch = 0;
    fb_read_init(&r, "state", bytes, MAX_STATE, err);
    (void)fb_read_version(&r, 1, VERSION);
    fb_read_str_into(&r, "parcel", p.parcel_id, sizeof p.parcel_id);
    p.revision = fb_read_uint(&r, "revision", UINT64_MAX - 1);
    p.storage = fb_read_str(&r, "storage", MAX_WORDS);
    p.from = fb_read_str(&r, "from", FB_MAX_ADDRESS);
    p.subject = fb_read_str(&r, "subject", FB_MAX_SUBJECT);
    p.language = fb_read_str(&r, "language", 8);
    p.rule = fb_read_str(&r, "rule", MAX_WORDS);
    p.security = fb_read_str(&r, "security", MAX_WORDS);
    p.accepted_ms = (int64_t)fb_read_uint(&r, "at", INT64_MAX);
    p.expires_ms = (int64_t)fb_read_uint(&r, "expires", INT64_MAX);
    p.purge_ms = (int64_t)fb_read_uint(&r, "purge", INT64_MAX);
    read_rights(&r, &p);
    read_grants(&r, &p);
    read_files(&r, &p);
    if (r.status == FB_OK &&
        (!fb_parcel_id_split(p.parcel_id, msg_id, &branch) || p.revision == 0)) {
        (void)fb_read_fail(&r, "parcel", "no parcel id, or no revision");
    }
    enum fb_status s = r.status;
    fb_read_deinit(&r);
    if (s == FB_OK) {
        *parcel_r = p;
    } else {
        fb_vault_parcel_deinit(&p);
    }
    return s;
}

/* ---- sealing ---- */

/* What could not be read again is not written. */
static enum fb_status encode_checked(const struct fb_vault_parcel *parcel, struct fb_buf *out,
                                     struct fb_error *err)
{
    struct fb_vault_parcel again = {0};
    enum fb_status s = fb_vault_state_encode(parcel, out, err);
    if (s == FB_OK) {
        s = fb_vault_state_decode(fb_slice_buf(out), &again, err);
        fb_vault_parcel_deinit(&again);
    }
    return s;
}

enum fb_status fb_vault_state_seal(const struct fb_vault_parcel *parcel,
                                   const uint8_t key[FB_KEY_SIZE], struct fb_buf *out,
                                   struct fb_error *err)
{
    struct fb_buf plain;
    uint8_t head[FB_VAULT_STATE_HEAD] = {0};
    uint8_t own[FB_KEY_SIZE];
    fb_buf_init(&plain, MAX_STATE);
    fb_buf_init(out, FB_VAULT_STATE_HEAD + (size_t)fb_sealed_len(MAX_STATE));
    enum fb_status s = encode_checked(parcel, &plain, err);
    size_t size = FB_VAULT_STATE_HEAD + (size_t)fb_sealed_len(plain.len);
    memcpy(head, magic, sizeof magic);
    fb_random(head + 8, FB_VAULT_SALT);
    if (s == FB_OK &&
        (fb_buf_reserve(out, size) != FB_OK || fb_buf_add(out, head, sizeof head) != FB_OK)) {
        s = fb_error_set(err, FB_NO_SPACE, "no memory for the state of parcel %s",
                         parcel->parcel_id);
    }
    if (s == FB_OK) {
        uint64_t count = fb_seal_chunk_count(plain.len);
        fb_vault_key_derive(key, head + 8, "fumibako vault state 1", parcel->parcel_id, "", own);
        for (uint64_t i = 0; i < count; i++) {
            struct fb_slice in =
                fb_slice_sub(fb_slice_buf(&plain), (size_t)i * FB_SEAL_CHUNK, FB_SEAL_CHUNK);
            fb_seal(own, FB_SEAL_VAULT_STATE, i, i == count - 1, parcel->parcel_id, in,
                    out->ptr + out->len);
            out->len += in.len + FB_TAG_SIZE;
        }
        out->ptr[out->len] = '\0';
        fb_wipe(own, sizeof own);
    }
    fb_wipe(plain.ptr, plain.len);
    fb_buf_deinit(&plain);
    if (s != FB_OK) {
        fb_buf_deinit(out);
    }
    return s;
}

/* The chunks, opened into plain. */
static bool unseal_chunks(const char *parcel_id, const uint8_t own[FB_KEY_SIZE],
                          struct fb_slice sealed, struct fb_buf *plain)
{
    bool is_last = false;
    for (uint64_t i = 0; !is_last; i++) {
        struct fb_slice in = fb_slice_sub(sealed, (size_t)i * FB_SEALED_CHUNK, FB_SEALED_CHUNK);
        is_last = (size_t)(i + 1) * FB_SEALED_CHUNK >= sealed.len;
        if (in.len < FB_TAG_SIZE || fb_buf_reserve(plain, in.len) != FB_OK ||
            fb_unseal(own, FB_SEAL_VAULT_STATE, i, is_last, parcel_id, in,
                      plain->ptr + plain->len) != FB_OK) {
            return false;
        }
        plain->len += in.len - FB_TAG_SIZE;
    }
    return true;
}

enum fb_status fb_vault_state_unseal(const char *parcel_id, const uint8_t key[FB_KEY_SIZE],
                                     struct fb_slice bytes, struct fb_vault_parcel *parcel_r,
                                     struct fb_error *err)
{
    static const uint8_t zeros[FB_VAULT_STATE_HEAD - 8 - FB_VAULT_SALT];
    struct fb_buf plain;
    struct fb_vault_parcel p = {0};
    uint8_t own[FB_KEY_SIZE];
    if (bytes.len >= sizeof magic && fb_seal_is_newer(bytes.ptr, magic, sizeof magic)) {
        return fb_seal_newer(err, "the parcel's state");
    }
    if (bytes.len <= FB_VAULT_STATE_HEAD || memcmp(bytes.ptr, magic, sizeof magic) != 0 ||
        memcmp(bytes.ptr + 8 + FB_VAULT_SALT, zeros, sizeof zeros) != 0) {
        return fb_error_set(err, FB_CORRUPT, "the state of parcel %s is damaged", parcel_id);
    }
    fb_buf_init(&plain, MAX_STATE + FB_SEALED_CHUNK);
    fb_vault_key_derive(key, bytes.ptr + 8, "fumibako vault state 1", parcel_id, "", own);
    bool is_whole =
        unseal_chunks(parcel_id, own, fb_slice_sub(bytes, FB_VAULT_STATE_HEAD, SIZE_MAX), &plain);
    fb_wipe(own, sizeof own);
    enum fb_status s = FB_CORRUPT;
    if (is_whole) {
        s = fb_vault_state_decode(fb_slice_buf(&plain), &p, err);
        s = s == FB_INVALID || (s == FB_OK && strcmp(p.parcel_id, parcel_id) != 0) ? FB_CORRUPT : s;
    }
    if (s == FB_CORRUPT) {
        (void)fb_error_set(err, FB_CORRUPT, "the state of parcel %s fails its check", parcel_id);
    }
    fb_wipe(plain.ptr, plain.len);
    fb_buf_deinit(&plain);
    if (s == FB_OK) {
        *parcel_r = p;
    } else {
        fb_vault_parcel_deinit(&p);
    }
    return s;
}
