/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing in with a password and an authenticator app, and signing out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/keys.h"
#include "common/id.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/totp/totp.h"
#include "services/console/accounts.h"

#define NET_WINDOW_MS 600000
#define NET_MOST                                                                                   \
    100 /* passwords, codes and passkeys from one network in that time: offices share one */
#define THROTTLE_NAME (FB_ACCOUNT_NAME + ACCOUNT_KNOWN + 2)

static void count(const char *method, const char *outcome)
{
    char labels[80];
    (void)snprintf(labels, sizeof labels, "method=\"%s\",outcome=\"%s\"", method, outcome);
    fb_metric_add("fumibako_console_signins_total", labels, 1);
}

/* ---- what a session says of itself ---- */

static json_t *session_json(const struct call *c, const struct fb_account *a)
{
    bool has_oidc = c->console->accounts->oidc != NULL;
    if (a == NULL) {
        return json_pack("{s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:b}", "user", "role", "csrf", "language",
                         "needs", "method", "fresh_until", "oidc", has_oidc);
    }
    const char *need = session_need_name(c->who.need);
    return json_pack(
        "{s:s,s:s,s:o,s:o,s:o,s:s,s:o,s:b}", "user", a->name, "role", fb_role_name(c->who.role),
        "csrf", c->who.csrf[0] != '\0' ? json_string(c->who.csrf) : json_null(), "language",
        a->language[0] != '\0' ? json_string(a->language) : json_null(), "needs",
        need[0] != '\0' ? json_string(need) : json_null(), "method", c->who.method, "fresh_until",
        c->who.by == CONSOLE_BY_SESSION ? call_json_time(c->who.proved_ms + ACCOUNT_FRESH_MS)
                                        : json_null(),
        "oidc", has_oidc);
}

void account_answer_session(struct call *c, const struct fb_account *a, json_t *recovery)
{
    json_t *o = session_json(c, a);
    if (recovery != NULL) {
        (void)json_object_set_new(o, "recovery", recovery);
    }
    answer_json(c, 200, o);
}

void session_show(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    enum fb_status s = console_authenticate(c, &c->who, &err);
    if (s == FB_OK) {
        s = fb_account_get(c->redis, c->who.user, &a, &err);
    }
    if (s != FB_OK && s != FB_NOT_FOUND) {
        answer_error(c, &err);
        return;
    }
    account_answer_session(c, s == FB_OK ? a : NULL, NULL);
    fb_account_free(&a);
}

/* ---- a new session ---- */

enum console_need account_need_after_proof(const struct fb_account *a, bool by_password)
{
    return by_password && a->must_change ? CONSOLE_NEEDS_PASSWORD : CONSOLE_NEEDS_NOTHING;
}

/* The session that the call came with goes on in the new one: its end stays where it was. */
static enum fb_status fill_session(struct call *c, const struct fb_account *a, struct session *s,
                                   struct fb_error *err)
{
    const struct fb_config *config = c->console->config;
    struct session old;
    struct fb_account *owner = NULL;
    const char *agent = fb_http_header(c->request, "User-Agent");
    s->since_ms = s->proved_ms;
    if (c->who.session[0] != '\0') {
        enum fb_status status =
            session_get(c->redis, c->who.session, config->console.session_idle_ms, s->proved_ms,
                        &old, &owner, err);
        if (status == FB_OK && strcmp(old.handle, a->handle) == 0) {
            s->since_ms = old.since_ms;
        }
        fb_account_free(&owner);
        if (status != FB_OK && status != FB_NOT_FOUND) {
            return status;
        }
    }
    s->until_ms = s->since_ms + config->console.session_max_ms;
    (void)snprintf(s->user, sizeof s->user, "%s", a->name);
    (void)snprintf(s->handle, sizeof s->handle, "%s", a->handle);
    fb_net_address_text(&c->client, s->address, sizeof s->address);
    for (size_t i = 0; agent != NULL && agent[i] != '\0' && i < sizeof s->agent - 1; i++) {
        s->agent[i] = (char)(agent[i] >= 0x20 && agent[i] < 0x7f ? agent[i] : '?');
    }
    return FB_OK;
}

enum fb_status account_sign_in(struct call *c, const struct fb_account *a, const char *method,
                               enum console_need need, struct fb_error *err)
{
    struct session s = {.need = need, .proved_ms = fb_now_ms()};
    char cookie[FB_RANDOM_TEXT], hash[FB_ACCOUNT_HASH];
    (void)snprintf(s.method, sizeof s.method, "%s", method);
    enum fb_status status = fill_session(c, a, &s, err);
    fb_random_text(cookie);
    fb_token_hash(cookie, hash);
    if (status == FB_OK) {
        status = session_put(c->redis, hash, c->who.session, &s,
                             c->console->config->console.session_idle_ms, s.proved_ms, err);
    }
    if (status == FB_OK) {
        c->who = (struct console_who){
            .role = a->role, .by = CONSOLE_BY_SESSION, .need = need, .proved_ms = s.proved_ms};
        memcpy(c->who.user, a->name, sizeof c->who.user);
        memcpy(c->who.session, hash, sizeof c->who.session);
        memcpy(c->who.method, s.method, sizeof c->who.method);
        account_hmac(c, "csrf", cookie, "", c->who.csrf);
        cookie_set(c, COOKIE_SESSION, cookie, -1);
        if (need == CONSOLE_NEEDS_NOTHING || need == CONSOLE_NEEDS_PASSWORD) {
            account_know_browser(c, a);
            count(method, "ok");
            account_note(c, "session.begin", "session", NULL, json_pack("{s:s}", "method", method));
        }
    }
    fb_wipe(cookie, sizeof cookie);
    return status;
}

/* ---- the password ---- */

static void wrong(struct call *c, const char *method, const char *user, bool is_new_lock)
{
    count(method, is_new_lock ? "locked" : "wrong");
    if (is_new_lock) {
        char object[FB_ACCOUNT_NAME + 8];
        (void)snprintf(object, sizeof object, "user %s", user);
        fb_log(FB_WARN, "console: too many failures of one account: it has to wait (%s)", method);
        account_note(c, "account.locked", object, NULL, json_pack("{s:s}", "method", method));
    }
    answer_problem(c, 401, "wrong-credentials",
                   "サインインできませんでした。入力した内容をご確認ください。",
                   "This did not work. Check what you entered.");
}

/* Whether this network may try once more; false: answered. */
bool account_take_network(struct call *c)
{
    struct fb_error err = {0};
    char network[46];
    struct fb_net_address net = c->client;
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    int64_t wait_ms = 0;
    if (memcmp(net.bytes, mapped, sizeof mapped) != 0) {
        memset(net.bytes + 8, 0, 8); /* an IPv6 client is its /64 */
    }
    fb_net_address_text(&net, network, sizeof network);
    enum fb_status s =
        fb_throttle_window(c->redis, "network", network, NET_WINDOW_MS, NET_MOST, &wait_ms, &err);
    if (s != FB_OK) {
        answer_error(c, &err);
    } else if (wait_ms > 0) {
        count("network", "refused");
        account_too_many(c, wait_ms);
    }
    return s == FB_OK && wait_ms == 0;
}

/* Takes a try; false: answered. */
static bool take_try(struct call *c, const char *kind, const char *name, bool *is_new_lock_r)
{
    struct fb_error err = {0};
    int64_t wait_ms = 0;
    enum fb_status s =
        fb_throttle_take(c->redis, kind, name, fb_now_ms(), &wait_ms, is_new_lock_r, &err);
    if (s != FB_OK) {
        answer_error(c, &err);
    } else if (wait_ms > 0) {
        count(kind, "refused");
        account_too_many(c, wait_ms);
    }
    return s == FB_OK && wait_ms == 0;
}

static enum fb_status set_hash(struct fb_account *a, void *ctx, struct fb_error *err)
{
    (void)err;
    memcpy(a->password, ctx, sizeof a->password);
    return FB_OK;
}

/* The cost was changed: the password that was just shown is hashed once more.  It is no matter when that fails. */
static void rehash(struct call *c, const char *user, const char *password)
{
    struct fb_error err = {0};
    char hash[FB_ACCOUNT_PASSWORD];
    enum fb_status s = fb_password_hash(password, &c->console->accounts->cost, hash, &err);
    if (s == FB_OK) {
        s = account_change(c->redis, user, set_hash, hash, false, NULL, &err);
    }
    if (s != FB_OK) {
        fb_log(FB_WARN, "console: a password was not hashed anew: %s", err.text);
    }
}

static void admit(struct call *c, const struct fb_account *a)
{
    struct fb_error err = {0};
    enum console_need need = a->totp[0] != '\0'     ? CONSOLE_NEEDS_TOTP
                             : a->passkey_count > 0 ? CONSOLE_NEEDS_PASSKEY
                                                    : CONSOLE_NEEDS_ENROL;
    if (account_sign_in(c, a, "password", need, &err) == FB_OK) {
        account_answer_session(c, a, NULL);
    } else {
        answer_error(c, &err);
    }
}

static void check_password(struct call *c, const char *user, struct fb_account *a,
                           const char *password)
{
    char name[THROTTLE_NAME];
    struct fb_error err = {0};
    bool is_new_lock = false, needs_rehash = false;
    account_throttle_name(c, user, a, name, sizeof name);
    if (!take_try(c, "password", name, &is_new_lock) || !account_hash_begin(c)) {
        return;
    }
    bool may = a != NULL && !a->is_off && a->role != FB_ROLE_NONE;
    bool is_right = fb_password_verify(may ? a->password : NULL, password,
                                       &c->console->accounts->cost, &needs_rehash);
    if (is_right && needs_rehash) {
        rehash(c, user, password);
    }
    account_hash_end(c);
    if (!is_right) {
        wrong(c, "password", user, is_new_lock);
    } else if (fb_throttle_clear(c->redis, "password", name, &err) == FB_OK) {
        admit(c, a);
    } else {
        answer_error(c, &err);
    }
}

/* The session that a browser has already ends with the new one; nobody else's cookie counts. */
static bool begin_anew(struct call *c)
{
    struct fb_error err = {0};
    struct console_who who = {.by = CONSOLE_BY_NOBODY};
    if (account_is_foreign(c)) {
        answer_problem(c, 403, "csrf", "ページを再読み込みしてから、もう一度お試しください。",
                       "Reload the page and try again.");
        return false;
    }
    enum fb_status s = console_authenticate(c, &who, &err);
    c->who = (struct console_who){.by = CONSOLE_BY_NOBODY};
    if (s == FB_OK && who.by == CONSOLE_BY_SESSION) {
        memcpy(c->who.session, who.session, sizeof c->who.session);
    }
    return true;
}

void session_begin(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    char user[FB_ACCOUNT_NAME] = "";
    const char *typed = call_text(c, "user");
    const char *password = call_text(c, "password");
    if (!begin_anew(c)) {
        return;
    }
    if (typed == NULL || password == NULL) {
        answer_invalid(c, typed == NULL ? "user" : "password",
                       "ユーザー名とパスワードを入力してください。", "Enter user and password.");
        return;
    }
    if (!account_take_network(c)) {
        return;
    }
    /* A name that cannot be goes the same way as one that is not there. */
    bool is_name = fb_account_name(typed, user);
    enum fb_status s = is_name ? fb_account_get(c->redis, user, &a, &err) : FB_NOT_FOUND;
    if (s == FB_OK || s == FB_NOT_FOUND) {
        check_password(c, is_name ? user : "?", a, password);
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}

/* ---- the app, or a recovery code ---- */

static enum fb_status check_code(struct call *c, const struct fb_account *a, const char *typed,
                                 struct fb_error *err)
{
    char code[FB_TOTP_DIGITS + 1];
    uint8_t secret[FB_TOTP_SECRET];
    int64_t step = 0;
    if (a->totp[0] == '\0' || !fb_totp_code_read(typed, code)) {
        return fb_error_set(err, FB_DENIED, "no code");
    }
    if (!fb_totp_unseal(c->console->accounts->key, a->handle, a->totp, secret)) {
        fb_log(FB_WARN, "console: the secret of an app does not open (rewrite.key was changed?): "
                        "fumibako user reset NAME");
        return fb_error_set(err, FB_DENIED, "no secret");
    }
    bool is_right = fb_totp_check(secret, code, fb_now_ms(), &step);
    fb_wipe(secret, sizeof secret);
    fb_wipe(code, sizeof code);
    return is_right ? step_take(c->redis, a->handle, step, err)
                    : fb_error_set(err, FB_DENIED, "a wrong code");
}

static enum fb_status take_recovery(struct fb_account *a, void *ctx, struct fb_error *err)
{
    const char *hash = ctx;
    for (size_t i = 0; i < a->recovery_count; i++) {
        if (fb_equal_secret(a->recovery[i], hash, FB_ACCOUNT_HASH - 1)) {
            a->recovery_count--;
            memmove(a->recovery[i], a->recovery[a->recovery_count], FB_ACCOUNT_HASH);
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_DENIED, "no such recovery code");
}

static enum fb_status check_recovery(struct call *c, const struct fb_account *a, const char *typed,
                                     struct fb_error *err)
{
    char code[FB_TOTP_RECOVERY], hash[FB_ACCOUNT_HASH];
    if (!fb_totp_recovery_read(typed, code)) {
        return fb_error_set(err, FB_DENIED, "no recovery code");
    }
    account_hmac(c, "recovery", a->handle, code, hash);
    fb_wipe(code, sizeof code);
    return account_change(c->redis, a->name, take_recovery, hash, false, NULL, err);
}

static void second(struct call *c, const struct fb_account *a, const char *code,
                   const char *recovery)
{
    char name[THROTTLE_NAME], method[16];
    struct fb_error err = {0};
    bool is_new_lock = false;
    const char *kind = code != NULL ? "totp" : "recovery";
    account_throttle_name(c, a->name, a, name, sizeof name);
    if (!take_try(c, kind, name, &is_new_lock)) {
        return;
    }
    enum fb_status s =
        code != NULL ? check_code(c, a, code, &err) : check_recovery(c, a, recovery, &err);
    if (s == FB_DENIED || s == FB_EXISTS) {
        wrong(c, kind, a->name, is_new_lock);
        return;
    }
    if (s == FB_OK) {
        s = fb_throttle_clear(c->redis, kind, name, &err);
    }
    (void)snprintf(method, sizeof method, "%s", c->who.method);
    bool by_password = strcmp(method, "password") == 0;
    if (s == FB_OK) {
        s = account_sign_in(c, a, method, account_need_after_proof(a, by_password), &err);
    }
    if (s != FB_OK) {
        answer_error(c, &err);
        return;
    }
    if (code == NULL) {
        account_note(c, "account.recovery.used", "account", NULL,
                     json_pack("{s:I}", "left", (json_int_t)(a->recovery_count - 1)));
    }
    account_answer_session(c, a, NULL);
}

void session_totp(struct call *c)
{
    struct fb_account *a = NULL;
    const char *code = call_text(c, "code");
    const char *recovery = call_text(c, "recovery");
    if (c->who.by != CONSOLE_BY_SESSION || c->who.need == CONSOLE_NEEDS_ENROL) {
        answer_problem(c, 409, "no-second-factor", "二段階認証がまだ登録されていません。",
                       "No second factor is enrolled yet.");
        return;
    }
    bool is_text = json_object_size(c->body) == (size_t)(code != NULL) + (recovery != NULL);
    if ((code == NULL) == (recovery == NULL) || !is_text) {
        answer_invalid(c, "code", "認証アプリのコードまたはリカバリーコードを入力してください。",
                       "Enter a code of the app, or a recovery code.");
        return;
    }
    if (!account_take_network(c) || !account_mine(c, &a)) {
        return;
    }
    second(c, a, code, recovery);
    fb_account_free(&a);
}

void session_leave(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    if (!account_mine(c, &a)) {
        return;
    }
    enum fb_status s = c->who.by == CONSOLE_BY_SESSION
                           ? session_end(c->redis, a->handle, c->who.session, &err)
                           : FB_OK;
    fb_account_free(&a);
    if (s != FB_OK) {
        answer_error(c, &err);
        return;
    }
    cookie_set(c, COOKIE_SESSION, "", 0);
    fb_http_answer_header(c->answer, "Clear-Site-Data", "\"cache\", \"storage\"");
    account_note(c, "session.end", "session", NULL, NULL);
    answer_empty(c, 204);
}
