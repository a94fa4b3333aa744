/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/account.h"

#define MAX_TEXT (96U << 10)

/* ---- out ---- */

static json_t *binary(const uint8_t *ptr, size_t len)
{
    struct fb_buf text;
    fb_buf_init(&text, 4096);
    json_t *value = fb_base64url_encode(fb_slice_of(ptr, len), &text) == FB_OK
                        ? json_string(fb_buf_str(&text))
                        : NULL;
    fb_buf_deinit(&text);
    return value;
}

static json_t *passkeys_json(const struct fb_account *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->passkey_count; i++) {
        const struct fb_passkey *k = &a->passkeys[i];
        (void)json_array_append_new(list, json_pack("{s:o,s:o,s:i,s:I,s:s,s:I}", "id",
                                                    binary(k->id, k->id_len), "key",
                                                    binary(k->key, k->key_len), "alg", k->alg,
                                                    "counter", (json_int_t)k->counter, "label",
                                                    k->label, "since", (json_int_t)k->since_ms));
    }
    return list;
}

static json_t *tokens_json(const struct fb_account *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->token_count; i++) {
        const struct fb_token *t = &a->tokens[i];
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:I,s:I}", "hash", t->hash, "label", t->label, "role",
                            fb_role_name(t->role), "since", (json_int_t)t->since_ms, "until",
                            (json_int_t)t->until_ms));
    }
    return list;
}

static json_t *to_json(const struct fb_account *a)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:I,s:I}", "name", a->name, "handle", a->handle, "role",
                          fb_role_name(a->role), "since", (json_int_t)a->since_ms, "changed",
                          (json_int_t)a->changed_ms);
    if (o == NULL) {
        return NULL;
    }
    if (a->is_removed) {
        (void)json_object_set_new(o, "removed", json_true());
        return o;
    }
    json_t *recovery = json_array();
    for (size_t i = 0; i < a->recovery_count; i++) {
        (void)json_array_append_new(recovery, json_string(a->recovery[i]));
    }
    (void)json_object_set_new(o, "off", json_boolean(a->is_off));
    (void)json_object_set_new(o, "password", json_string(a->password));
    (void)json_object_set_new(o, "change", json_boolean(a->must_change));
    (void)json_object_set_new(o, "totp", json_string(a->totp));
    (void)json_object_set_new(o, "recovery", recovery);
    (void)json_object_set_new(o, "passkeys", passkeys_json(a));
    (void)json_object_set_new(o, "tokens", tokens_json(a));
    (void)json_object_set_new(o, "oidc", json_string(a->oidc));
    (void)json_object_set_new(o, "language", json_string(a->language));
    return o;
}

enum fb_status fb_account_encode(const struct fb_account *a, struct fb_buf *out)
{
    json_t *o = to_json(a);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    enum fb_status s = text != NULL ? fb_buf_add_str(out, text) : FB_NO_SPACE;
    if (text != NULL) {
        fb_wipe(text, strlen(text));
        free(text);
    }
    json_decref(o);
    return s;
}

/* ---- in: nothing that was stored is believed to be as we wrote it ---- */

static bool take_text(const json_t *o, const char *key, char *out, size_t size)
{
    const json_t *value = json_object_get(o, key);
    if (value == NULL) {
        out[0] = '\0';
        return true;
    }
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= size || strlen(json_string_value(value)) != len) {
        return false;
    }
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

static bool take_hex(const json_t *o, const char *key, char *out, size_t size, bool may_be_empty)
{
    return take_text(o, key, out, size) && strspn(out, "0123456789abcdef") == strlen(out) &&
           (strlen(out) == size - 1 || (may_be_empty && out[0] == '\0'));
}

static bool take_number(const json_t *o, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(o, key);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0;
}

static bool take_binary(const json_t *o, const char *key, uint8_t *out, size_t size, size_t *len_r)
{
    const json_t *value = json_object_get(o, key);
    struct fb_buf bytes;
    fb_buf_init(&bytes, size);
    bool is_good =
        json_is_string(value) &&
        fb_base64url_decode(fb_slice_of(json_string_value(value), json_string_length(value)),
                            &bytes) == FB_OK &&
        bytes.len > 0;
    if (is_good) {
        memcpy(out, bytes.ptr, bytes.len);
        *len_r = bytes.len;
    }
    fb_buf_deinit(&bytes);
    return is_good;
}

static bool take_passkeys(const json_t *list, struct fb_account *a)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count && i < FB_ACCOUNT_PASSKEYS; i++) {
        const json_t *o = json_array_get(list, i);
        struct fb_passkey *k = &a->passkeys[i];
        int64_t counter = 0;
        k->alg = (int)json_integer_value(json_object_get(o, "alg"));
        if (!take_binary(o, "id", k->id, sizeof k->id, &k->id_len) ||
            !take_binary(o, "key", k->key, sizeof k->key, &k->key_len) ||
            !take_number(o, "counter", &counter) || counter > UINT32_MAX ||
            !take_text(o, "label", k->label, sizeof k->label) ||
            !take_number(o, "since", &k->since_ms)) {
            return false;
        }
        k->counter = (uint32_t)counter;
        a->passkey_count = i + 1;
    }
    return count <= FB_ACCOUNT_PASSKEYS;
}

static bool take_tokens(const json_t *list, struct fb_account *a)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count && i < FB_ACCOUNT_TOKENS; i++) {
        const json_t *o = json_array_get(list, i);
        struct fb_token *t = &a->tokens[i];
        char role[16];
        if (!take_hex(o, "hash", t->hash, sizeof t->hash, false) ||
            !take_text(o, "label", t->label, sizeof t->label) ||
            !take_text(o, "role", role, sizeof role) || !take_number(o, "since", &t->since_ms) ||
            !take_number(o, "until", &t->until_ms)) {
            return false;
        }
        t->role = fb_role_of(role);
        a->token_count = i + 1;
    }
    return count <= FB_ACCOUNT_TOKENS;
}

static bool take_recovery(const json_t *list, struct fb_account *a)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count && i < FB_ACCOUNT_RECOVERY; i++) {
        const char *hash = json_string_value(json_array_get(list, i));
        if (hash == NULL || strlen(hash) != FB_ACCOUNT_HASH - 1) {
            return false;
        }
        memcpy(a->recovery[i], hash, FB_ACCOUNT_HASH);
        a->recovery_count = i + 1;
    }
    return count <= FB_ACCOUNT_RECOVERY;
}

static bool take_all(const json_t *o, struct fb_account *a)
{
    char role[16], name[FB_ACCOUNT_NAME];
    if (!take_text(o, "name", name, sizeof name) || !fb_account_name(name, a->name) ||
        strcmp(name, a->name) != 0 || !take_hex(o, "handle", a->handle, sizeof a->handle, false) ||
        !take_text(o, "role", role, sizeof role) || !take_number(o, "since", &a->since_ms) ||
        !take_number(o, "changed", &a->changed_ms)) {
        return false;
    }
    a->role = fb_role_of(role);
    a->is_removed = json_is_true(json_object_get(o, "removed"));
    a->is_off = json_is_true(json_object_get(o, "off"));
    a->must_change = json_is_true(json_object_get(o, "change"));
    return take_text(o, "password", a->password, sizeof a->password) &&
           take_text(o, "totp", a->totp, sizeof a->totp) &&
           take_hex(o, "oidc", a->oidc, sizeof a->oidc, true) &&
           take_text(o, "language", a->language, sizeof a->language) &&
           take_recovery(json_object_get(o, "recovery"), a) &&
           take_passkeys(json_object_get(o, "passkeys"), a) &&
           take_tokens(json_object_get(o, "tokens"), a);
}

enum fb_status fb_account_decode(struct fb_slice text, struct fb_account **account_r,
                                 struct fb_error *err)
{
    json_t *o = text.len <= MAX_TEXT
                    ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    struct fb_account *a = fb_xcalloc(1, sizeof *a);
    bool is_good = json_is_object(o) && take_all(o, a);
    json_decref(o);
    if (!is_good) {
        fb_account_free(&a);
        return fb_error_set(err, FB_CORRUPT, "an account that cannot be read");
    }
    *account_r = a;
    return FB_OK;
}
