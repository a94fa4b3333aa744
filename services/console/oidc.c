/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing in at an OpenID Connect provider: authorization code with PKCE (RFC 7636, S256), state and nonce, which this
 * browser alone has (cookie) and which count once.  Whoever comes back gets an account of his own, known by issuer and
 * subject: a name that the provider tells never opens a local account. */
#include "common/accounts/keys.h"
#include "common/id.h"
#include "services/console/oidc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "services/console/accounts.h"

#define CALLBACK "/login/oidc/callback"
#define LOCATION 4096

/* ---- there ---- */

static void redirect(struct call *c, const char *url)
{
    fb_http_answer_replace(c->answer, "Location", "%s", url);
    answer_empty(c, 303);
}

static void fail(struct call *c, const char *reason)
{
    char url[80];
    (void)snprintf(url, sizeof url, "/login?error=%s", reason);
    redirect(c, url);
}

static void challenge_of(const char *verifier, struct fb_buf *out)
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(verifier, strlen(verifier), digest);
    FB_ASSERT(fb_base64url_encode(fb_slice_of(digest, sizeof digest), out) == FB_OK);
}

static enum fb_status add_query(struct fb_buf *url, const char *name, const char *value,
                                bool is_first)
{
    enum fb_status s = fb_buf_printf(url, "%s%s=", is_first ? "" : "&", name);
    return s == FB_OK ? oidc_add_escaped(url, value) : s;
}

struct secrets {
    char state[FB_RANDOM_TEXT], nonce[FB_RANDOM_TEXT], verifier[FB_RANDOM_TEXT];
};

static enum fb_status make_url(const struct call *c, const char *endpoint, const struct secrets *k,
                               struct fb_buf *url)
{
    char back[400];
    struct fb_buf challenge;
    fb_buf_init(&challenge, 64);
    challenge_of(k->verifier, &challenge);
    (void)snprintf(back, sizeof back, "%s" CALLBACK, c->console->origin);
    const char *const fields[][2] = {{"response_type", "code"},
                                     {"client_id", oidc_client_id(c->console->accounts->oidc)},
                                     {"redirect_uri", back},
                                     {"scope", "openid profile email"},
                                     {"state", k->state},
                                     {"nonce", k->nonce},
                                     {"code_challenge", fb_buf_str(&challenge)},
                                     {"code_challenge_method", "S256"}};
    enum fb_status s =
        fb_buf_printf(url, "%s%c", endpoint, strchr(endpoint, '?') != NULL ? '&' : '?');
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && s == FB_OK; i++) {
        s = add_query(url, fields[i][0], fields[i][1], i == 0);
    }
    fb_buf_deinit(&challenge);
    return s;
}

void oidc_begin(struct call *c)
{
    struct fb_error err = {0};
    char endpoint[OIDC_URL], cookie[FB_RANDOM_TEXT], name[FB_ACCOUNT_HASH];
    struct secrets k;
    struct fb_buf url;
    struct oidc *o = c->console->accounts->oidc;
    if (o == NULL) {
        answer_problem(c, 404, "not-found", "組織の認証基盤は設定されていません。",
                       "No OpenID Connect provider is set up.");
        return;
    }
    if (!account_take_network(c)) {
        return;
    }
    if (oidc_authorization_url(o, endpoint, &err) != FB_OK) {
        fb_log(FB_WARN, "console: %s", err.text);
        fail(c, "oidc-unavailable");
        return;
    }
    fb_random_text(k.state);
    fb_random_text(k.nonce);
    fb_random_text(k.verifier);
    fb_random_text(cookie);
    fb_token_hash(cookie, name);
    fb_buf_init(&url, LOCATION);
    json_t *what = json_pack("{s:s,s:s,s:s,s:s}", "kind", "oidc", "state", k.state, "nonce",
                             k.nonce, "verifier", k.verifier);
    enum fb_status s = begin_put(c->redis, name, what, &err);
    json_decref(what);
    if (s != FB_OK || make_url(c, endpoint, &k, &url) != FB_OK) {
        fb_log(FB_WARN, "console: %s", err.text);
        fail(c, "oidc-unavailable");
    } else {
        cookie_set(c, COOKIE_BEGIN, cookie, BEGIN_MS / 1000);
        redirect(c, fb_buf_str(&url));
    }
    fb_buf_deinit(&url);
    fb_wipe(&k, sizeof k);
}

/* ---- and back ---- */

/* What this browser began, if the answer is to it; used up by that. */
static json_t *take_begun(struct call *c)
{
    struct fb_error err = {0};
    char name[FB_ACCOUNT_HASH];
    json_t *what = NULL;
    const char *cookie = cookie_get(c, COOKIE_BEGIN);
    const char *state = fb_http_query(c->request, "state");
    cookie_set(c, COOKIE_BEGIN, "", 0);
    if (!fb_random_text_is_valid(cookie) || !fb_random_text_is_valid(state)) {
        return NULL;
    }
    fb_token_hash(cookie, name);
    if (begin_take(c->redis, name, &what, &err) != FB_OK) {
        return NULL;
    }
    const char *kind = json_string_value(json_object_get(what, "kind"));
    const char *ours = json_string_value(json_object_get(what, "state"));
    bool is_ours = kind != NULL && ours != NULL && strcmp(kind, "oidc") == 0 &&
                   strlen(ours) == strlen(state) && fb_equal_secret(ours, state, strlen(ours));
    if (!is_ours) {
        json_decref(what);
        what = NULL;
    }
    return what;
}

/* The role by the claim: a text, or the greatest of a list. */
static enum fb_role role_of(const struct call *c, const json_t *claims)
{
    const struct fb_config *config = c->console->config;
    const json_t *value = json_object_get(claims, config->console.oidc_role_claim);
    enum fb_role role = fb_role_of(json_string_value(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        enum fb_role one = fb_role_of(json_string_value(json_array_get(value, i)));
        role = one > role ? one : role;
    }
    return role == FB_ROLE_NONE ? fb_role_of(config->console.oidc_role_default) : role;
}

/* SHA-256 of issuer and subject: what the account is known by. */
static void subject_of(const struct call *c, const json_t *claims, char out_r[FB_ACCOUNT_HASH])
{
    char text[OIDC_URL + 300];
    (void)snprintf(text, sizeof text, "%s\n%s", oidc_issuer(c->console->accounts->oidc),
                   json_string_value(json_object_get(claims, "sub")));
    fb_token_hash(text, out_r);
}

/* The name that it gets: the mail address when the provider has verified it, else what he is called there. */
static void name_of(const json_t *claims, const char *subject, bool is_taken,
                    char out_r[FB_ACCOUNT_NAME])
{
    const char *email = json_string_value(json_object_get(claims, "email"));
    const char *called = json_string_value(json_object_get(claims, "preferred_username"));
    bool is_verified = json_is_true(json_object_get(claims, "email_verified"));
    char name[FB_ACCOUNT_NAME];
    bool has_name = (is_verified && email != NULL && fb_account_name(email, name)) ||
                    (called != NULL && fb_account_name(called, name)) ||
                    fb_account_name(json_string_value(json_object_get(claims, "sub")), name);
    if (has_name && !is_taken) {
        memcpy(out_r, name, FB_ACCOUNT_NAME);
    } else {
        (void)snprintf(out_r, FB_ACCOUNT_NAME, "oidc-%.16s", subject);
    }
}

struct arrival {
    const char *subject;
    enum fb_role role;
    bool is_other_role;
};

static enum fb_status arrive(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct arrival *n = ctx;
    if (strcmp(a->oidc, n->subject) != 0 || a->is_off) {
        return fb_error_set(err, FB_DENIED, "this account is switched off");
    }
    n->is_other_role = a->role != n->role;
    a->role = n->role;
    return FB_OK;
}

static enum fb_status find(struct call *c, const char *subject, char name_r[FB_ACCOUNT_NAME],
                           struct fb_error *err)
{
    struct fb_accounts list;
    enum fb_status s = fb_accounts_list(c->redis, false, &list, err);
    if (s != FB_OK) {
        return s;
    }
    s = FB_NOT_FOUND;
    for (size_t i = 0; i < list.count && s == FB_NOT_FOUND; i++) {
        if (strcmp(list.items[i]->oidc, subject) == 0) {
            memcpy(name_r, list.items[i]->name, FB_ACCOUNT_NAME);
            s = FB_OK;
        }
    }
    fb_accounts_deinit(&list);
    return s;
}

static enum fb_status make(struct call *c, const json_t *claims, const struct arrival *n,
                           struct fb_account **account_r, struct fb_error *err)
{
    enum fb_status s = FB_EXISTS;
    for (int i = 0; i < 2 && s == FB_EXISTS; i++) {
        char name[FB_ACCOUNT_NAME];
        name_of(claims, n->subject, i > 0, name);
        struct fb_account *a = fb_account_new(name, n->role);
        memcpy(a->oidc, n->subject, sizeof a->oidc);
        s = fb_account_put(c->redis, a, false, err);
        if (s == FB_OK) {
            *account_r = a;
        } else {
            fb_account_free(&a);
        }
    }
    return s;
}

/* The account of who came back, made or with the role that he has there now. */
static enum fb_status welcome(struct call *c, const json_t *claims, struct fb_account **account_r,
                              struct fb_error *err)
{
    char subject[FB_ACCOUNT_HASH], name[FB_ACCOUNT_NAME], object[FB_ACCOUNT_NAME + 8];
    struct arrival n = {.subject = subject, .role = role_of(c, claims)};
    subject_of(c, claims, subject);
    enum fb_status s = find(c, subject, name, err);
    bool is_new = s == FB_NOT_FOUND;
    if (n.role == FB_ROLE_NONE) {
        /* Who lost his role there has none here either, and his tokens end with it. */
        if (s == FB_OK) {
            s = account_change(c->redis, name, arrive, &n, false, NULL, err);
        }
        return s == FB_OK || s == FB_NOT_FOUND
                   ? fb_error_set(err, FB_DENIED, "the provider gives no role")
                   : s;
    }
    if (is_new) {
        s = make(c, claims, &n, account_r, err);
    } else if (s == FB_OK) {
        s = account_change(c->redis, name, arrive, &n, false, account_r, err);
    }
    if (s == FB_OK && n.is_other_role) {
        s = fb_account_end_sessions(c->redis, (*account_r)->handle, "", err);
    }
    if (s == FB_OK && (is_new || n.is_other_role)) {
        (void)snprintf(object, sizeof object, "user %s", (*account_r)->name);
        account_note(c, is_new ? "user.create" : "user.change", object, NULL,
                     account_public(*account_r));
    }
    return s;
}

/* A page that goes on by itself: the browser sends a strict cookie again only where our own page leads. */
static void go_home(struct call *c)
{
    static const char page[] =
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" "
        "content=\"0;url=/\"><title>Fumibako</title><p><a href=\"/\">Fumibako</a></p></html>\n";
    fb_buf_clear(&c->answer->body);
    c->answer->status = fb_buf_add_str(&c->answer->body, page) == FB_OK ? 200 : 500;
    fb_http_answer_replace(c->answer, "Content-Type", "text/html; charset=utf-8");
}

static enum fb_status admit(struct call *c, const json_t *begun, const char *code,
                            struct fb_error *err)
{
    char back[400];
    json_t *claims = NULL;
    struct fb_account *a = NULL;
    (void)snprintf(back, sizeof back, "%s" CALLBACK, c->console->origin);
    const struct oidc_answer answer = {.code = code,
                                       .verifier =
                                           json_string_value(json_object_get(begun, "verifier")),
                                       .nonce = json_string_value(json_object_get(begun, "nonce")),
                                       .redirect_uri = back};
    enum fb_status s = answer.verifier != NULL && answer.nonce != NULL
                           ? oidc_exchange(c->console->accounts->oidc, &answer, &claims, err)
                           : fb_error_set(err, FB_DENIED, "nothing was begun");
    if (s == FB_OK) {
        s = welcome(c, claims, &a, err);
    }
    if (s == FB_OK) { /* never in place of a session that is there: it may be somebody else's */
        c->who = (struct console_who){.by = CONSOLE_BY_NOBODY};
        s = account_sign_in(c, a, "oidc", CONSOLE_NEEDS_NOTHING, err);
    }
    fb_account_free(&a);
    json_decref(claims);
    return s;
}

void oidc_callback(struct call *c)
{
    struct fb_error err = {0};
    const char *code = fb_http_query(c->request, "code");
    if (c->console->accounts->oidc == NULL) {
        answer_problem(c, 404, "not-found", "組織の認証基盤は設定されていません。",
                       "No OpenID Connect provider is set up.");
        return;
    }
    if (!account_take_network(c)) {
        return;
    }
    json_t *begun = take_begun(c);
    if (begun == NULL) {
        fail(c, "oidc-start-again");
    } else if (code == NULL || code[0] == '\0') {
        fail(
            c,
            "oidc-refused"); /* what the provider says instead is not shown: anybody could write it */
    } else {
        enum fb_status s = admit(c, begun, code, &err);
        if (s == FB_OK) {
            go_home(c);
        } else {
            fb_log(FB_WARN, "console: a sign-in by OpenID Connect was refused: %s", err.text);
            fail(c, s == FB_DENIED ? "oidc-refused" : "oidc-unavailable");
        }
    }
    json_decref(begun);
}
