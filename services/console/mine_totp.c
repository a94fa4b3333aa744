/* SPDX-License-Identifier: Apache-2.0
 *
 * One's own authenticator app and recovery codes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/totp/totp.h"
#include "services/console/accounts.h"

#define QR_PATH (512U << 10)

/* Whom the app shows it as: where there are several consoles, one has to tell them apart. */
static void issuer_of(const struct call *c, char *out, size_t size)
{
    const char *host = strstr(c->console->origin, "://");
    (void)snprintf(out, size, host != NULL ? "Fumibako (%s)" : "Fumibako%s",
                   host != NULL ? host + 3 : "");
}

static json_t *enrolment(struct call *c, const struct fb_account *a,
                         const uint8_t secret[FB_TOTP_SECRET])
{
    char uri[FB_TOTP_URI], issuer[330];
    struct fb_buf path;
    int size = 0;
    json_t *o = NULL;
    char *base32 = fb_totp_base32(secret);
    issuer_of(c, issuer, sizeof issuer);
    fb_buf_init(&path, QR_PATH);
    if (base32 != NULL && fb_totp_uri(issuer, a->name, base32, uri) &&
        fb_totp_qr(uri, &path, &size) == FB_OK) {
        o = json_pack("{s:s,s:s,s:{s:s,s:i}}", "secret", base32, "uri", uri, "qr", "path",
                      fb_buf_str(&path), "size", size);
    }
    if (base32 != NULL) {
        fb_wipe(base32, strlen(base32));
    }
    if (path.ptr != NULL) {
        fb_wipe(path.ptr, path.len);
    }
    fb_wipe(uri, sizeof uri);
    fb_buf_deinit(&path);
    free(base32);
    return o;
}

void account_totp_begin(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    uint8_t secret[FB_TOTP_SECRET];
    char sealed[FB_TOTP_SEALED];
    if (!account_may_change(c, CONSOLE_NEEDS_ENROL, true) || !account_mine(c, &a)) {
        return;
    }
    fb_random(secret, sizeof secret);
    fb_totp_seal(c->console->accounts->key, a->handle, secret, sealed);
    if (session_set_pending(c->redis, c->who.session, sealed, &err) == FB_OK) {
        answer_json(c, 200, enrolment(c, a, secret));
    } else {
        answer_error(c, &err);
    }
    fb_wipe(secret, sizeof secret);
    fb_account_free(&a);
}

struct enrol {
    struct call *call;
    const char *sealed;
    json_t *recovery; /* made when there were none */
};

static enum fb_status set_totp(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct enrol *e = ctx;
    (void)err;
    (void)snprintf(a->totp, sizeof a->totp, "%s", e->sealed);
    if (a->recovery_count == 0 || e->recovery != NULL) {
        json_decref(e->recovery); /* of an attempt that somebody was faster than */
        e->recovery = account_new_recovery(e->call, a);
    }
    return FB_OK;
}

/* Another factor, or the first one: the session goes on as a new one. */
void account_enrolled(struct call *c, const struct fb_account *a, const char *action, json_t *after,
                      json_t *recovery)
{
    struct fb_error err = {0};
    char method[16];
    bool is_first = c->who.need == CONSOLE_NEEDS_ENROL;
    memcpy(method, c->who.method, sizeof method);
    enum console_need need =
        is_first ? account_need_after_proof(a, strcmp(method, "password") == 0) : c->who.need;
    account_note(c, action, "account", NULL, after);
    if (account_sign_in(c, a, method, need, &err) == FB_OK) {
        account_answer_session(c, a, recovery);
    } else {
        json_decref(recovery);
        answer_error(c, &err);
    }
}

static enum fb_status check_pending(struct call *c, const struct fb_account *a, const char *typed,
                                    char sealed_r[FB_ACCOUNT_SEALED], struct fb_error *err)
{
    struct session session;
    struct fb_account *owner = NULL;
    uint8_t secret[FB_TOTP_SECRET];
    char code[FB_TOTP_DIGITS + 1];
    int64_t step = 0;
    enum fb_status s =
        session_get(c->redis, c->who.session, c->console->config->console.session_idle_ms,
                    fb_now_ms(), &session, &owner, err);
    fb_account_free(&owner);
    if (s != FB_OK) {
        return s;
    }
    if (session.pending[0] == '\0' ||
        !fb_totp_unseal(c->console->accounts->key, a->handle, session.pending, secret)) {
        return fb_error_set(err, FB_NOT_FOUND, "no app is being set up");
    }
    bool is_right = typed != NULL && fb_totp_code_read(typed, code) &&
                    fb_totp_check(secret, code, fb_now_ms(), &step);
    fb_wipe(secret, sizeof secret);
    if (!is_right) {
        return fb_error_set(err, FB_DENIED, "a wrong code");
    }
    memcpy(sealed_r, session.pending, FB_ACCOUNT_SEALED);
    return step_take(c->redis, a->handle, step, err);
}

void account_totp_confirm(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL, *now = NULL;
    char sealed[FB_ACCOUNT_SEALED];
    if (!account_may_change(c, CONSOLE_NEEDS_ENROL, true) || !account_mine(c, &a)) {
        return;
    }
    enum fb_status s = check_pending(c, a, call_text(c, "code"), sealed, &err);
    if (s == FB_DENIED || s == FB_EXISTS) {
        answer_invalid(c, "code",
                       "コードが違います。アプリに表示されている 6 桁の数字を入力してください。",
                       "This is not the code: enter the 6 digits that the app shows now.");
    } else if (s == FB_OK) {
        struct enrol e = {.call = c, .sealed = sealed};
        s = account_change(c->redis, a->name, set_totp, &e, false, &now, &err);
        if (s == FB_OK) {
            account_enrolled(c, now, "account.totp.enrol", NULL, e.recovery);
        } else {
            json_decref(e.recovery);
            answer_error(c, &err);
        }
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&now);
    fb_account_free(&a);
}

static enum fb_status drop_totp(struct fb_account *a, void *ctx, struct fb_error *err)
{
    (void)ctx;
    if (a->totp[0] == '\0') {
        return fb_error_set(err, FB_NOT_FOUND, "no app is set up");
    }
    if (a->passkey_count == 0 && a->oidc[0] == '\0') {
        return fb_error_set(err, FB_DENIED, "it is the only second factor: add a passkey first");
    }
    a->totp[0] = '\0';
    return FB_OK;
}

void account_totp_remove(struct call *c)
{
    struct fb_error err = {0};
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, true)) {
        return;
    }
    enum fb_status s = account_change(c->redis, c->who.user, drop_totp, NULL, false, NULL, &err);
    if (s == FB_OK) {
        account_note(c, "account.totp.remove", "account", NULL, NULL);
        answer_empty(c, 204);
    } else if (s == FB_DENIED) {
        answer_problem(c, 409, "only-factor",
                       "二段階認証がなくなるため削除できません。先にパスキーを登録してください。",
                       "It is your only second factor: add a passkey first.");
    } else {
        answer_error(c, &err);
    }
}

static enum fb_status new_recovery(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct enrol *e = ctx;
    (void)err;
    json_decref(e->recovery);
    e->recovery = account_new_recovery(e->call, a);
    return FB_OK;
}

void account_recovery(struct call *c)
{
    struct fb_error err = {0};
    struct enrol e = {.call = c};
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, true)) {
        return;
    }
    if (account_change(c->redis, c->who.user, new_recovery, &e, false, NULL, &err) == FB_OK) {
        account_note(c, "account.recovery.renew", "account", NULL, NULL);
        answer_json(c, 200, json_pack("{s:o}", "recovery", e.recovery));
    } else {
        json_decref(e.recovery);
        answer_error(c, &err);
    }
}
