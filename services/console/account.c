/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of the accounts, and who a request comes from. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/accounts/keys.h"
#include "common/id.h"
#include "common/accounts/audit.h"
#include "common/log.h"
#include "services/console/accounts.h"

#define WARN_EVERY_MS  60000
#define TRIM_EVERY_MS  3600000
#define HASHES_AT_ONCE 2
#define TOKEN_PREFIX   "fbt." /* fbt.<name in base64url>.<32 random bytes in base64url> */
#define HSTS           "max-age=31536000"

/* ---- settings, life ---- */

enum fb_status console_accounts_check(const struct fb_config *config, struct fb_error *err)
{
    struct fb_accounts_copy *copy = NULL;
    if (config->rewrite.key == NULL) {
        return fb_error_set(err, FB_CONFIG,
                            "rewrite.key: the console seals its accounts' secrets with a key made "
                            "from it; set rewrite.key_file");
    }
    if (config->console.oidc_role_default != NULL &&
        fb_role_of(config->console.oidc_role_default) == FB_ROLE_NONE) {
        return fb_error_set(err, FB_CONFIG,
                            "console.oidc_role_default: \"%s\" is none of admin, operator, "
                            "auditor, helpdesk",
                            config->console.oidc_role_default);
    }
    if (config->console.session_max_ms < config->console.session_idle_ms) {
        return fb_error_set(err, FB_CONFIG, "console.session_max is shorter than session_idle");
    }
    enum fb_status s = oidc_check(config, err);
    if (s == FB_OK) {
        s = fb_accounts_copy_new(config->console.users_file, &copy, err);
    }
    fb_accounts_copy_free(&copy);
    return s;
}

enum fb_status console_accounts_new(struct console *console, struct fb_error *err)
{
    struct console_accounts *a = fb_xcalloc(1, sizeof *a);
    fb_hkdf_sha256(fb_slice_str(console->config->rewrite.key), fb_slice_str(NULL),
                   FB_SLICE_LITERAL("fumibako console accounts 1"), a->key, sizeof a->key);
    a->cost = fb_password_cost_of(console->config);
    FB_ASSERT(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_cond_init(&a->room, NULL) == 0);
    a->oidc = oidc_new(console->config);
    console->accounts = a;
    enum fb_status s = fb_accounts_copy_new(console->config->console.users_file, &a->copy, err);
    if (s != FB_OK) {
        console_accounts_free(&console->accounts);
    }
    return s;
}

void console_accounts_free(struct console_accounts **accounts)
{
    struct console_accounts *a = *accounts;
    if (a != NULL) {
        fb_accounts_copy_free(&a->copy);
        oidc_free(&a->oidc);
        (void)pthread_cond_destroy(&a->room);
        (void)pthread_mutex_destroy(&a->lock);
        fb_wipe(a, sizeof *a);
        free(a);
        *accounts = NULL;
    }
}

/* What is older than the retention leaves the audit. */
static enum fb_status trim_audit(const struct console *console, struct fb_redis *redis,
                                 int64_t now_ms, struct fb_error *err)
{
    char least[24];
    redisReply *reply = NULL;
    (void)snprintf(least, sizeof least, "%lld",
                   (long long)(now_ms - console->config->retention.ledger_ms));
    enum fb_status s =
        fb_redis_call(redis, &reply, err, "XTRIM", FB_AUDIT_KEY, "MINID", "~", least, NULL);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return s;
}

void console_accounts_tick(struct console *console, struct fb_redis *redis)
{
    struct console_accounts *a = console->accounts;
    struct fb_error err = {0};
    int64_t now_ms = fb_now_ms();
    enum fb_status s = fb_accounts_copy_sync(a->copy, redis, now_ms, &err);
    if (s == FB_OK && now_ms - a->trimmed_ms > TRIM_EVERY_MS) {
        s = trim_audit(console, redis, now_ms, &err);
        a->trimmed_ms = now_ms;
    }
    if (s != FB_OK && now_ms - a->warned_ms > WARN_EVERY_MS) {
        a->warned_ms = now_ms;
        fb_log(FB_WARN, "console: the accounts' copy: %s", err.text);
    }
}

/* ---- who ---- */

static bool is_change(const struct call *c)
{
    return strcmp(c->request->method, "GET") != 0 && strcmp(c->request->method, "HEAD") != 0;
}

/* The token of a header "Authorization: Bearer ..."; NULL: there is none. */
static const char *bearer(const struct call *c)
{
    const char *value = fb_http_header(c->request, "Authorization");
    return value != NULL && strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : NULL;
}

/* Splits it; false for what is no token of ours. */
static bool read_token(const char *token, char name_r[FB_ACCOUNT_NAME])
{
    const char *rest = token + strlen(TOKEN_PREFIX);
    struct fb_buf name;
    if (strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0) {
        return false;
    }
    const char *dot = strchr(rest, '.');
    if (dot == NULL || !fb_random_text_is_valid(dot + 1)) {
        return false;
    }
    fb_buf_init(&name, FB_ACCOUNT_NAME);
    char typed[FB_ACCOUNT_NAME] = "";
    bool is_good = fb_base64url_decode(fb_slice_of(rest, (size_t)(dot - rest)), &name) == FB_OK &&
                   name.len < sizeof typed;
    if (is_good) {
        (void)snprintf(typed, sizeof typed, "%s", fb_buf_str(&name));
        is_good = fb_account_name(typed, name_r) && strcmp(typed, name_r) == 0;
    }
    fb_buf_deinit(&name);
    return is_good;
}

static enum fb_status by_token(struct call *c, const char *token, struct console_who *who,
                               struct fb_error *err)
{
    char name[FB_ACCOUNT_NAME], hash[FB_ACCOUNT_HASH];
    struct fb_account *a = NULL;
    if (!read_token(token, name)) {
        return fb_error_set(err, FB_NOT_FOUND, "no token");
    }
    fb_token_hash(token, hash);
    enum fb_status s = fb_account_get(c->redis, name, &a, err);
    if (s != FB_OK) {
        return s;
    }
    const struct fb_token *found = NULL;
    for (size_t i = 0; i < a->token_count; i++) {
        if (fb_equal_secret(a->tokens[i].hash, hash, FB_ACCOUNT_HASH)) {
            found = &a->tokens[i];
        }
    }
    enum fb_role role = found == NULL || a->is_off       ? FB_ROLE_NONE
                        : found->until_ms <= fb_now_ms() ? FB_ROLE_NONE
                        : found->role < a->role          ? found->role
                                                         : a->role;
    if (role != FB_ROLE_NONE) {
        *who = (struct console_who){.role = role, .by = CONSOLE_BY_TOKEN, .method = "token"};
        memcpy(who->user, a->name, sizeof who->user);
        memcpy(who->session, hash, sizeof who->session);
    } else {
        s = fb_error_set(err, FB_NOT_FOUND, "no such token");
    }
    fb_account_free(&a);
    return s;
}

static enum fb_status by_cookie(struct call *c, const char *cookie, struct console_who *who,
                                struct fb_error *err)
{
    struct session session;
    struct fb_account *a = NULL;
    char hash[FB_ACCOUNT_HASH];
    fb_token_hash(cookie, hash);
    enum fb_status s = session_get(c->redis, hash, c->console->config->console.session_idle_ms,
                                   fb_now_ms(), &session, &a, err);
    if (s != FB_OK) {
        return s;
    }
    *who = (struct console_who){.role = a->role,
                                .by = CONSOLE_BY_SESSION,
                                .need = session.need,
                                .proved_ms = session.proved_ms};
    memcpy(who->user, a->name, sizeof who->user);
    memcpy(who->session, hash, sizeof who->session);
    memcpy(who->method, session.method, sizeof who->method);
    account_hmac(c, "csrf", cookie, "", who->csrf);
    fb_account_free(&a);
    return FB_OK;
}

enum fb_status console_authenticate(struct call *call, struct console_who *who_r,
                                    struct fb_error *err)
{
    struct console_who who = {.by = CONSOLE_BY_NOBODY};
    const char *token = bearer(call);
    const char *cookie = cookie_get(call, COOKIE_SESSION);
    if (token != NULL) {
        enum fb_status s = by_token(call, token, &who, err);
        if (s == FB_OK) {
            *who_r = who;
        }
        return s;
    }
    if (!fb_random_text_is_valid(cookie)) {
        return fb_error_set(err, FB_NOT_FOUND, "nobody is signed in");
    }
    enum fb_status s = by_cookie(call, cookie, &who, err);
    if (s != FB_OK) {
        return s;
    }
    if (is_change(call)) {
        const char *shown = fb_http_header(call->request, "X-Fumibako-CSRF");
        if (account_is_foreign(call) || shown == NULL || strlen(shown) != FB_ACCOUNT_HASH - 1 ||
            !fb_equal_secret(shown, who.csrf, FB_ACCOUNT_HASH - 1)) {
            return fb_error_set(err, FB_DENIED, "a change without the token of its session");
        }
    }
    *who_r = who;
    return FB_OK;
}

bool console_is_known(struct console *console, const struct fb_http_request *head)
{
    struct call c = {.console = console, .request = head};
    struct console_who who;
    struct fb_error ignored = {0};
    const char *token = bearer(&c);
    const char *cookie = cookie_get(&c, COOKIE_SESSION);
    const char *shown = fb_http_header(head, "X-Fumibako-CSRF");
    if (token != NULL) {
        c.redis = fb_redis_pool_take(console->gate);
        bool is_known = by_token(&c, token, &who, &ignored) == FB_OK;
        fb_redis_pool_give(console->gate, c.redis);
        return is_known;
    }
    if (!fb_random_text_is_valid(cookie) || shown == NULL || strlen(shown) != FB_ACCOUNT_HASH - 1) {
        return false;
    }
    account_hmac(&c, "csrf", cookie, "", who.csrf);
    return fb_equal_secret(shown, who.csrf, FB_ACCOUNT_HASH - 1);
}

/* ---- headers ---- */

void console_security_headers(const struct console *console, bool is_api,
                              struct fb_http_answer *answer)
{
    fb_http_answer_replace(answer, "Content-Security-Policy", "%s", assets_policy);
    fb_http_answer_replace(answer, "X-Content-Type-Options", "nosniff");
    fb_http_answer_replace(answer, "X-Frame-Options", "DENY");
    fb_http_answer_replace(answer, "Referrer-Policy", "no-referrer");
    fb_http_answer_replace(answer, "Cross-Origin-Opener-Policy", "same-origin");
    fb_http_answer_replace(answer, "Cross-Origin-Resource-Policy", "same-origin");
    fb_http_answer_replace(answer, "Permissions-Policy",
                           "camera=(), geolocation=(), microphone=(), "
                           "publickey-credentials-get=(self), publickey-credentials-create=(self)");
    if (is_api) {
        fb_http_answer_replace(answer, "Cache-Control", "no-store");
    }
    if (console->is_https) {
        fb_http_answer_replace(answer, "Strict-Transport-Security", HSTS);
    }
}

/* ---- places for hashing ---- */

bool account_hash_begin(struct call *c)
{
    struct console_accounts *a = c->console->accounts;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    int rc = 0;
    (void)pthread_mutex_lock(&a->lock);
    while (a->hashing >= HASHES_AT_ONCE && rc == 0) {
        rc = pthread_cond_timedwait(&a->room, &a->lock, &until);
    }
    bool is_taken = a->hashing < HASHES_AT_ONCE;
    a->hashing += is_taken ? 1 : 0;
    (void)pthread_mutex_unlock(&a->lock);
    if (!is_taken) {
        fb_http_answer_replace(c->answer, "Retry-After", "5");
        answer_problem(c, 503, "busy",
                       "ほかのサインインを処理しています。しばらくしてからやり直してください。",
                       "Other sign-ins are being looked at. Try again in a moment.");
    }
    return is_taken;
}

void account_hash_end(struct call *c)
{
    struct console_accounts *a = c->console->accounts;
    (void)pthread_mutex_lock(&a->lock);
    a->hashing--;
    (void)pthread_cond_signal(&a->room);
    (void)pthread_mutex_unlock(&a->lock);
}
