/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a vault, and what both kinds of it have in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vault/internal.h"

bool fb_vault_file_id_is_valid(const char *text)
{
    return strnlen(text, FB_VAULT_FILE_ID) == FB_VAULT_FILE_ID - 1 &&
           strspn(text, "0123456789abcdef") == FB_VAULT_FILE_ID - 1;
}

void fb_vault_file_id(const char *parcel_id, uint32_t number, char id_r[FB_VAULT_FILE_ID])
{
    char text[FB_PARCEL_ID_SIZE + 16];
    uint8_t digest[FB_SHA256_SIZE];
    int n = snprintf(text, sizeof text, "%s/%u", parcel_id, (unsigned)number);
    FB_ASSERT(n > 0 && (size_t)n < sizeof text);
    fb_sha256(text, (size_t)n, digest);
    fb_hex(digest, (FB_VAULT_FILE_ID - 1) / 2, id_r);
}

/* ---- vault.roots ---- */

/* Without the slashes at its end. */
static size_t path_len(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

enum fb_status fb_vault_check_root(const struct fb_config *config, const char *url,
                                   struct fb_error *err)
{
    if (strncmp(url, "file://", 7) != 0) {
        return FB_OK;
    }
    const char *path = url + 7;
    size_t len = path_len(path);
    bool is_up =
        strstr(path, "/../") != NULL || (len >= 3 && strncmp(path + len - 3, "/..", 3) == 0);
    for (size_t i = 0; i < config->vault.roots.count && !is_up; i++) {
        const char *root = config->vault.roots.items[i];
        size_t n = path_len(root);
        if (n <= len && strncmp(path, root, n) == 0 && (n == len || path[n] == '/')) {
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_CONFIG,
                        "the vault %s lies in none of the folders of vault.roots in fumibako.yaml: "
                        "add its folder there on every machine, and restart the services",
                        url);
}

/* ---- open and close ---- */

enum fb_status fb_vault_open(const char *url, const char *key_file, struct fb_vault **vault_r,
                             struct fb_error *err)
{
    bool is_file = url != NULL && strncmp(url, "file:///", 8) == 0 && url[8] != '\0';
    bool is_bucket = url != NULL && strncmp(url, "s3://", 5) == 0;
    if (!is_file && !is_bucket) {
        return fb_error_set(err, FB_CONFIG,
                            "vault url %s: file:///DIRECTORY or s3://BUCKET/PREFIX is supported",
                            url != NULL ? url : "(none)");
    }
    if (key_file == NULL || key_file[0] == '\0') {
        return fb_error_set(err, FB_CONFIG, "the vault needs a key file");
    }
    struct fb_vault *v = fb_xcalloc(1, sizeof *v);
    v->root_fd = -1;
    v->parcels_fd = -1;
    v->backend = is_file ? &fb_vault_files : &fb_vault_bucket;
    enum fb_status s = fb_keyring_load(key_file, "vault", &v->keys, err);
    if (s == FB_OK) {
        s = v->backend->open(v, url, err);
    }
    if (s != FB_OK) {
        (void)fb_error_prefix(err, "open vault");
        fb_vault_close(&v);
        return s;
    }
    *vault_r = v;
    return FB_OK;
}

void fb_vault_close(struct fb_vault **vault)
{
    struct fb_vault *v = *vault;
    if (v != NULL) {
        v->backend->close(v);
        fb_keyring_free(&v->keys);
        free(v);
        *vault = NULL;
    }
}

const char *fb_vault_id(const struct fb_vault *vault)
{
    return vault->id;
}

bool fb_vault_is_remote(const struct fb_vault *vault)
{
    return vault->s3 != NULL;
}

void fb_vault_set_quota(struct fb_vault *vault, uint64_t bytes)
{
    vault->quota = bytes;
}

enum fb_status fb_vault_each(struct fb_vault *vault, bool (*each)(void *ctx, const char *parcel_id),
                             void *ctx, struct fb_error *err)
{
    return vault->backend->each(vault, each, ctx, err);
}
