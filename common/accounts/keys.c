/* SPDX-License-Identifier: Apache-2.0 */
#include "common/accounts/keys.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/json_words.h"

void fb_token_id(const char *hash, char out_r[FB_TOKEN_ID])
{
    (void)snprintf(out_r, FB_TOKEN_ID, "%.16s", hash);
}

static void passkey_name(const struct fb_passkey *k, char out_r[FB_PASSKEY_NAME])
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(k->id, k->id_len, digest);
    fb_hex(digest, (FB_PASSKEY_NAME - 1) / 2, out_r);
}

void fb_token_hash(const char *token, char out_r[FB_ACCOUNT_HASH])
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(token, strlen(token), digest);
    fb_hex(digest, sizeof digest, out_r);
}

void fb_token_make(const char *user, char token_r[FB_TOKEN_SIZE], char hash_r[FB_ACCOUNT_HASH])
{
    char secret[FB_RANDOM_TEXT];
    struct fb_buf name;
    fb_buf_init(&name, FB_TOKEN_SIZE);
    fb_random_text(secret);
    FB_ASSERT(fb_base64url_encode(fb_slice_str(user), &name) == FB_OK);
    (void)snprintf(token_r, FB_TOKEN_SIZE, "fbt.%.180s.%s", fb_buf_str(&name), secret);
    fb_buf_deinit(&name);
    fb_wipe(secret, sizeof secret);
    fb_token_hash(token_r, hash_r);
}

json_t *fb_tokens_json(const struct fb_account *a, json_t *(*time)(int64_t ms))
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->token_count; i++) {
        const struct fb_token *t = &a->tokens[i];
        char id[FB_TOKEN_ID];
        fb_token_id(t->hash, id);
        (void)json_array_append_new(list, json_pack("{s:s,s:o,s:s,s:o,s:o}", "id", id, "label",
                                                    fb_json_text(t->label), "role",
                                                    fb_role_name(t->role), "since",
                                                    time(t->since_ms), "until", time(t->until_ms)));
    }
    return list;
}

json_t *fb_passkeys_json(const struct fb_account *a, json_t *(*time)(int64_t ms))
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->passkey_count; i++) {
        const struct fb_passkey *k = &a->passkeys[i];
        char id[FB_PASSKEY_NAME];
        passkey_name(k, id);
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:o,s:o}", "id", id, "label",
                                              fb_json_text(k->label), "since", time(k->since_ms)));
    }
    return list;
}

enum fb_status fb_account_add_token(struct fb_account *a, const struct fb_token *t,
                                    struct fb_error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->token_count; i++) {
        if (a->tokens[i].until_ms > fb_now_ms()) {
            a->tokens[kept++] = a->tokens[i];
        }
    }
    a->token_count = kept;
    if (a->token_count == FB_ACCOUNT_TOKENS) {
        return fb_error_set(err, FB_DENIED, "there are %d tokens already: remove one first",
                            FB_ACCOUNT_TOKENS);
    }
    a->tokens[a->token_count++] = *t;
    return FB_OK;
}

enum fb_status fb_account_drop_token(struct fb_account *a, const char *id, struct fb_error *err)
{
    for (size_t i = 0; i < a->token_count; i++) {
        char name[FB_TOKEN_ID];
        fb_token_id(a->tokens[i].hash, name);
        if (strcmp(name, id) == 0) {
            a->token_count--;
            memmove(&a->tokens[i], &a->tokens[i + 1],
                    (a->token_count - i) * sizeof(struct fb_token));
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_NOT_FOUND, "no such token");
}

enum fb_status fb_account_drop_passkey(struct fb_account *a, const char *name, struct fb_error *err)
{
    for (size_t i = 0; i < a->passkey_count; i++) {
        char own[FB_PASSKEY_NAME];
        passkey_name(&a->passkeys[i], own);
        if (strcmp(own, name) != 0) {
            continue;
        }
        if (a->passkey_count == 1 && a->totp[0] == '\0' && a->oidc[0] == '\0') {
            return fb_error_set(err, FB_DENIED, "it is the only second factor");
        }
        a->passkey_count--;
        memmove(&a->passkeys[i], &a->passkeys[i + 1],
                (a->passkey_count - i) * sizeof(struct fb_passkey));
        return FB_OK;
    }
    return fb_error_set(err, FB_NOT_FOUND, "no such passkey");
}
