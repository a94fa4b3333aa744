/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a parcel into a vault for tests of the portal, and changes one: reads JSON from standard input,
 *
 *   {"url", "key_file", "parcel": "<parcel id>", "proof": "link", "expires": ms, "trusted_days": 14,
 *    "members": true, "reply": true, "download": true, "watermark": true, "max_downloads": 3, "password": "...",
 *    "from", "subject", "language", "rule", "security", "storage", "closed": true,
 *    "grants": [{"recipient": 0, "address": "a@b", "secret": "<64 hex>", "recalled": true}],
 *    "files": [{"name", "type", "path", "body": true}]}
 *
 * A parcel that is there already gets this state, and keeps its files.  Prints one link a grant. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/link.h"
#include "common/vault/vault.h"

static void fail(const char *what, const struct fb_error *err)
{
    fprintf(stderr, "vault_parcel: %s: %s\n", what, err != NULL ? err->text : "");
    exit(1);
}

static const char *text(const json_t *o, const char *key, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value != NULL ? value : otherwise;
}

static int64_t number(const json_t *o, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(o, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool is_true(const json_t *o, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(o, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* ---- grants ---- */

static void take_grants(const json_t *list, struct fb_vault_parcel *p)
{
    p->grant_count = (uint32_t)json_array_size(list);
    p->grants = fb_xcalloc(p->grant_count + 1, sizeof *p->grants);
    for (uint32_t i = 0; i < p->grant_count; i++) {
        const json_t *o = json_array_get(list, i);
        uint8_t secret[FB_READER_SECRET];
        char link[FB_READER_LINK_SIZE];
        struct fb_vault_grant *g = &p->grants[i];
        if (!fb_unhex(text(o, "secret", ""), secret, sizeof secret)) {
            fail("a grant's secret is not 64 hex digits", NULL);
        }
        g->recipient = (uint32_t)number(o, "recipient", i);
        g->address = fb_xstrdup(text(o, "address", ""));
        g->is_recalled = is_true(o, "recalled", false);
        fb_sha256(secret, sizeof secret, g->secret_hash);
        if (fb_reader_link_make(p->parcel_id, g->recipient, secret, link) != FB_OK) {
            fail("no link can be made", NULL);
        }
        puts(link);
    }
}

/* ---- files ---- */

static enum fb_status read_some(void *ctx, void *out, size_t len, size_t *read_r,
                                struct fb_error *err)
{
    *read_r = fread(out, 1, len, ctx);
    return ferror((FILE *)ctx) ? fb_error_set(err, FB_IO, "read") : FB_OK;
}

static void measure(FILE *f, struct fb_vault_file *file)
{
    struct fb_hash hash;
    uint8_t block[65536];
    size_t n = 0;
    fb_hash_init(&hash, FB_HASH_SHA1);
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        fb_hash_update(&hash, block, n);
        file->size += n;
    }
    fb_hash_final(&hash, file->sha1);
    fb_hash_deinit(&hash);
    rewind(f);
}

static void put_files(struct fb_vault *v, const json_t *list, struct fb_vault_parcel *p)
{
    struct fb_error err = {0};
    p->file_count = (uint32_t)json_array_size(list);
    p->files = fb_xcalloc(p->file_count + 1, sizeof *p->files);
    for (uint32_t i = 0; i < p->file_count; i++) {
        const json_t *o = json_array_get(list, i);
        struct fb_vault_file *file = &p->files[i];
        FILE *f = fopen(text(o, "path", ""), "rb");
        if (f == NULL) {
            fail("a file cannot be opened", NULL);
        }
        file->name = fb_xstrdup(text(o, "name", "file"));
        file->type = fb_xstrdup(text(o, "type", "application/octet-stream"));
        file->is_body = is_true(o, "body", false);
        fb_vault_file_id(p->parcel_id, i, file->id);
        measure(f, file);
        struct fb_vault_content content = {
            .size = file->size, .type = file->type, .is_body = file->is_body};
        memcpy(content.sha1, file->sha1, sizeof content.sha1);
        if (fb_vault_put(v, p->parcel_id, file->id, &content, read_some, f, &err) != FB_OK) {
            fail("put", &err);
        }
        (void)fclose(f);
    }
}

/* ---- state ---- */

static void take_state(const json_t *o, struct fb_vault_parcel *p)
{
    const char *proof = text(o, "proof", "code");
    const char *password = text(o, "password", NULL);
    struct fb_error err = {0};
    p->storage = fb_xstrdup(text(o, "storage", "vault"));
    p->from = fb_xstrdup(text(o, "from", "taro@example.jp"));
    p->subject = fb_xstrdup(text(o, "subject", "A subject"));
    p->language = fb_xstrdup(text(o, "language", "en"));
    p->rule = fb_xstrdup(text(o, "rule", "rule 0"));
    p->security = fb_xstrdup(text(o, "security", "standard"));
    p->accepted_ms = number(o, "accepted", fb_now_ms());
    p->expires_ms = number(o, "expires", fb_now_ms() + INT64_C(86400000));
    p->access = FB_ACCESS_RECIPIENTS;
    p->proof = strcmp(proof, "link") == 0   ? FB_PROOF_LINK
               : strcmp(proof, "totp") == 0 ? FB_PROOF_TOTP
                                            : FB_PROOF_CODE;
    p->can_download = is_true(o, "download", true);
    p->is_watermarked = is_true(o, "watermark", false);
    p->has_members = is_true(o, "members", false);
    p->may_reply = is_true(o, "reply", true);
    p->max_downloads = number(o, "max_downloads", 0);
    p->trusted_days = number(o, "trusted_days", 0);
    p->is_closed = is_true(o, "closed", false);
    if (password != NULL) {
        p->has_password = true;
        fb_random(p->password_salt, sizeof p->password_salt);
        if (fb_vault_password_hash(password, p->password_salt, p->password_hash, &err) != FB_OK) {
            fail("password", &err);
        }
    }
}

int main(void)
{
    struct fb_error err = {0};
    struct fb_vault *vault = NULL;
    struct fb_vault_parcel p = {.parcel_id = ""};
    bool is_new = false;
    json_error_t why;
    json_t *o = json_loadf(stdin, 0, &why);
    if (o == NULL) {
        fail(why.text, NULL);
    }
    if (fb_vault_open(text(o, "url", ""), text(o, "key_file", ""), &vault, &err) != FB_OK) {
        fail("open", &err);
    }
    (void)snprintf(p.parcel_id, sizeof p.parcel_id, "%s", text(o, "parcel", ""));
    take_state(o, &p);
    if (fb_vault_create(vault, &p, &is_new, &err) != FB_OK) {
        fail("create", &err);
    }
    if (is_new) {
        put_files(vault, json_object_get(o, "files"), &p);
    } else { /* what is there, with this state */
        struct fb_vault_parcel old = {.parcel_id = ""};
        if (fb_vault_load(vault, p.parcel_id, &old, &err) != FB_OK) {
            fail("load", &err);
        }
        p.revision = old.revision;
        p.files = old.files;
        p.file_count = old.file_count;
        old.files = NULL;
        old.file_count = 0;
        fb_vault_parcel_deinit(&old);
    }
    take_grants(json_object_get(o, "grants"), &p);
    if (fb_vault_save(vault, &p, &err) != FB_OK) {
        fail("save", &err);
    }
    fb_vault_parcel_deinit(&p);
    fb_vault_close(&vault);
    json_decref(o);
    return 0;
}
