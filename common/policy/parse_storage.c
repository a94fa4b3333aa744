/* SPDX-License-Identifier: Apache-2.0
 *
 * The `storages` and `notices` sections of the policy.  Does not open the files they name: the
 * services that use them do, and say so when they cannot.
 */
#include "common/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy/template.h"

#define PATH_MAX_BYTES     1024
#define TEMPLATE_MAX_BYTES ((size_t)64 * 1024)
/* 256 KiB in base64, and its prefix */
#define LOGO_MAX_BYTES ((size_t)360 * 1024)

static bool is_digits(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Box ids are decimal strings; unquoted ones in YAML are the same text. */
static void box_id(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                   char **id)
{
    if (fb_pol_string(r, scope, key, 32, id) && !is_digits(*id)) {
        fb_pol_error(r, fb_yaml_get(scope->map, key)->line,
                     "%s.%s: must be a Box id (digits), is \"%.40s\"", scope->path, key, *id);
    }
}

static void parse_user(struct fb_pol_reader *r, const struct fb_yaml *item, const char *path,
                       struct fb_policy_box_user *user)
{
    static const char *const keys[] = {"id", "root_folder", NULL};
    struct fb_pol_scope scope;
    if (item->kind == FB_YAML_SCALAR) {
        const char *id = fb_pol_item(r, item, path, 32);
        user->id = id != NULL ? fb_xstrdup(id) : NULL;
        if (id != NULL && !is_digits(id)) {
            fb_pol_error(r, item->line, "%s: must be a Box user id (digits), is \"%.40s\"", path,
                         id);
        }
        return;
    }
    if (fb_pol_scope_init(r, item, path, &scope)) {
        fb_pol_check_keys(r, &scope, keys);
        if (fb_pol_value(&scope, "id") == NULL) {
            fb_pol_error(r, item->line, "%s: \"id\" is missing", path);
        }
        box_id(r, &scope, "id", &user->id);
        box_id(r, &scope, "root_folder", &user->root_folder);
    }
}

static void parse_users(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                        struct fb_policy_storage *storage)
{
    const struct fb_yaml *list = fb_pol_list(r, scope, "users", FB_POL_MAX_USERS);
    if (list == NULL) {
        return;
    }
    storage->users = fb_xcalloc(list->count, sizeof(storage->users[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_policy_box_user *user = &storage->users[storage->user_count];
        char path[96];
        (void)snprintf(path, sizeof(path), "%.60s.users[%zu]", scope->path, i);
        parse_user(r, &list->items[i], path, user);
        for (size_t j = 0; j < storage->user_count && user->id != NULL; j++) {
            if (storage->users[j].id != NULL && strcmp(storage->users[j].id, user->id) == 0) {
                fb_pol_error(r, list->items[i].line, "%s: user %s is there twice", path, user->id);
                break;
            }
        }
        if (user->root_folder == NULL) {
            user->root_folder = fb_xstrdup(storage->root_folder);
        }
        storage->user_count++;
    }
}

/* An http(s) base URL without the slash at its end; http only to this host, since a token travels
 * on it. */
static void base_url(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const char *key,
                     char **url)
{
    if (!fb_pol_string(r, scope, key, PATH_MAX_BYTES, url)) {
        return;
    }
    int line = fb_yaml_get(scope->map, key)->line;
    const char *host = NULL;
    for (size_t len = strlen(*url); len > 0 && (*url)[len - 1] == '/'; len--) {
        (*url)[len - 1] = '\0';
    }
    if (strncmp(*url, "https://", 8) == 0) {
        host = *url + 8;
    } else if (strncmp(*url, "http://", 7) == 0) {
        host = *url + 7;
        if (strncmp(host, "127.", 4) != 0 && strncmp(host, "[::1]", 5) != 0 &&
            strncmp(host, "localhost", 9) != 0) {
            fb_pol_warning(r, line, "%s.%s: http sends access tokens unencrypted; use https",
                           scope->path, key);
        }
    }
    if (host == NULL || host[0] == '\0' || host[0] == '/' || strpbrk(host, " @?#\\") != NULL) {
        fb_pol_error(r, line, "%s.%s: must be a URL https://host/path, is \"%.100s\"", scope->path,
                     key, *url);
    }
}

static void parse_box(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                      struct fb_policy_storage *storage)
{
    static const char *const keys[] = {"name",      "type",     "auth_file", "root_folder",
                                       "users",     "box_auth", "api_url",   "upload_url",
                                       "token_url", "events",   NULL};
    static const char *const auths[] = {"jwt", "ccg", NULL};
    static const char *const streams[] = {"user", "enterprise", NULL};
    int auth = -1;
    int stream = 0;
    fb_pol_check_keys(r, scope, keys);
    storage->root_folder = fb_xstrdup("0");
    storage->api_url = fb_xstrdup("https://api.box.com/2.0");
    storage->upload_url = fb_xstrdup("https://upload.box.com/api/2.0");
    storage->token_url = fb_xstrdup("https://api.box.com/oauth2/token");
    (void)fb_pol_required(r, scope, "auth_file", PATH_MAX_BYTES, &storage->auth_file);
    box_id(r, scope, "root_folder", &storage->root_folder);
    fb_pol_enum(r, scope, "box_auth", auths, &auth);
    if (auth >= 0) {
        storage->box_auth = fb_xstrdup(auths[auth]);
    }
    fb_pol_enum(r, scope, "events", streams, &stream);
    storage->follows_enterprise = stream == 1;
    base_url(r, scope, "api_url", &storage->api_url);
    base_url(r, scope, "upload_url", &storage->upload_url);
    base_url(r, scope, "token_url", &storage->token_url);
    parse_users(r, scope, storage);
}

static void parse_vault(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                        struct fb_policy_storage *storage)
{
    static const char *const keys[] = {"name", "type", "url", "key_file", "quota", NULL};
    fb_pol_check_keys(r, scope, keys);
    (void)fb_pol_required(r, scope, "key_file", PATH_MAX_BYTES, &storage->key_file);
    fb_pol_size(r, scope, "quota", &storage->quota);
    if (!fb_pol_required(r, scope, "url", PATH_MAX_BYTES, &storage->url)) {
        return;
    }
    const char *url = storage->url;
    bool is_file = strncmp(url, "file:///", 8) == 0 && url[8] != '\0';
    bool is_s3 = strncmp(url, "s3://", 5) == 0 && url[5] != '\0' && url[5] != '/';
    size_t len = strlen(url);
    bool is_up = strstr(url, "/../") != NULL || (len > 3 && strcmp(url + len - 3, "/..") == 0);
    if ((!is_file && !is_s3) || is_up) {
        fb_pol_error(r, fb_yaml_get(scope->map, "url")->line,
                     "%s.url: must be file:///directory or s3://bucket/prefix, is \"%.100s\"",
                     scope->path, url);
    }
}

static void parse_storage(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                          struct fb_policy_storage *storage, size_t index)
{
    static const char *const types[] = {"box", "vault", NULL};
    int type = -1;
    storage->line = scope->map->line;
    fb_pol_name(r, scope, &r->policy->storages[0].name, index, sizeof(*storage), &storage->name);
    if (storage->name != NULL && strcmp(storage->name, "invite") == 0) {
        fb_pol_error(r, storage->line,
                     "%s.name: \"invite\" has a meaning in without_account; take another",
                     scope->path);
    }
    if (fb_pol_value(scope, "type") == NULL) {
        fb_pol_error(r, scope->map->line, "%s: \"type\" is missing (box or vault)", scope->path);
    }
    fb_pol_enum(r, scope, "type", types, &type);
    if (type >= 0) {
        storage->type = (enum fb_storage_type)type;
        if (storage->type == FB_STORAGE_BOX) {
            parse_box(r, scope, storage);
        } else {
            parse_vault(r, scope, storage);
        }
    }
}

void fb_pol_parse_storages(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    const struct fb_yaml *list = fb_pol_list(r, root, "storages", FB_POL_MAX_NAMED);
    struct fb_policy *p = r->policy;
    if (list == NULL) {
        return;
    }
    p->storages = fb_xcalloc(list->count, sizeof(p->storages[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_pol_scope scope;
        char path[96];
        (void)snprintf(path, sizeof(path), "storages[%zu]", i);
        if (fb_pol_scope_init(r, &list->items[i], path, &scope)) {
            parse_storage(r, &scope, &p->storages[i], i);
        }
        p->storage_count = i + 1;
    }
}

/* ---- notices ---- */

static void check_logo(struct fb_pol_reader *r, int line, const char *logo)
{
    static const char *const prefixes[] = {"data:image/png;base64,", "data:image/jpeg;base64,",
                                           "data:image/gif;base64,"};
    bool is_ok = logo[0] == '/';
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        is_ok = is_ok || strncmp(logo, prefixes[i], strlen(prefixes[i])) == 0;
    }
    if (!is_ok) {
        fb_pol_error(r, line,
                     "notices.logo: must be the absolute path of an image file or a "
                     "data:image/png|jpeg|gif;base64, URL");
    }
}

static void check_placeholders(struct fb_pol_reader *r, int line, const char *path,
                               const char *text, const struct fb_policy_template_kind *kind)
{
    bool has_required = kind->required == NULL;
    size_t len = 0;
    const char *rest = text;
    for (const char *name = fb_policy_template_next(text, &len, &rest); name != NULL;
         name = fb_policy_template_next(rest, &len, &rest)) {
        if (!fb_policy_template_knows(kind, name, len)) {
            const char *const *common = fb_policy_template_common();
            char own[140];
            char general[100];
            size_t own_count = 0;
            size_t common_count = 0;
            for (; kind->placeholders[own_count] != NULL; own_count++) {
            }
            for (; common[common_count] != NULL; common_count++) {
            }
            fb_pol_name_list(r, kind->placeholders, own_count, sizeof(kind->placeholders[0]), own,
                             sizeof(own));
            fb_pol_name_list(r, common, common_count, sizeof(common[0]), general, sizeof(general));
            fb_pol_error(r, line, "%s: unknown placeholder {{%.*s}}; known: %s, %s", path,
                         len < 40 ? (int)len : 40, name, own, general);
        } else if (kind->required != NULL && strlen(kind->required) == len &&
                   strncmp(kind->required, name, len) == 0) {
            has_required = true;
        }
    }
    if (!has_required) {
        fb_pol_error(r, line, "%s: must hold {{%s}}", path, kind->required);
    }
}

static void parse_template(struct fb_pol_reader *r, const struct fb_pol_scope *scope, size_t index,
                           struct fb_policy_notices *notices)
{
    const char *key = scope->map->keys[index];
    const struct fb_yaml *node = &scope->map->items[index];
    const struct fb_policy_template_kind *kind = fb_policy_template_find(key);
    char path[96];
    fb_pol_path(scope, key, path);
    if (kind == NULL) {
        fb_pol_error(
            r, scope->map->key_lines[index],
            "%s: unknown template; written <notice|password|receipt|code|reminder|held|recalled>."
            "<ja|en>.<text|html>",
            path);
        return;
    }
    if (node->kind != FB_YAML_SCALAR || fb_yaml_is_null(node) || node->scalar[0] == '\0') {
        fb_pol_error(r, node->line, "%s: must be a text", path);
        return;
    }
    if (strlen(node->scalar) > TEMPLATE_MAX_BYTES) {
        fb_pol_error(r, node->line, "%s: is longer than %zu bytes", path, TEMPLATE_MAX_BYTES);
        return;
    }
    check_placeholders(r, node->line, path, node->scalar, kind);
    struct fb_policy_template *item = &notices->templates[notices->template_count++];
    item->key = fb_xstrdup(key);
    item->text = fb_xstrdup(node->scalar);
    item->line = node->line;
}

void fb_pol_parse_notices(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    static const char *const keys[] = {"language", "organisation", "logo", "templates", NULL};
    static const char *const languages[] = {"auto", "ja", "en", NULL};
    struct fb_policy_notices *notices = &r->policy->notices;
    struct fb_pol_scope scope;
    struct fb_pol_scope templates;
    int language = 0;
    if (!fb_pol_scope_enter(r, root, "notices", &scope)) {
        notices->language = fb_xstrdup(languages[0]);
        notices->organisation = fb_xstrdup("");
        return;
    }
    fb_pol_check_keys(r, &scope, keys);
    fb_pol_enum(r, &scope, "language", languages, &language);
    notices->language = fb_xstrdup(languages[language]);
    (void)fb_pol_string(r, &scope, "organisation", 200, &notices->organisation);
    if (notices->organisation == NULL) {
        notices->organisation = fb_xstrdup("");
    }
    if (fb_pol_string(r, &scope, "logo", LOGO_MAX_BYTES, &notices->logo)) {
        check_logo(r, fb_yaml_get(scope.map, "logo")->line, notices->logo);
    }
    if (fb_pol_scope_enter(r, &scope, "templates", &templates)) {
        notices->templates = fb_xcalloc(templates.map->count, sizeof(notices->templates[0]));
        for (size_t i = 0; i < templates.map->count; i++) {
            parse_template(r, &templates, i, notices);
        }
    }
}
