/* SPDX-License-Identifier: Apache-2.0
 *
 * How an account is changed, and what handlers of accounts share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/audit_what.h"
#include "common/log.h"
#include "common/totp/totp.h"
#include "services/console/accounts.h"

#define ATTEMPTS 5

enum fb_status account_change(struct fb_redis *r, const char *name, account_edit edit, void *ctx,
                              bool keeps_admin, struct fb_account **account_r, struct fb_error *err)
{
    enum fb_status s = FB_AGAIN;
    for (int i = 0; i < ATTEMPTS && s == FB_AGAIN; i++) {
        struct fb_account *a = NULL;
        s = fb_account_get(r, name, &a, err);
        if (s == FB_OK) {
            s = edit(a, ctx, err);
            s = s == FB_AGAIN ? FB_BUG : s; /* edits have no reason to wait */
        }
        if (s == FB_OK) {
            s = fb_account_put(r, a, keeps_admin, err);
        }
        if (s == FB_OK && account_r != NULL) {
            *account_r = a;
            a = NULL;
        }
        fb_account_free(&a);
    }
    return s;
}

bool account_mine(struct call *c, struct fb_account **account_r)
{
    struct fb_error err = {0};
    enum fb_status s = fb_account_get(c->redis, c->who.user, account_r, &err);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

bool account_may_change(struct call *c, enum console_need also, bool asks_fresh)
{
    if (c->who.by != CONSOLE_BY_SESSION) {
        answer_problem(c, 403, "session-only",
                       "この操作には API トークンを使えません。画面からサインインしてください。",
                       "An API token cannot do this: sign in to the pages.");
        return false;
    }
    if (c->who.need != CONSOLE_NEEDS_NOTHING && c->who.need != also) {
        bool is_password = c->who.need == CONSOLE_NEEDS_PASSWORD;
        answer_problem(
            c, 403, is_password ? "change-password" : "second-factor",
            is_password ? "先にパスワードを変更してください。" : "二段階認証を完了してください。",
            is_password ? "Change your password first." : "Complete the two-step login first.");
        return false;
    }
    if (asks_fresh && fb_now_ms() - c->who.proved_ms > ACCOUNT_FRESH_MS) {
        answer_problem(c, 403, "prove-again",
                       "安全のため、認証アプリのコードまたはパスキーでもう一度確認してください。",
                       "To be safe, show your app's code or your passkey once more first.");
        return false;
    }
    return true;
}

void account_note(struct call *c, const char *action, const char *object, json_t *before,
                  json_t *after)
{
    struct fb_error err = {0};
    if (console_audit(c, action, object, before, after, &err) != FB_OK) {
        fb_log_fields(FB_ERROR, "console: a change is not in the audit", "action", action, "error",
                      err.text, NULL);
    }
    json_decref(before);
    json_decref(after);
}

void account_too_many(struct call *c, int64_t wait_ms)
{
    char ja[160], en[160];
    long long s = (long long)((wait_ms + 999) / 1000);
    (void)snprintf(ja, sizeof ja,
                   "失敗が続いたため、しばらく受け付けません。%lld 秒後にやり直してください。", s);
    (void)snprintf(en, sizeof en, "There were too many failures. Try again in %lld seconds.", s);
    fb_http_answer_replace(c->answer, "Retry-After", "%lld", s);
    answer_problem(c, 429, "too-many", ja, en);
}

json_t *account_new_recovery(const struct call *c, struct fb_account *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < FB_ACCOUNT_RECOVERY; i++) {
        char code[FB_TOTP_RECOVERY];
        fb_totp_recovery_new(code);
        account_hmac(c, "recovery", a->handle, code, a->recovery[i]);
        (void)json_array_append_new(list, json_string(code));
        fb_wipe(code, sizeof code);
    }
    a->recovery_count = FB_ACCOUNT_RECOVERY;
    return list;
}

json_t *account_public(const struct fb_account *a)
{
    return fb_account_json(a, call_json_time);
}
