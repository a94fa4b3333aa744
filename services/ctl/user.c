/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako user: the console's accounts, also where nobody can sign in. */
#include <stdio.h>
#include <string.h>

#include "common/accounts/keys.h"
#include "common/accounts/password.h"
#include "services/ctl/ctl.h"

#define ATTEMPTS 5

/* ---- what they share ---- */

static json_t *user_json(const struct fb_account *a)
{
    return fb_account_json(a, ctl_json_time);
}

/* Who does it goes into the console's audit; json values are taken. */
static enum fb_status note(struct ctl *c, const char *action, const char *name, json_t *before,
                           json_t *after, struct fb_error *err)
{
    char object[FB_ACCOUNT_NAME + 8];
    (void)snprintf(object, sizeof object, "user %s", name);
    enum fb_status s = ctl_audit(c, action, object, before, after, err);
    json_decref(before);
    json_decref(after);
    return s;
}

/* The name in its one spelling, and Redis; false: the reason was printed. */
static bool begin(struct ctl *c, char name_r[FB_ACCOUNT_NAME], int *code_r)
{
    if (!fb_account_name(c->words[0], name_r)) {
        *code_r = ctl_usage_error(
            c, "a user's name is letters, digits and ._@+-, a letter or digit first, 128 at most");
        return false;
    }
    return ctl_need_redis(c, code_r);
}

static bool read_role(const struct ctl *c, enum fb_role *role_r, int *code_r)
{
    *role_r = fb_role_of(c->words[1]);
    if (*role_r == FB_ROLE_NONE) {
        *code_r = ctl_usage_error(c, "a role is admin, operator, auditor or helpdesk");
    }
    return *role_r != FB_ROLE_NONE;
}

struct edit {
    enum fb_role role;
    char password[FB_ACCOUNT_PASSWORD];
    bool is_off;
    const struct fb_token *token; /* to be added */
    const char *id;               /* of a token or passkey to be taken away */
};
typedef enum fb_status (*edit_fn)(struct fb_account *a, const struct edit *e, struct fb_error *err);

/* What a change of an account asks for beside the change itself. */
enum { KEEPS_ADMIN = 1, KEEPS_SESSIONS = 2 };

/* Reads, changes and writes; again when a console was faster.  Its sessions end.  action NULL: the caller writes the
 * line of the audit. */
static enum fb_status change(struct ctl *c, const char *name, edit_fn edit, const struct edit *e,
                             unsigned how, const char *action, struct fb_error *err)
{
    enum fb_status s = FB_AGAIN;
    for (int i = 0; i < ATTEMPTS && s == FB_AGAIN; i++) {
        struct fb_account *a = NULL;
        json_t *before = NULL;
        s = fb_account_get(c->redis, name, &a, err);
        if (s == FB_OK) {
            before = user_json(a);
            s = edit(a, e, err);
        }
        if (s == FB_OK) {
            s = fb_account_put(c->redis, a, (how & KEEPS_ADMIN) != 0, err);
        }
        if (s == FB_OK && (how & KEEPS_SESSIONS) == 0) {
            s = fb_account_end_sessions(c->redis, a->handle, "", err);
        }
        if (s == FB_OK && action != NULL) {
            s = note(c, action, name, before, user_json(a), err);
        } else {
            json_decref(before);
        }
        fb_account_free(&a);
    }
    return s;
}

static int done(const struct ctl *c, const char *name, const char *text)
{
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:b}", "name", name, "done", 1));
    } else {
        (void)printf("%s: %s\n", name, text);
    }
    return 0;
}

static int give(const struct ctl *c, const char *name, const char *password)
{
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s}", "name", name, "password", password));
    } else {
        (void)printf("%s: %s\nIt is shown this once, and has to be changed at the first log-in.\n",
                     name, password);
    }
    return 0;
}

static enum fb_status new_password(const struct ctl *c, char password_r[FB_PASSWORD_GIVEN],
                                   char hash_r[FB_ACCOUNT_PASSWORD], struct fb_error *err)
{
    struct fb_password_cost cost = fb_password_cost_of(c->config);
    fb_password_new(password_r);
    return fb_password_hash(password_r, &cost, hash_r, err);
}

/* ---- the commands ---- */

int ctl_user_add(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME], password[FB_PASSWORD_GIVEN];
    struct fb_error err = {0};
    enum fb_role role = FB_ROLE_NONE;
    if (!read_role(c, &role, &code) || !begin(c, name, &code)) {
        return code;
    }
    struct fb_account *a = fb_account_new(name, role);
    enum fb_status s = new_password(c, password, a->password, &err);
    a->must_change = true;
    if (s == FB_OK) {
        s = fb_account_put(c->redis, a, false, &err);
    }
    if (s == FB_OK) {
        s = note(c, "user.create", name, NULL, user_json(a), &err);
    }
    code = s == FB_OK ? give(c, name, password) : ctl_fail(c, &err);
    fb_account_free(&a);
    fb_wipe(password, sizeof password);
    return code;
}

int ctl_user_list(struct ctl *c)
{
    int code = 0;
    struct fb_accounts list;
    struct fb_error err = {0};
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (fb_accounts_list(c->redis, false, &list, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    json_t *items = json_array();
    for (size_t i = 0; i < list.count; i++) {
        const struct fb_account *a = list.items[i];
        int64_t until = 0;
        enum fb_status s =
            fb_throttle_look(c->redis, "password", a->name, fb_now_ms(), &until, &err);
        bool is_locked = s == FB_OK && until > 0;
        if (c->is_json) {
            json_t *o = user_json(a);
            (void)json_object_set_new(o, "locked_until", ctl_json_time(is_locked ? until : 0));
            (void)json_array_append_new(items, o);
        } else {
            (void)printf("%-32s %-9s %-6s %s%s%s%s\n", a->name, fb_role_name(a->role),
                         a->oidc[0] != '\0' ? "oidc" : "local", a->is_off ? "off " : "",
                         a->must_change ? "password-to-change " : "",
                         a->oidc[0] == '\0' && !fb_account_has_second(a) ? "no-second-factor " : "",
                         is_locked ? "waits" : "");
        }
    }
    if (c->is_json) {
        ctl_print_json(items);
    } else {
        json_decref(items);
        if (list.count == 0) {
            (void)puts("there are no accounts; next: fumibako user add NAME admin");
        }
    }
    fb_accounts_deinit(&list);
    return 0;
}

static enum fb_status set_password(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    if (a->oidc[0] != '\0') {
        return fb_error_set(err, FB_INVALID,
                            "this account signs in at the OpenID Connect provider: it has no "
                            "password here");
    }
    memcpy(a->password, e->password, sizeof a->password);
    a->must_change = true;
    a->is_off = false;
    return FB_OK;
}

int ctl_user_passwd(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME], password[FB_PASSWORD_GIVEN];
    struct edit e = {.role = FB_ROLE_NONE};
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    enum fb_status s = new_password(c, password, e.password, &err);
    if (s == FB_OK) {
        s = change(c, name, set_password, &e, 0, "user.password", &err);
    }
    if (s == FB_OK) {
        s = fb_account_unlock(c->redis, name, &err);
    }
    code = s == FB_OK ? give(c, name, password) : ctl_fail(c, &err);
    fb_wipe(password, sizeof password);
    return code;
}

static enum fb_status set_role(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    (void)err;
    a->role = e->role;
    return FB_OK;
}

int ctl_user_role(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    struct edit e = {.role = FB_ROLE_NONE};
    struct fb_error err = {0};
    if (!read_role(c, &e.role, &code) || !begin(c, name, &code)) {
        return code;
    }
    return change(c, name, set_role, &e, KEEPS_ADMIN, "user.change", &err) == FB_OK
               ? done(c, name, "has this role now; its sessions have ended")
               : ctl_fail(c, &err);
}

/* What is done to an account beside its record, and written down. */
static int act(struct ctl *c, const char *action, const char *outcome,
               enum fb_status (*how)(struct fb_redis *r, const struct fb_account *a,
                                     struct fb_error *err))
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    struct fb_account *a = NULL;
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    enum fb_status s = fb_account_get(c->redis, name, &a, &err);
    if (s == FB_OK) {
        s = how(c->redis, a, &err);
    }
    if (s == FB_OK) {
        s = note(c, action, name, NULL, NULL, &err);
    }
    fb_account_free(&a);
    return s == FB_OK ? done(c, name, outcome) : ctl_fail(c, &err);
}

static enum fb_status unlock(struct fb_redis *r, const struct fb_account *a, struct fb_error *err)
{
    return fb_account_unlock(r, a->name, err);
}

int ctl_user_unlock(struct ctl *c)
{
    return act(c, "user.unlock", "may try again at once", unlock);
}

static enum fb_status forget(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    (void)e;
    (void)err;
    a->totp[0] = '\0';
    a->passkey_count = 0;
    a->recovery_count = 0;
    return FB_OK;
}

int ctl_user_reset(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    struct edit e = {.role = FB_ROLE_NONE};
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    return change(c, name, forget, &e, 0, "user.reset", &err) == FB_OK
               ? done(c, name,
                      "app, passkeys and recovery codes are forgotten: the next sign-in sets up "
                      "another factor")
               : ctl_fail(c, &err);
}

int ctl_user_remove(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    struct fb_account *a = NULL;
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    enum fb_status s = fb_account_get(c->redis, name, &a, &err);
    json_t *before = s == FB_OK ? user_json(a) : NULL;
    if (s == FB_OK) {
        s = fb_account_remove(c->redis, a, true, &err);
    }
    if (s == FB_OK) {
        s = note(c, "user.remove", name, before, NULL, &err);
    } else {
        json_decref(before);
    }
    fb_account_free(&a);
    return s == FB_OK ? done(c, name, "removed, with its sessions and tokens") : ctl_fail(c, &err);
}

static enum fb_status set_off(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    (void)err;
    a->is_off = e->is_off;
    return FB_OK;
}

static int switch_to(struct ctl *c, bool is_off, const char *text)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    struct edit e = {.is_off = is_off};
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    unsigned how = KEEPS_ADMIN | (is_off ? 0 : KEEPS_SESSIONS);
    return change(c, name, set_off, &e, how, "user.change", &err) == FB_OK ? done(c, name, text)
                                                                           : ctl_fail(c, &err);
}

int ctl_user_off(struct ctl *c)
{
    return switch_to(c, true, "cannot sign in any more; its sessions have ended");
}

int ctl_user_on(struct ctl *c)
{
    return switch_to(c, false, "may sign in again");
}

static enum fb_status end_sessions(struct fb_redis *r, const struct fb_account *a,
                                   struct fb_error *err)
{
    return fb_account_end_sessions(r, a->handle, "", err);
}

int ctl_user_signout(struct ctl *c)
{
    return act(c, "user.signout", "its sessions have ended", end_sessions);
}

/* ---- what opens the console for it ---- */

static void print_keys(const char *what, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *role = json_string_value(json_object_get(one, "role"));
        const char *until = json_string_value(json_object_get(one, "until"));
        (void)printf(
            "  %-8s %-32s  since %s%s%s%s%s  ", what, json_string_value(json_object_get(one, "id")),
            json_string_value(json_object_get(one, "since")), until != NULL ? ", until " : "",
            until != NULL ? until : "", role != NULL ? ", " : "", role != NULL ? role : "");
        ctl_print_clean(json_string_value(json_object_get(one, "label")));
        (void)printf("\n");
    }
}

int ctl_user_show(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME], since[32];
    struct fb_account *a = NULL;
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    if (fb_account_get(c->redis, name, &a, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    json_t *o = user_json(a);
    json_t *passkeys = fb_passkeys_json(a, c->is_json ? ctl_json_time : ctl_local_time);
    json_t *tokens = fb_tokens_json(a, c->is_json ? ctl_json_time : ctl_local_time);
    if (c->is_json) {
        (void)json_object_set(o, "passkeys", passkeys);
        (void)json_object_set(o, "tokens", tokens);
        ctl_print_json(o);
    } else {
        json_decref(o);
        ctl_time(a->since_ms, since);
        (void)printf("%s: %s, %s, %s, since %s\n", a->name, fb_role_name(a->role),
                     a->oidc[0] != '\0' ? "oidc" : "local", a->is_off ? "off" : "active", since);
        (void)printf("  app: %s; recovery codes left: %zu%s\n", a->totp[0] != '\0' ? "yes" : "no",
                     a->recovery_count, a->must_change ? "; the password has to be changed" : "");
        print_keys("passkey", passkeys);
        print_keys("token", tokens);
    }
    json_decref(passkeys);
    json_decref(tokens);
    fb_account_free(&a);
    return 0;
}

static enum fb_status add_token(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    if (e->token->role > a->role) {
        return fb_error_set(err, FB_DENIED, "%s is %s: a token cannot be more", a->name,
                            fb_role_name(a->role));
    }
    return fb_account_add_token(a, e->token, err);
}

/* Label, role and days. */
static bool read_token(const struct ctl *c, struct fb_token *t, int *code_r)
{
    int64_t days = c->days > 0 ? c->days : FB_TOKEN_DAYS;
    *t = (struct fb_token){.role = fb_role_of(c->role), .since_ms = fb_now_ms()};
    if (c->words[1][0] == '\0' || t->role == FB_ROLE_NONE || days > FB_TOKEN_MOST_DAYS) {
        *code_r = ctl_usage_error(c, "a token has a label, a --role (admin, operator, auditor or "
                                     "helpdesk), and lasts 1 to 366 --days");
        return false;
    }
    t->until_ms = t->since_ms + days * INT64_C(86400000);
    fb_account_label(c->words[1], t->label);
    return true;
}

int ctl_user_token(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME], token[FB_TOKEN_SIZE], id[FB_TOKEN_ID];
    struct fb_token t;
    struct fb_error err = {0};
    const struct edit e = {.token = &t};
    if (!read_token(c, &t, &code) || !begin(c, name, &code)) {
        return code;
    }
    fb_token_make(name, token, t.hash);
    fb_token_id(t.hash, id);
    enum fb_status s = change(c, name, add_token, &e, KEEPS_SESSIONS, NULL, &err);
    if (s == FB_OK) {
        s = note(c, "user.token.add", name, NULL,
                 json_pack("{s:s,s:o,s:s,s:o}", "id", id, "label", fb_json_text(t.label), "role",
                           fb_role_name(t.role), "until", ctl_json_time(t.until_ms)),
                 &err);
    }
    if (s != FB_OK) {
        code = ctl_fail(c, &err);
    } else if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s,s:s,s:o,s:s,s:o}", "name", name, "id", id, "token",
                                 token, "label", fb_json_text(t.label), "role",
                                 fb_role_name(t.role), "until", ctl_json_time(t.until_ms)));
    } else {
        (void)printf("%s\nIt is shown this once. `fumibako user revoke %s %s` ends it.\n", token,
                     name, id);
    }
    fb_wipe(token, sizeof token);
    return code;
}

/* Without its only second factor an account sets up another one when it signs in: `user reset` is for that. */
static enum fb_status drop_key(struct fb_account *a, const struct edit *e, struct fb_error *err)
{
    enum fb_status s = fb_account_drop_token(a, e->id, err);
    if (s == FB_NOT_FOUND) {
        s = fb_account_drop_passkey(a, e->id, err);
    }
    if (s == FB_NOT_FOUND) {
        return fb_error_set(err, FB_NOT_FOUND,
                            "no token and no passkey of this id: `fumibako user show %s` has them",
                            a->name);
    }
    return s == FB_DENIED ? fb_error_set(err, FB_DENIED,
                                         "it is the only second factor: `fumibako user reset %s` "
                                         "lets another one be set up",
                                         a->name)
                          : s;
}

int ctl_user_revoke(struct ctl *c)
{
    int code = 0;
    char name[FB_ACCOUNT_NAME];
    const struct edit e = {.id = c->words[1]};
    struct fb_error err = {0};
    if (!begin(c, name, &code)) {
        return code;
    }
    enum fb_status s = change(c, name, drop_key, &e, 0, NULL, &err);
    if (s == FB_OK) {
        s = note(c, "user.revoke", name, json_pack("{s:o}", "id", fb_json_text(e.id)), NULL, &err);
    }
    return s == FB_OK ? done(c, name, "that opens nothing any more; its sessions have ended")
                      : ctl_fail(c, &err);
}
