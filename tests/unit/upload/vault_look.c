/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints what a vault says of a parcel, for tests: vault_look URL KEY_FILE PARCEL.  "null" when there is none.
 *
 *   {"revision", "closed", "grants": [{"rcpt", "to", "hash", "recalled"}],
 *    "files": [{"name", "size", "sha1": of what can be read}]}
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/crypto.h"
#include "common/vault/vault.h"

static struct fb_error err;

static void must(enum fb_status s)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "vault_look: %s (%s)\n", err.text, fb_status_name(s));
        exit(1);
    }
}

static json_t *file_json(struct fb_vault *vault, const char *parcel_id,
                         const struct fb_vault_file *file)
{
    static uint8_t bytes[65536];
    uint8_t sha1[FB_SHA1_SIZE];
    char hex[2 * FB_SHA1_SIZE + 1];
    struct fb_vault_reader *reader = NULL;
    struct fb_hash hash;
    uint64_t size = 0;
    must(fb_vault_file_open(vault, parcel_id, file->id, &reader, &size, &err));
    fb_hash_init(&hash, FB_HASH_SHA1);
    for (uint64_t at = 0; at < size;) {
        size_t n = 0;
        must(fb_vault_file_read(reader, at, bytes, sizeof bytes, &n, &err));
        fb_hash_update(&hash, bytes, n);
        at += n;
    }
    fb_hash_final(&hash, sha1);
    fb_hash_deinit(&hash);
    fb_vault_file_close(&reader);
    fb_hex(sha1, sizeof sha1, hex);
    return json_pack("{s:s,s:I,s:s}", "name", file->name, "size", (json_int_t)size, "sha1", hex);
}

int main(int argc, char **argv)
{
    struct fb_vault *vault = NULL;
    struct fb_vault_parcel p = {0};
    if (argc != 4) {
        return 2;
    }
    must(fb_vault_open(argv[1], argv[2], &vault, &err));
    enum fb_status s = fb_vault_load(vault, argv[3], &p, &err);
    if (s == FB_NOT_FOUND) {
        (void)printf("null\n");
        fb_vault_close(&vault);
        return 0;
    }
    must(s);
    json_t *grants = json_array();
    json_t *files = json_array();
    for (uint32_t i = 0; i < p.grant_count; i++) {
        char hex[2 * FB_VAULT_HASH + 1];
        fb_hex(p.grants[i].secret_hash, FB_VAULT_HASH, hex);
        (void)json_array_append_new(grants,
                                    json_pack("{s:i,s:s,s:s,s:b}", "rcpt",
                                              (int)p.grants[i].recipient, "to", p.grants[i].address,
                                              "hash", hex, "recalled", p.grants[i].is_recalled));
    }
    for (uint32_t i = 0; i < p.file_count; i++) {
        (void)json_array_append_new(files, file_json(vault, p.parcel_id, &p.files[i]));
    }
    json_t *o = json_pack("{s:I,s:b,s:o,s:o}", "revision", (json_int_t)p.revision, "closed",
                          p.is_closed, "grants", grants, "files", files);
    char *text = json_dumps(o, JSON_COMPACT);
    (void)printf("%s\n", text);
    free(text);
    json_decref(o);
    fb_vault_parcel_deinit(&p);
    fb_vault_close(&vault);
    return 0;
}
