/* SPDX-License-Identifier: Apache-2.0
 *
 * One's own account: what there is, the password, tokens, sessions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts/keys.h"
#include "services/console/accounts.h"

#define DAY_MS INT64_C(86400000)

/* ---- what there is ---- */

static void show(struct call *c, const struct fb_account *a)
{
    json_t *o = account_public(a);
    (void)json_object_set_new(o, "passkeys", fb_passkeys_json(a, call_json_time));
    (void)json_object_set_new(o, "tokens", fb_tokens_json(a, call_json_time));
    (void)json_object_set_new(o, "language",
                              a->language[0] != '\0' ? json_string(a->language) : json_null());
    answer_json(c, 200, o);
}

void account_show(struct call *c)
{
    struct fb_account *a = NULL;
    bool is_half = c->who.need == CONSOLE_NEEDS_TOTP || c->who.need == CONSOLE_NEEDS_PASSKEY;
    if (is_half) {
        (void)account_may_change(c, CONSOLE_NEEDS_NOTHING, false);
        return;
    }
    if (account_mine(c, &a)) {
        show(c, a);
    }
    fb_account_free(&a);
}

static enum fb_status set_language(struct fb_account *a, void *ctx, struct fb_error *err)
{
    (void)err;
    (void)snprintf(a->language, sizeof a->language, "%s", (const char *)ctx);
    return FB_OK;
}

void account_patch(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    const char *language = call_text(c, "language");
    char value[3];
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, false)) {
        return;
    }
    if (language == NULL || (strcmp(language, "ja") != 0 && strcmp(language, "en") != 0)) {
        answer_invalid(c, "language", "ja または en を指定してください。", "It is ja or en.");
        return;
    }
    (void)snprintf(value, sizeof value, "%s", language);
    if (account_change(c->redis, c->who.user, set_language, value, false, &a, &err) == FB_OK) {
        show(c, a);
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}

/* ---- the password ---- */

static enum fb_status set_password(struct fb_account *a, void *ctx, struct fb_error *err)
{
    (void)err;
    memcpy(a->password, ctx, sizeof a->password);
    a->must_change = false;
    return FB_OK;
}

/* 422 for a password that fb_password_check refused; gives false. */
static bool answer_weak(struct call *c, const char *where, const struct fb_error *err)
{
    char ja[200];
    (void)snprintf(ja, sizeof ja,
                   "パスワードは %d 文字以上で、ユーザー名や同じ文字の繰り返しを避けてください。",
                   FB_PASSWORD_MIN);
    answer_invalid(c, where, ja, err->text);
    return false;
}

/* The current password is right; false: answered. */
static bool knows_current(struct call *c, const struct fb_account *a, const char *current)
{
    struct fb_error err = {0};
    bool is_new_lock = false, ignored = false;
    int64_t wait_ms = 0;
    enum fb_status s =
        fb_throttle_take(c->redis, "current", a->handle, fb_now_ms(), &wait_ms, &is_new_lock, &err);
    if (s != FB_OK || wait_ms > 0) {
        if (s != FB_OK) {
            answer_error(c, &err);
        } else {
            account_too_many(c, wait_ms);
        }
        return false;
    }
    bool is_right = fb_password_verify(a->password, current, &c->console->accounts->cost, &ignored);
    if (!is_right) {
        answer_invalid(c, "current", "現在のパスワードが違います。",
                       "This is not your current password.");
        return false;
    }
    s = fb_throttle_clear(c->redis, "current", a->handle, &err);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

/* With a place for hashing taken. */
static bool make_hash(struct call *c, const struct fb_account *a, const char *current,
                      const char *fresh, char hash_r[FB_ACCOUNT_PASSWORD])
{
    struct fb_error err = {0};
    bool is_same = false;
    if (fb_password_check(fresh, a->name, &err) != FB_OK) {
        return answer_weak(c, "new", &err);
    }
    if (c->who.need != CONSOLE_NEEDS_PASSWORD && !knows_current(c, a, current)) {
        return false;
    }
    if (fb_password_verify(a->password, fresh, &c->console->accounts->cost, &is_same)) {
        answer_invalid(c, "new", "現在と異なるパスワードにしてください。",
                       "Choose another password than the current one.");
        return false;
    }
    if (fb_password_hash(fresh, &c->console->accounts->cost, hash_r, &err) != FB_OK) {
        answer_error(c, &err);
        return false;
    }
    return true;
}

static void change_password(struct call *c, const struct fb_account *a, const char *hash)
{
    struct fb_error err = {0};
    struct fb_account *now = NULL;
    char copy[FB_ACCOUNT_PASSWORD], method[16];
    memcpy(copy, hash, sizeof copy);
    memcpy(method, c->who.method, sizeof method);
    enum fb_status s = account_change(c->redis, a->name, set_password, copy, false, &now, &err);
    if (s == FB_OK) {
        s = account_sign_in(c, now, method, CONSOLE_NEEDS_NOTHING, &err);
    }
    if (s == FB_OK) { /* whoever else is signed in with the old one is not any more */
        s = fb_account_end_sessions(c->redis, now->handle, c->who.session, &err);
    }
    if (s == FB_OK) {
        account_note(c, "account.password", "account", NULL, NULL);
        account_answer_session(c, now, NULL);
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&now);
}

void account_password(struct call *c)
{
    struct fb_account *a = NULL;
    char hash[FB_ACCOUNT_PASSWORD];
    const char *current = call_text(c, "current");
    const char *fresh = call_text(c, "new");
    if (!account_may_change(c, CONSOLE_NEEDS_PASSWORD, false) || !account_mine(c, &a)) {
        return;
    }
    if (a->oidc[0] != '\0') {
        answer_problem(c, 409, "oidc", "パスワードは組織の認証基盤で変更してください。",
                       "Change the password at your organisation's provider.");
    } else if (fresh == NULL || (current == NULL && c->who.need != CONSOLE_NEEDS_PASSWORD)) {
        answer_invalid(c, fresh == NULL ? "new" : "current", "パスワードを入力してください。",
                       "Enter the password.");
    } else if (account_hash_begin(c)) {
        bool is_made = make_hash(c, a, current, fresh, hash);
        account_hash_end(c);
        if (is_made) {
            change_password(c, a, hash);
        }
    }
    fb_account_free(&a);
}

/* ---- tokens ---- */

static enum fb_status add_token(struct fb_account *a, void *ctx, struct fb_error *err)
{
    return fb_account_add_token(a, ctx, err);
}

/* Label, role and days of the request; false: answered. */
static bool read_token_order(struct call *c, struct fb_token *t)
{
    const char *label = call_text(c, "label");
    const json_t *role = json_object_get(c->body, "role"); /* what is no text is no role */
    const json_t *given = json_object_get(c->body, "days");
    int64_t days = given != NULL ? json_integer_value(given) : FB_TOKEN_DAYS;
    *t = (struct fb_token){.role = role != NULL ? fb_role_of(json_string_value(role)) : c->who.role,
                           .since_ms = fb_now_ms()};
    if (label == NULL || label[0] == '\0') {
        answer_invalid(c, "label", "トークンの名前を入力してください。", "Give the token a name.");
        return false;
    }
    if (t->role == FB_ROLE_NONE || t->role > c->who.role) {
        answer_invalid(c, "role", "自分と同じか、それより低い権限を選んでください。",
                       "Choose your own role or a lesser one.");
        return false;
    }
    if ((given != NULL && !json_is_integer(given)) || days < 1 || days > FB_TOKEN_MOST_DAYS) {
        answer_invalid(c, "days", "有効期間は 1 日から 366 日です。", "It lasts 1 to 366 days.");
        return false;
    }
    t->until_ms = t->since_ms + days * DAY_MS;
    fb_account_label(label, t->label);
    return true;
}

void account_token_add(struct call *c)
{
    struct fb_error err = {0};
    struct fb_token t;
    char token[FB_TOKEN_SIZE], id[FB_TOKEN_ID];
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, true) || !read_token_order(c, &t)) {
        return;
    }
    fb_token_make(c->who.user, token, t.hash);
    fb_token_id(t.hash, id);
    if (account_change(c->redis, c->who.user, add_token, &t, false, NULL, &err) == FB_OK) {
        account_note(c, "account.token.add", "account", NULL,
                     json_pack("{s:s,s:o,s:s,s:o}", "id", id, "label", fb_json_text(t.label),
                               "role", fb_role_name(t.role), "until", call_json_time(t.until_ms)));
        answer_json(c, 201,
                    json_pack("{s:s,s:s,s:o,s:s,s:o}", "id", id, "token", token, "label",
                              fb_json_text(t.label), "role", fb_role_name(t.role), "until",
                              call_json_time(t.until_ms)));
    } else if (err.status == FB_DENIED) {
        answer_problem(c, 409, "refused",
                       "トークンの数が上限に達しています。先に不要なトークンを削除してください。",
                       "There are as many tokens as may be: remove one first.");
    } else {
        answer_error(c, &err);
    }
    fb_wipe(token, sizeof token);
}

static enum fb_status drop_token(struct fb_account *a, void *ctx, struct fb_error *err)
{
    return fb_account_drop_token(a, ctx, err);
}

void account_token_remove(struct call *c)
{
    struct fb_error err = {0};
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, false)) {
        return;
    }
    if (account_change(c->redis, c->who.user, drop_token, c->params[0], false, NULL, &err) ==
        FB_OK) {
        account_note(c, "account.token.remove", "account", json_pack("{s:s}", "id", c->params[0]),
                     NULL);
        answer_empty(c, 204);
    } else {
        answer_error(c, &err);
    }
}

/* ---- sessions ---- */

static json_t *session_json(const struct call *c, const struct session_entry *e)
{
    char id[FB_TOKEN_ID];
    fb_token_id(e->name, id);
    return json_pack(
        "{s:s,s:s,s:o,s:s,s:o,s:o,s:o,s:b}", "id", id, "method", e->session.method, "agent",
        fb_json_text(e->session.agent), "address", e->session.address, "since",
        call_json_time(e->session.since_ms), "seen", call_json_time(e->session.seen_ms), "until",
        call_json_time(e->session.until_ms), "is_this", strcmp(e->name, c->who.session) == 0);
}

void account_sessions(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    size_t count = 0;
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, false) || !account_mine(c, &a)) {
        return;
    }
    struct session_entry *list = fb_xcalloc(SESSION_MOST, sizeof *list);
    if (session_list(c->redis, a->handle, list, &count, &err) == FB_OK) {
        json_t *items = json_array();
        for (size_t i = 0; i < count; i++) {
            (void)json_array_append_new(items, session_json(c, &list[i]));
        }
        answer_json(c, 200, json_pack("{s:o,s:n}", "items", items, "next"));
    } else {
        answer_error(c, &err);
    }
    free(list);
    fb_account_free(&a);
}

/* One of the caller's own by the beginning of its hash. */
void account_session_end(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    size_t count = 0;
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, false) || !account_mine(c, &a)) {
        return;
    }
    struct session_entry *list = fb_xcalloc(SESSION_MOST, sizeof *list);
    enum fb_status s = session_list(c->redis, a->handle, list, &count, &err);
    const char *name = NULL;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        if (strlen(c->params[0]) == FB_TOKEN_ID - 1 &&
            strncmp(list[i].name, c->params[0], FB_TOKEN_ID - 1) == 0) {
            name = list[i].name;
        }
    }
    if (s == FB_OK && name == NULL) {
        s = fb_error_set(&err, FB_NOT_FOUND, "no such session");
    }
    if (s == FB_OK) {
        s = session_end(c->redis, a->handle, name, &err);
    }
    if (s == FB_OK) {
        account_note(c, "session.end", "session", json_pack("{s:s}", "id", c->params[0]), NULL);
        answer_empty(c, 204);
    } else {
        answer_error(c, &err);
    }
    free(list);
    fb_account_free(&a);
}

/* All but this one. */
void account_sessions_end(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    if (!account_may_change(c, CONSOLE_NEEDS_NOTHING, false) || !account_mine(c, &a)) {
        return;
    }
    if (fb_account_end_sessions(c->redis, a->handle, c->who.session, &err) == FB_OK) {
        account_note(c, "session.end.others", "account", NULL, NULL);
        answer_empty(c, 204);
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}
