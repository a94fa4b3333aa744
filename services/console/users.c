/* SPDX-License-Identifier: Apache-2.0
 *
 * Accounts of others: for administrators, who need a recent proof for what would let somebody in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/console/accounts.h"

#define OBJECT (FB_ACCOUNT_NAME + 8)

static void object_of(const char *name, char out_r[OBJECT])
{
    (void)snprintf(out_r, OBJECT, "user %s", name);
}

/* A token may list, and change nothing. */
static bool may(struct call *c, bool asks_fresh)
{
    return account_may_change(c, CONSOLE_NEEDS_NOTHING, asks_fresh);
}

static void answer_change(struct call *c, const struct fb_error *err, const char *name)
{
    if (err->status == FB_DENIED) {
        char ja[300], en[300];
        (void)snprintf(ja, sizeof ja,
                       "%s はサインインできる最後の管理者です。先に別の管理者を追加してください。",
                       name);
        (void)snprintf(en, sizeof en,
                       "%s is the last administrator who can sign in: make another one first.",
                       name);
        answer_problem(c, 409, "last-admin", ja, en);
    } else {
        answer_error(c, err);
    }
}

static json_t *user_json(struct call *c, const struct fb_account *a)
{
    struct fb_error ignored = {0};
    int64_t until = 0;
    json_t *o = account_public(a);
    bool is_known =
        fb_throttle_look(c->redis, "password", a->name, fb_now_ms(), &until, &ignored) == FB_OK;
    (void)json_object_set_new(o, "locked_until",
                              is_known && until > 0 ? call_json_time(until) : json_null());
    return o;
}

/* Pages by name: the cursor is the last name of the page before. */
void users_list(struct call *c)
{
    struct fb_error err = {0};
    struct fb_accounts list;
    size_t limit = 0;
    const char *cursor = fb_http_query(c->request, "cursor");
    if (!call_limit(c, &limit)) {
        return;
    }
    if (fb_accounts_list(c->redis, false, &list, &err) != FB_OK) {
        answer_error(c, &err);
        return;
    }
    json_t *items = json_array();
    size_t i = 0;
    while (cursor != NULL && i < list.count && strcmp(list.items[i]->name, cursor) <= 0) {
        i++;
    }
    for (; i < list.count && json_array_size(items) < limit; i++) {
        (void)json_array_append_new(items, user_json(c, list.items[i]));
    }
    json_t *next = i > 0 && i < list.count ? json_string(list.items[i - 1]->name) : json_null();
    answer_json(c, 200, json_pack("{s:o,s:o}", "items", items, "next", next));
    fb_accounts_deinit(&list);
}

/* A fresh password for somebody else; false: answered. */
static bool make_password(struct call *c, char password_r[FB_PASSWORD_GIVEN],
                          char hash_r[FB_ACCOUNT_PASSWORD])
{
    struct fb_error err = {0};
    if (!account_hash_begin(c)) {
        return false;
    }
    fb_password_new(password_r);
    enum fb_status s = fb_password_hash(password_r, &c->console->accounts->cost, hash_r, &err);
    account_hash_end(c);
    if (s != FB_OK) {
        answer_error(c, &err);
    }
    return s == FB_OK;
}

/* Answers with the account and a password that is shown this once (NULL = none). */
static void answer_user(struct call *c, unsigned status, const struct fb_account *a,
                        const char *password)
{
    json_t *o = user_json(c, a);
    if (password != NULL) {
        (void)json_object_set_new(o, "password", json_string(password));
    }
    answer_json(c, status, o);
}

void users_create(struct call *c)
{
    struct fb_error err = {0};
    char name[FB_ACCOUNT_NAME], object[OBJECT], password[FB_PASSWORD_GIVEN];
    char hash[FB_ACCOUNT_PASSWORD];
    const char *typed = call_text(c, "name");
    enum fb_role role = fb_role_of(call_text(c, "role"));
    if (!may(c, true)) {
        return;
    }
    if (typed == NULL || !fb_account_name(typed, name)) {
        answer_invalid(c, "name", "英数字と ._@+- を 128 文字以内で入力してください。",
                       "Letters, digits and ._@+-, 128 at most.");
        return;
    }
    if (role == FB_ROLE_NONE) {
        answer_invalid(c, "role", "admin、operator、auditor、helpdesk のいずれかです。",
                       "It is admin, operator, auditor or helpdesk.");
        return;
    }
    if (!make_password(c, password, hash)) {
        return;
    }
    struct fb_account *a = fb_account_new(name, role);
    memcpy(a->password, hash, sizeof a->password);
    a->must_change = true;
    if (fb_account_put(c->redis, a, false, &err) == FB_OK) {
        object_of(name, object);
        account_note(c, "user.create", object, NULL, account_public(a));
        answer_user(c, 201, a, password);
    } else if (err.status == FB_TOO_BIG) {
        answer_problem(c, 422, "invalid",
                       "ユーザーの数が上限に達しています。先に不要なユーザーを削除してください。",
                       "There are as many users as may be: remove one first.");
    } else {
        answer_error(c, &err);
    }
    fb_wipe(password, sizeof password);
    fb_account_free(&a);
}

struct patch {
    enum fb_role role; /* NONE = as it is */
    int state;         /* -1 = as it is, 0 = active, 1 = off */
    json_t *before;
    bool is_other_role;
};

static enum fb_status apply(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct patch *p = ctx;
    (void)err;
    json_decref(p->before);
    p->before = account_public(a);
    p->is_other_role = p->role != FB_ROLE_NONE && p->role != a->role;
    a->role = p->role != FB_ROLE_NONE ? p->role : a->role;
    a->is_off = p->state >= 0 ? p->state == 1 : a->is_off;
    return FB_OK;
}

/* False: answered. */
static bool read_patch(struct call *c, struct patch *p)
{
    const json_t *role = json_object_get(c->body, "role");
    const json_t *state = json_object_get(c->body, "state");
    const char *word = json_string_value(state);
    *p = (struct patch){.role = fb_role_of(json_string_value(role)), .state = -1};
    if (role != NULL && p->role == FB_ROLE_NONE) {
        answer_invalid(c, "role", "admin、operator、auditor、helpdesk のいずれかです。",
                       "It is admin, operator, auditor or helpdesk.");
        return false;
    }
    if (state != NULL &&
        (word == NULL || (strcmp(word, "off") != 0 && strcmp(word, "active") != 0))) {
        answer_invalid(c, "state", "active または off を指定してください。",
                       "It is active or off.");
        return false;
    }
    if (role == NULL && state == NULL) {
        answer_invalid(c, "role", "role または state を指定してください。", "Give role or state.");
        return false;
    }
    p->state = word == NULL ? -1 : strcmp(word, "off") == 0;
    return true;
}

/* Reads the account that the path names in its one spelling; false: answered. */
static bool take_name(struct call *c, char name_r[FB_ACCOUNT_NAME])
{
    struct fb_error err = {.status = FB_NOT_FOUND};
    if (!fb_account_name(c->params[0], name_r)) {
        answer_error(c, &err);
        return false;
    }
    return true;
}

void users_patch(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    struct patch p;
    char name[FB_ACCOUNT_NAME], object[OBJECT];
    if (!may(c, true) || !take_name(c, name) || !read_patch(c, &p)) {
        return;
    }
    enum fb_status s = account_change(c->redis, name, apply, &p, true, &a, &err);
    if (s == FB_OK && (a->is_off || p.is_other_role)) {
        /* Other rights begin with a new session. */
        s = fb_account_end_sessions(c->redis, a->handle, "", &err);
    }
    if (s == FB_OK) {
        object_of(name, object);
        account_note(c, "user.change", object, p.before, account_public(a));
        answer_user(c, 200, a, NULL);
    } else {
        json_decref(p.before);
        answer_change(c, &err, name);
    }
    fb_account_free(&a);
}

void users_remove(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    char name[FB_ACCOUNT_NAME], object[OBJECT];
    if (!may(c, true) || !take_name(c, name)) {
        return;
    }
    enum fb_status s = fb_account_get(c->redis, name, &a, &err);
    json_t *before = s == FB_OK ? account_public(a) : NULL;
    if (s == FB_OK) {
        s = fb_account_remove(c->redis, a, true, &err);
    }
    if (s == FB_OK) {
        object_of(name, object);
        account_note(c, "user.remove", object, before, NULL);
        answer_empty(c, 204);
    } else {
        json_decref(before);
        answer_change(c, &err, name);
    }
    fb_account_free(&a);
}

static enum fb_status give_password(struct fb_account *a, void *ctx, struct fb_error *err)
{
    if (a->oidc[0] != '\0') {
        return fb_error_set(err, FB_EXISTS, "this account signs in at the provider");
    }
    memcpy(a->password, ctx, sizeof a->password);
    a->must_change = true;
    return FB_OK;
}

void users_password(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    char name[FB_ACCOUNT_NAME], object[OBJECT], password[FB_PASSWORD_GIVEN];
    char hash[FB_ACCOUNT_PASSWORD];
    if (!may(c, true) || !take_name(c, name) || !make_password(c, password, hash)) {
        return;
    }
    enum fb_status s = account_change(c->redis, name, give_password, hash, false, &a, &err);
    if (s == FB_OK) {
        s = fb_account_end_sessions(c->redis, a->handle, "", &err);
    }
    if (s == FB_OK) {
        object_of(name, object);
        account_note(c, "user.password", object, NULL, NULL);
        answer_user(c, 200, a, password);
    } else {
        answer_change(c, &err, name);
    }
    fb_wipe(password, sizeof password);
    fb_account_free(&a);
}

static enum fb_status forget(struct fb_account *a, void *ctx, struct fb_error *err)
{
    struct patch *p = ctx;
    (void)err;
    json_decref(p->before);
    p->before = account_public(a);
    a->totp[0] = '\0';
    a->passkey_count = 0;
    a->recovery_count = 0;
    return FB_OK;
}

/* The second factors are lost: the next sign-in enrols another one. */
void users_reset(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    struct patch p = {.state = -1};
    char name[FB_ACCOUNT_NAME], object[OBJECT];
    if (!may(c, true) || !take_name(c, name)) {
        return;
    }
    enum fb_status s = account_change(c->redis, name, forget, &p, false, &a, &err);
    if (s == FB_OK) {
        s = fb_account_end_sessions(c->redis, a->handle, "", &err);
    }
    if (s == FB_OK) {
        object_of(name, object);
        account_note(c, "user.reset", object, p.before, account_public(a));
        answer_user(c, 200, a, NULL);
    } else {
        json_decref(p.before);
        answer_change(c, &err, name);
    }
    fb_account_free(&a);
}

void users_unlock(struct call *c)
{
    struct fb_error err = {0};
    struct fb_account *a = NULL;
    char name[FB_ACCOUNT_NAME], object[OBJECT];
    if (!may(c, false) || !take_name(c, name)) {
        return;
    }
    enum fb_status s = fb_account_get(c->redis, name, &a, &err);
    if (s == FB_OK) {
        s = fb_account_unlock(c->redis, name, &err);
    }
    if (s == FB_OK) {
        object_of(name, object);
        account_note(c, "user.unlock", object, NULL, NULL);
        answer_user(c, 200, a, NULL);
    } else {
        answer_error(c, &err);
    }
    fb_account_free(&a);
}
