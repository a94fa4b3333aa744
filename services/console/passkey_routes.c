/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing in with a passkey, and one's own passkeys.  Each ceremony has a challenge of its own, which is taken by its
 * first answer; it is bound to the browser by a cookie, and to the session where there is one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/keys.h"
#include "common/id.h"
#include "common/log.h"
#include "services/console/accounts.h"

#define TIMEOUT_MS 300000
#define RP_ID      256
#define ORIGIN     320

/* ---- a ceremony ---- */

struct ceremony {
    char origin[ORIGIN], rp_id[RP_ID], challenge[PASSKEY_CHALLENGE];
    struct passkey_expected expected;
};

/* Where passkeys are possible at all; false: answered. */
static bool set_site(struct call *c, struct ceremony *k)
{
    if (!account_origin(c, k->origin, sizeof k->origin) ||
        !passkey_rp_id(k->origin, k->rp_id, sizeof k->rp_id)) {
        answer_problem(c, 409, "no-passkeys",
                       "パスキーは、IP アドレスではなくホスト名で開いた画面でのみ使えます。",
                       "Passkeys need the console to be opened by a host name, not an address.");
        return false;
    }
    k->expected = (struct passkey_expected){
        .challenge = k->challenge, .origin = k->origin, .rp_id = k->rp_id};
    return true;
}

/* Makes the challenge, and remembers it for this browser. */
static enum fb_status begin(struct call *c, struct ceremony *k, const char *kind,
                            struct fb_error *err)
{
    char cookie[FB_RANDOM_TEXT], name[FB_ACCOUNT_HASH];
    fb_random_text(k->challenge);
    fb_random_text(cookie);
    fb_token_hash(cookie, name);
    json_t *what = json_pack("{s:s,s:s,s:s}", "kind", kind, "challenge", k->challenge, "session",
                             c->who.session);
    enum fb_status s = begin_put(c->redis, name, what, err);
    json_decref(what);
    if (s == FB_OK) {
        cookie_set(c, COOKIE_BEGIN, cookie, BEGIN_MS / 1000);
    }
    return s;
}

/* What was begun in this browser and session; it is used up by that.  False: answered. */
static bool finish(struct call *c, struct ceremony *k, const char *kind)
{
    struct fb_error err = {0};
    char name[FB_ACCOUNT_HASH];
    json_t *what = NULL;
    const char *cookie = cookie_get(c, COOKIE_BEGIN);
    if (!set_site(c, k)) {
        return false;
    }
    enum fb_status s = FB_NOT_FOUND;
    if (fb_random_text_is_valid(cookie)) {
        fb_token_hash(cookie, name);
        s = begin_take(c->redis, name, &what, &err);
    }
    const char *was = json_string_value(json_object_get(what, "kind"));
    const char *session = json_string_value(json_object_get(what, "session"));
    const char *challenge = json_string_value(json_object_get(what, "challenge"));
    bool is_ours = s == FB_OK && was != NULL && session != NULL && challenge != NULL &&
                   strcmp(was, kind) == 0 && strcmp(session, c->who.session) == 0 &&
                   strlen(challenge) == PASSKEY_CHALLENGE - 1;
    if (is_ours) {
        memcpy(k->challenge, challenge, PASSKEY_CHALLENGE);
    }
    json_decref(what);
    cookie_set(c, COOKIE_BEGIN, "", 0);
    if (s != FB_OK && s != FB_NOT_FOUND) {
        answer_error(c, &err);
        return false;
    }
    if (!is_ours) {
        answer_problem(c, 409, "start-again", "時間切れです。もう一度やり直してください。",
                       "This took too long: please start again.");
    }
    return is_ours;
}

static json_t *descriptors(const struct fb_account *a)
{
    json_t *list = json_array();
    for (size_t i = 0; a != NULL && i < a->passkey_count; i++) {
        struct fb_buf id;
        fb_buf_init(&id, 2 * FB_ACCOUNT_KEY_ID);
        if (fb_base64url_encode(fb_slice_of(a->passkeys[i].id, a->passkeys[i].id_len), &id) ==
            FB_OK) {
            (void)json_array_append_new(
                list, json_pack("{s:s,s:s}", "type", "public-key", "id", fb_buf_str(&id)));
        }
        fb_buf_deinit(&id);
    }
    return list;
}

/* ---- signing in ---- */

/* A browser with a session shows a passkey of its account; one without shows whichever it has.  False: answered. */
static bool find_session(struct call *c, struct fb_account **account_r)
{
    struct fb_error err = {0};
    enum fb_status s = console_authenticate(c, &c->who, &err);
    if (s == FB_DENIED || account_is_foreign(c) || c->who.by == CONSOLE_BY_TOKEN) {
        answer_problem(c, 403, "csrf", "ページを再読み込みしてから、もう一度お試しください。",
                       "Reload the page and try again.");
        return false;
    }
    if (s == FB_OK) {
        s = fb_account_get(c->redis, c->who.user, account_r, &err);
    }
    if (s != FB_OK && s != FB_NOT_FOUND) {
        answer_error(c, &err);
        return false;
    }
    return true;
}

void session_passkey_options(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    struct ceremony k;
    if (!find_session(c, &a) || !account_take_network(c) || !set_site(c, &k)) {
        fb_account_free(&a);
        return;
    }
    if (begin(c, &k, "get", &err) == FB_OK) {
        answer_json(c, 200,
                    json_pack("{s:s,s:s,s:i,s:s,s:o}", "challenge", k.challenge, "rpId", k.rp_id,
                              "timeout", TIMEOUT_MS, "userVerification", "required",
                              "allowCredentials", descriptors(a)));
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}

struct used {
    const struct passkey_used *used;
    const struct ceremony *ceremony;
    const json_t *credential;
};

/* The check is part of the change: of two answers with the same count, one is refused. */
static enum fb_status use_key(struct fb_account *a, void *ctx, struct fb_error *err)
{
    const struct used *u = ctx;
    if (a->is_off || a->role == FB_ROLE_NONE) {
        return fb_error_set(err, FB_DENIED, "the account is switched off");
    }
    for (size_t i = 0; i < a->passkey_count; i++) {
        struct fb_passkey *p = &a->passkeys[i];
        if (p->id_len == u->used->id_len && memcmp(p->id, u->used->id, p->id_len) == 0) {
            return passkey_verify(u->credential, &u->ceremony->expected, p, &p->counter, err);
        }
    }
    return fb_error_set(err, FB_DENIED, "no such passkey");
}

static enum fb_status find_account(struct call *c, const struct passkey_used *used,
                                   const struct fb_account *mine, struct fb_account **account_r,
                                   struct fb_error *err)
{
    if (mine != NULL) {
        if (used->handle[0] != '\0' && strcmp(used->handle, mine->handle) != 0) {
            return fb_error_set(err, FB_DENIED, "a passkey of somebody else");
        }
        return fb_account_get(c->redis, mine->name, account_r, err);
    }
    if (used->handle[0] == '\0') {
        return fb_error_set(err, FB_DENIED, "a passkey that does not say whose it is");
    }
    return fb_account_by_handle(c->redis, used->handle, account_r, err);
}

static void refuse(struct call *c, const struct fb_error *err)
{
    if (err->status != FB_DENIED && err->status != FB_NOT_FOUND) {
        answer_error(c, err);
        return;
    }
    fb_log(FB_INFO, "console: a passkey was refused: %s", err->text);
    answer_problem(c, 401, "wrong-credentials",
                   "サインインできませんでした。別のパスキーまたはパスワードをお試しください。",
                   "This did not work. Try another passkey, or your password.");
}

static bool has_credential(struct call *c, const json_t *credential)
{
    if (!json_is_object(credential)) {
        answer_invalid(c, "credential", "パスキーの応答を指定してください。",
                       "credential is what the passkey answered.");
    }
    return json_is_object(credential);
}

void session_passkey(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *mine = NULL, *a = NULL, *now = NULL;
    struct ceremony k;
    struct passkey_used used;
    const json_t *credential = json_object_get(c->body, "credential");
    if (!find_session(c, &mine) || !has_credential(c, credential) || !account_take_network(c) ||
        !finish(c, &k, "get")) {
        fb_account_free(&mine);
        return;
    }
    enum fb_status s = passkey_read_used(credential, &used, &err);
    if (s == FB_OK) {
        s = find_account(c, &used, mine, &a, &err);
    }
    if (s == FB_OK) {
        struct used u = {.used = &used, .ceremony = &k, .credential = credential};
        s = account_change(c->redis, a->name, use_key, &u, false, &now, &err);
    }
    if (s == FB_OK) {
        /* A password that somebody else gave still has to be changed where it was used. */
        bool by_password = strcmp(c->who.method, "password") == 0;
        s = account_sign_in(c, now, by_password ? "password" : "passkey",
                            account_need_after_proof(now, by_password), &err);
    }
    if (s == FB_OK) {
        account_answer_session(c, now, NULL);
    } else {
        refuse(c, &err);
    }
    fb_account_free(&now);
    fb_account_free(&a);
    fb_account_free(&mine);
}

/* ---- one's own ---- */

static json_t *creation(const struct ceremony *k, const struct fb_account *a)
{
    uint8_t raw[(FB_ACCOUNT_HANDLE - 1) / 2];
    struct fb_buf id;
    fb_buf_init(&id, 64);
    json_t *o = NULL;
    if (fb_unhex(a->handle, raw, sizeof raw) &&
        fb_base64url_encode(fb_slice_of(raw, sizeof raw), &id) == FB_OK) {
        o = json_pack("{s:{s:s,s:s},s:{s:s,s:s,s:s},s:s,s:[{s:s,s:i},{s:s,s:i},{s:s,s:i}],s:i,s:o,"
                      "s:{s:s,s:b,s:s},s:s}",
                      "rp", "id", k->rp_id, "name", "Fumibako", "user", "id", fb_buf_str(&id),
                      "name", a->name, "displayName", a->name, "challenge", k->challenge,
                      "pubKeyCredParams", "type", "public-key", "alg", -7, "type", "public-key",
                      "alg", -8, "type", "public-key", "alg", -257, "timeout", TIMEOUT_MS,
                      "excludeCredentials", descriptors(a), "authenticatorSelection", "residentKey",
                      "required", "requireResidentKey", true, "userVerification", "required",
                      "attestation", "none");
    }
    fb_buf_deinit(&id);
    return o;
}

void account_passkey_options(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    struct ceremony k;
    if (!account_may_change(c, CONSOLE_NEEDS_ENROL, true) || !set_site(c, &k) ||
        !account_mine(c, &a)) {
        return;
    }
    if (begin(c, &k, "create", &err) == FB_OK) {
        answer_json(c, 200, creation(&k, a));
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}

struct added {
    struct call *call;
    struct fb_passkey key;
    json_t *recovery;
};

static enum fb_status add_key(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct added *n = ctx;
    for (size_t i = 0; i < a->passkey_count; i++) {
        if (a->passkeys[i].id_len == n->key.id_len &&
            memcmp(a->passkeys[i].id, n->key.id, n->key.id_len) == 0) {
            return fb_error_set(err, FB_EXISTS, "this passkey is there already");
        }
    }
    if (a->passkey_count == FB_ACCOUNT_PASSKEYS) {
        return fb_error_set(err, FB_DENIED, "there are %d passkeys already: remove one first",
                            FB_ACCOUNT_PASSKEYS);
    }
    a->passkeys[a->passkey_count++] = n->key;
    if (a->recovery_count == 0 || n->recovery != NULL) {
        json_decref(n->recovery);
        n->recovery = account_new_recovery(n->call, a);
    }
    return FB_OK;
}

void account_passkey_add(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *now = NULL;
    struct ceremony k;
    struct added n = {.call = c};
    const char *label = call_text(c, "label");
    if (!account_may_change(c, CONSOLE_NEEDS_ENROL, true) || !finish(c, &k, "create")) {
        return;
    }
    if (passkey_verify_new(json_object_get(c->body, "credential"), &k.expected, &n.key, &err) !=
        FB_OK) {
        fb_log(FB_INFO, "console: a new passkey was refused: %s", err.text);
        answer_invalid(c, "credential", "このパスキーは登録できません。別のものをお試しください。",
                       "This passkey cannot be added. Try another one.");
        return;
    }
    n.key.since_ms = fb_now_ms();
    fb_account_label(label != NULL && label[0] != '\0' ? label : "passkey", n.key.label);
    if (account_change(c->redis, c->who.user, add_key, &n, false, &now, &err) == FB_OK) {
        account_enrolled(c, now, "account.passkey.add",
                         json_pack("{s:o}", "label", fb_json_text(n.key.label)), n.recovery);
    } else {
        json_decref(n.recovery);
        if (err.status == FB_DENIED) {
            answer_problem(
                c, 409, "refused",
                "パスキーの数が上限に達しています。先に不要なパスキーを削除してください。",
                "There are as many passkeys as may be: remove one first.");
        } else {
            answer_error(c, &err);
        }
    }
    fb_account_free(&now);
}

static enum fb_status drop_key(struct fb_account *a, void *ctx, struct fb_error *err)
{
    return fb_account_drop_passkey(a, ctx, err);
}

void account_passkey_remove(struct call *c)
{
    struct fb_error err = {0};
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, true)) {
        return;
    }
    enum fb_status s =
        account_change(c->redis, c->who.user, drop_key, c->params[0], false, NULL, &err);
    if (s == FB_OK) {
        account_note(c, "account.passkey.remove", "account", json_pack("{s:s}", "id", c->params[0]),
                     NULL);
        answer_empty(c, 204);
    } else if (s == FB_DENIED) {
        answer_problem(
            c, 409, "only-factor",
            "二段階認証がなくなるため削除できません。先に認証アプリまたは別のパスキーを登録して"
            "ください。",
            "It is your only second factor: set up an app or another passkey first.");
    } else {
        answer_error(c, &err);
    }
}
