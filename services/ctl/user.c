/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako user add|list|passwd|role|unlock|reset|remove: the console's accounts, also where nobody can sign in. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/accounts/audit.h"
#include "common/accounts/password.h"
#include "services/ctl/ctl.h"

#define ATTEMPTS 5

/* ---- what they share ---- */

static json_t *user_json(const struct fb_account *a)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:i,s:i,s:b,s:o,s:o}", "name", a->name, "role",
                     fb_role_name(a->role), "state", a->is_off ? "off" : "active", "kind",
                     a->oidc[0] != '\0' ? "oidc" : "local", "totp", a->totp[0] != '\0', "passkeys",
                     (int)a->passkey_count, "tokens", (int)a->token_count, "must_change",
                     a->must_change, "since", ctl_json_time(a->since_ms), "changed",
                     ctl_json_time(a->changed_ms));
}

/* Who does it goes into the console's audit; json values are taken. */
static enum fb_status note(struct ctl *c, const char *action, const char *name, json_t *before,
                           json_t *after, struct fb_error *err)
{
    char user[80], object[FB_ACCOUNT_NAME + 8];
    const struct passwd *pw = getpwuid(getuid());
    (void)snprintf(user, sizeof user, "%.60s@shell", pw != NULL ? pw->pw_name : "?");
    (void)snprintf(object, sizeof object, "user %s", name);
    const struct fb_audit_line line = {.user = user,
                                       .role = "",
                                       .by = "command",
                                       .address = "",
                                       .action = action,
                                       .object = object,
                                       .before = before,
                                       .after = after};
    enum fb_status s = fb_audit_write(c->redis, &line, c->config->retention.ledger_ms, err);
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
};
typedef enum fb_status (*edit_fn)(struct fb_account *a, const struct edit *e, struct fb_error *err);

/* Reads, changes and writes; again when a console was faster.  Its sessions end. */
static enum fb_status change(struct ctl *c, const char *name, edit_fn edit, const struct edit *e,
                             bool keeps_admin, const char *action, struct fb_error *err)
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
            s = fb_account_put(c->redis, a, keeps_admin, err);
        }
        if (s == FB_OK) {
            s = fb_account_end_sessions(c->redis, a->handle, "", err);
        }
        if (s == FB_OK) {
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
        s = change(c, name, set_password, &e, false, "user.password", &err);
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
    return change(c, name, set_role, &e, true, "user.change", &err) == FB_OK
               ? done(c, name, "has this role now; its sessions have ended")
               : ctl_fail(c, &err);
}

int ctl_user_unlock(struct ctl *c)
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
        s = fb_account_unlock(c->redis, name, &err);
    }
    if (s == FB_OK) {
        s = note(c, "user.unlock", name, NULL, NULL, &err);
    }
    fb_account_free(&a);
    return s == FB_OK ? done(c, name, "may try again at once") : ctl_fail(c, &err);
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
    return change(c, name, forget, &e, false, "user.reset", &err) == FB_OK
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
