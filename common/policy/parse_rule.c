/* SPDX-License-Identifier: Apache-2.0
 *
 * The `rules` section of the policy: conditions, references, and what a rule asks of the storage it
 * names. What only several rules together show is in subsume.c.
 */
#include "common/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/policy/terms.h"

#define RULE_PATH_MAX_BYTES 512
#define REMIND_MAX_DAYS     3650
#define DAY_S               INT64_C(86400)

static int line_of(const struct fb_pol_scope *scope, const char *key)
{
    const struct fb_yaml *node = fb_yaml_get(scope->map, key);
    return node != NULL ? node->line : scope->map->line;
}

static bool is_given(const struct fb_pol_scope *scope, const char *key)
{
    return fb_pol_value(scope, key) != NULL;
}

/* ---- when ---- */

/* RFC 5322 3.6.8: printable ASCII except the colon. */
static bool is_field_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] >= 0x7f || name[i] == ':') {
            return false;
        }
    }
    return len > 0 && len <= 100;
}

static void parse_header(struct fb_pol_reader *r, const struct fb_pol_scope *scope, size_t index,
                         struct fb_policy_rule *rule)
{
    const char *name = scope->map->keys[index];
    int key_line = scope->map->key_lines[index];
    char path[96];
    fb_pol_path(scope, name, path);
    if (!is_field_name(name)) {
        fb_pol_error(r, key_line, "%s: is no name of a header field", path);
        return;
    }
    for (size_t i = 0; i < rule->header_count; i++) {
        if (strcasecmp(rule->headers[i].name, name) == 0) {
            fb_pol_error(r, key_line, "%s: the header is there twice (case does not matter)", path);
            return;
        }
    }
    const struct fb_yaml *list = fb_pol_list(r, scope, name, FB_POL_MAX_TERMS);
    if (!is_given(scope, name) || (list != NULL && list->count == 0)) {
        fb_pol_error(r, key_line, "%s: must say what the header holds; [\"/./\"] means anything",
                     path);
        return;
    }
    if (list != NULL) {
        struct fb_policy_header_condition *header = &rule->headers[rule->header_count++];
        header->name = fb_xstrdup(name);
        fb_pol_terms_parse_list(r, list, path, FB_POL_TEXT, &header->terms);
    }
}

static void parse_attachments(struct fb_pol_reader *r, const struct fb_pol_scope *when,
                              struct fb_policy_rule *rule)
{
    static const char *const keys[] = {"present",     "name",       "type",
                                       "larger_than", "count_over", NULL};
    struct fb_pol_scope scope;
    if (!fb_pol_scope_enter(r, when, "attachments", &scope)) {
        return;
    }
    fb_pol_check_keys(r, &scope, keys);
    if (is_given(&scope, "present")) {
        bool is_present = true;
        fb_pol_bool(r, &scope, "present", &is_present);
        rule->attachments_present = is_present ? 1 : 0;
    }
    fb_pol_terms_parse(r, &scope, "name", FB_POL_FILE_NAME, &rule->attachment_name);
    fb_pol_terms_parse(r, &scope, "type", FB_POL_MEDIA_TYPE, &rule->attachment_type);
    fb_pol_size(r, &scope, "larger_than", &rule->attachment_larger_than);
    fb_pol_int(r, &scope, "count_over", 0, 1000000, &rule->attachment_count_over);
}

static void parse_when(struct fb_pol_reader *r, const struct fb_pol_scope *rule_scope,
                       struct fb_policy_rule *rule)
{
    static const char *const keys[] = {"from", "to",          "subject",   "header",
                                       "body", "attachments", "size_over", NULL};
    struct fb_pol_scope when;
    struct fb_pol_scope headers;
    if (!fb_pol_scope_enter(r, rule_scope, "when", &when)) {
        return;
    }
    fb_pol_check_keys(r, &when, keys);
    fb_pol_terms_parse(r, &when, "from", FB_POL_SENDER, &rule->from);
    fb_pol_terms_parse(r, &when, "to", FB_POL_RECIPIENT, &rule->to);
    fb_pol_terms_parse(r, &when, "subject", FB_POL_TEXT, &rule->subject);
    fb_pol_terms_parse(r, &when, "body", FB_POL_BODY, &rule->body);
    if (fb_pol_scope_enter(r, &when, "header", &headers)) {
        rule->headers = fb_xcalloc(headers.map->count, sizeof(rule->headers[0]));
        for (size_t i = 0; i < headers.map->count; i++) {
            parse_header(r, &headers, i, rule);
        }
    }
    parse_attachments(r, &when, rule);
    fb_pol_size(r, &when, "size_over", &rule->size_over);
}

/* ---- what it does ---- */

static void parse_secure(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                         struct fb_policy_rule *rule)
{
    static const char *const keys[] = {"body", "attachments", "images", "remote_images", NULL};
    struct fb_pol_scope secure;
    rule->secures_body = true;
    rule->secures_attachments = true;
    if (!fb_pol_scope_enter(r, scope, "secure", &secure)) {
        return;
    }
    fb_pol_check_keys(r, &secure, keys);
    fb_pol_bool(r, &secure, "body", &rule->secures_body);
    fb_pol_bool(r, &secure, "attachments", &rule->secures_attachments);
    fb_pol_bool(r, &secure, "images", &rule->shows_images);
    fb_pol_bool(r, &secure, "remote_images", &rule->fetches_images);
    if (!rule->secures_body && !rule->secures_attachments) {
        fb_pol_error(r, secure.map->line,
                     "%s: body and attachments are both false, so nothing would be secured; use "
                     "action: pass",
                     secure.path);
    }
    if ((rule->fetches_images || rule->shows_images) && !rule->secures_body) {
        fb_pol_error(r, secure.map->line, "%s: %s is for the body, which this rule does not secure",
                     secure.path, rule->fetches_images ? "remote_images" : "images");
    }
}

static void parse_references(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                             struct fb_policy_rule *rule)
{
    const struct fb_policy *p = r->policy;
    char *name = NULL;
    char known[160];
    if (fb_pol_string(r, scope, "storage", FB_POL_NAME_MAX, &name)) {
        rule->storage = fb_policy_find_storage(p, name);
        if (rule->storage == NULL) {
            fb_pol_name_list(r, p->storage_count > 0 ? &p->storages[0].name : NULL,
                             p->storage_count, sizeof(p->storages[0]), known, sizeof(known));
            fb_pol_error(r, line_of(scope, "storage"),
                         "%s.storage: unknown storage \"%.60s\"; known: %s", scope->path, name,
                         known);
        }
    } else if (rule->action == FB_ACTION_SECURE && !is_given(scope, "storage")) {
        fb_pol_error(r, scope->map->line, "%s: \"storage\" is missing; action: secure needs one",
                     scope->path);
    }
    if (fb_pol_string(r, scope, "security", FB_POL_NAME_MAX, &name)) {
        rule->security = fb_policy_find_security(p, name);
        if (rule->security == NULL) {
            fb_pol_name_list(r, p->security_count > 0 ? &p->securities[0].name : NULL,
                             p->security_count, sizeof(p->securities[0]), known, sizeof(known));
            fb_pol_error(r, line_of(scope, "security"),
                         "%s.security: unknown security definition \"%.60s\"; known: %s",
                         scope->path, name, known);
        }
    } else if (rule->action == FB_ACTION_SECURE && !is_given(scope, "security")) {
        fb_pol_error(r, scope->map->line, "%s: \"security\" is missing; action: secure needs one",
                     scope->path);
    }
    free(name);
}

/* "invite", the name of a vault storage, or "vault" for the only one. */
static void parse_without_account(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                                  struct fb_policy_rule *rule)
{
    const struct fb_policy *p = r->policy;
    char *name = NULL;
    int line = line_of(scope, "without_account");
    if (!fb_pol_string(r, scope, "without_account", FB_POL_NAME_MAX, &name) ||
        strcmp(name, "invite") == 0) {
        free(name);
        return;
    }
    const struct fb_policy_storage *found = fb_policy_find_storage(p, name);
    size_t vault_count = 0;
    for (size_t i = 0; found == NULL && strcmp(name, "vault") == 0 && i < p->storage_count; i++) {
        if (p->storages[i].type == FB_STORAGE_VAULT) {
            rule->without_account = &p->storages[i];
            vault_count++;
        }
    }
    if (found != NULL && found->type == FB_STORAGE_VAULT) {
        rule->without_account = found;
    } else if (found != NULL) {
        fb_pol_error(r, line, "%s.without_account: \"%.60s\" is no vault storage", scope->path,
                     name);
    } else if (strcmp(name, "vault") != 0) {
        fb_pol_error(r, line,
                     "%s.without_account: must be invite, vault or the name of a vault storage, is "
                     "\"%.60s\"",
                     scope->path, name);
    } else if (vault_count != 1) {
        rule->without_account = NULL;
        fb_pol_error(r, line,
                     vault_count == 0
                         ? "%s.without_account: no storage of type vault is defined"
                         : "%s.without_account: several vaults are defined; give the name of one",
                     scope->path);
    }
    if (rule->without_account != NULL && rule->storage != NULL &&
        rule->storage->type != FB_STORAGE_BOX) {
        fb_pol_warning(r, line, "%s.without_account: has no effect, a vault needs no account",
                       scope->path);
    }
    free(name);
}

/* Days: 3, or 3d. */
static void parse_remind_after(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                               struct fb_policy_rule *rule)
{
    const int64_t day_ms = (int64_t)24 * 3600 * 1000;
    const struct fb_yaml *node = fb_pol_value(scope, "remind_after");
    int64_t days = -1;
    int64_t ms = 0;
    if (node == NULL) {
        return;
    }
    if (node->kind == FB_YAML_SCALAR && !fb_parse_int(node->scalar, &days) &&
        fb_parse_duration(node->scalar, &ms) && ms % day_ms == 0) {
        days = ms / day_ms;
    }
    if (days < 0 || days > REMIND_MAX_DAYS) {
        fb_pol_error(r, node->line,
                     "%s.remind_after: must be days such as 3 or 3d (0 = never, at most %d)",
                     scope->path, REMIND_MAX_DAYS);
    } else {
        rule->remind_after_days = days;
    }
}

static void parse_path(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                       struct fb_policy_rule *rule)
{
    char why[320];
    const char *warning = NULL;
    if (fb_pol_string(r, scope, "path", RULE_PATH_MAX_BYTES, &rule->path)) {
        const char *wrong = fb_pol_path_check(r, rule->path, why, sizeof(why), &warning);
        if (wrong != NULL) {
            fb_pol_error(r, line_of(scope, "path"), "%s.path: %s", scope->path,
                         fb_pol_words(r, wrong));
        } else if (warning != NULL) {
            fb_pol_warning(r, line_of(scope, "path"), "%s.path: %s", scope->path,
                           fb_pol_words(r, warning));
        }
    } else {
        rule->path = fb_xstrdup("");
    }
}

/* ---- what the storage allows ---- */

static void check_vault(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                        const struct fb_policy_security *s)
{
    if (s->access == FB_ACCESS_ANYONE && s->proof != FB_PROOF_LINK) {
        fb_pol_warning(r, line_of(scope, "security"),
                       "%s.security: \"%.60s\" has access: anyone, but in a vault each recipient "
                       "has a link and proves that mailbox; proof: link lets in whoever has a link",
                       scope->path, s->name);
    }
}

/* Keys that only a vault can keep.  Recipients without an account may read in one all the same. */
static void check_vault_keys(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                             const struct fb_policy_rule *rule)
{
    const struct fb_policy_security *s = rule->security;
    int line = line_of(scope, "security");
    if (s->max_downloads > 0) {
        fb_pol_error(r, line,
                     "%s.security: \"%.60s\" has max_downloads, which only a vault can keep",
                     scope->path, s->name);
    }
    if (s->is_password_generated && s->password_to_sender) {
        fb_pol_error(r, line,
                     "%s.security: \"%.60s\" has password_to: sender, which only a vault can keep",
                     scope->path, s->name);
    }
    if ((s->trusted_days > 0 || s->has_members) && rule->without_account == NULL) {
        fb_pol_warning(r, line,
                       "%s.security: trusted_days and members of \"%.60s\" are ignored, Box "
                       "decides who logs in and how",
                       scope->path, s->name);
    }
}

static void check_security(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                           const struct fb_policy_rule *rule)
{
    const struct fb_policy_security *s = rule->security;
    int line = line_of(scope, "security");
    if (rule->storage == NULL || s == NULL || s->name == NULL) {
        return;
    }
    if (rule->storage->type == FB_STORAGE_VAULT) {
        check_vault(r, scope, s);
        return;
    }
    if (rule->storage->auth_file == NULL) {
        return;
    }
    check_vault_keys(r, scope, rule);
    if (s->is_password_generated && s->access != FB_ACCESS_ANYONE) {
        fb_pol_error(
            r, line,
            "%s.security: \"%.60s\" has password: generated, which Box has only for links with "
            "access: anyone",
            scope->path, s->name);
    }
    if (s->proof != FB_PROOF_CODE) {
        fb_pol_warning(r, line,
                       "%s.security: proof of \"%.60s\" is ignored, Box decides how people log in",
                       scope->path, s->name);
    }
    if (!s->can_download && s->access != FB_ACCESS_ANYONE) {
        fb_pol_warning(r, line,
                       "%s.security: \"%.60s\" has download: false; Box needs the role previewer "
                       "for it, which "
                       "not every plan has",
                       scope->path, s->name);
    }
}

static bool has_tag(const struct fb_policy_rule *rule)
{
    for (size_t i = 0; i < rule->subject.count; i++) {
        const struct fb_policy_term *term = &rule->subject.items[i];
        size_t len = strlen(term->text);
        if (!term->is_negated && !term->is_regex && len > 2 && term->text[0] == '[' &&
            term->text[len - 1] == ']') {
            return true;
        }
    }
    return false;
}

/* What nobody can open any more is not asked about. */
static void check_reminder(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                           const struct fb_policy_rule *rule)
{
    const struct fb_policy_security *s = rule->security;
    if (s != NULL && s->expires_after_s > 0 && rule->remind_after_days > 0 &&
        rule->remind_after_days * DAY_S >= s->expires_after_s) {
        fb_pol_warning(r, line_of(scope, "remind_after"),
                       "%s.remind_after: has no effect, access ends before (expires_after of "
                       "\"%.60s\"); take fewer days",
                       scope->path, s->name);
    }
}

/* A password that nobody would be told. */
static void check_receipt(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                          const struct fb_policy_rule *rule)
{
    const struct fb_policy_security *s = rule->security;
    if (s != NULL && s->is_password_generated && s->password_to_sender && !rule->sends_receipt) {
        fb_pol_error(r, line_of(scope, "security"),
                     "%s.security: \"%.60s\" tells the password to the sender, in the receipt: "
                     "set receipt: true, or password_to: recipient",
                     scope->path, s->name);
    }
}

static void check_effects(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                          const struct fb_policy_rule *rule)
{
    static const char *const secure_only[] = {"secure",     "storage",   "without_account",
                                              "security",   "path",      "receipt",
                                              "on_failure", "strip_tag", "remind_after"};
    for (size_t i = 0;
         rule->action != FB_ACTION_SECURE && i < sizeof(secure_only) / sizeof(secure_only[0]);
         i++) {
        if (is_given(scope, secure_only[i])) {
            fb_pol_warning(r, line_of(scope, secure_only[i]),
                           "%s.%s: has no effect with this action", scope->path, secure_only[i]);
        }
    }
    if (rule->action == FB_ACTION_SECURE) {
        check_security(r, scope, rule);
        check_receipt(r, scope, rule);
        if (rule->strips_tag && !has_tag(rule)) {
            fb_pol_warning(
                r, line_of(scope, "strip_tag"),
                "%s.strip_tag: no subject condition is a [tag], so there is nothing to remove",
                scope->path);
        }
        check_reminder(r, scope, rule);
    }
}

/* ---- the rule ---- */

static void parse_rule(struct fb_pol_reader *r, const struct fb_pol_scope *scope, size_t index)
{
    static const char *const keys[] = {"name",       "enabled",         "when",     "action",
                                       "secure",     "storage",         "security", "path",
                                       "receipt",    "without_account", "shadow",   "strip_tag",
                                       "on_failure", "remind_after",    NULL};
    static const char *const actions[] = {"secure", "pass", "reject", NULL};
    static const char *const failures[] = {"hold", "bounce", "deliver", NULL};
    struct fb_policy_rule *rule = &r->policy->rules[index];
    /* The default is secure; what is given and wrong must not be blamed for lacking a storage as well. */
    int action = is_given(scope, "action") ? FB_ACTION_PASS : FB_ACTION_SECURE;
    int on_failure = FB_FAILURE_HOLD;
    fb_pol_check_keys(r, scope, keys);
    rule->line = scope->map->line;
    fb_pol_name(r, scope, &r->policy->rules[0].name, index, sizeof(*rule), &rule->name);
    fb_pol_bool(r, scope, "enabled", &rule->is_enabled);
    parse_when(r, scope, rule);
    fb_pol_enum(r, scope, "action", actions, &action);
    rule->action = (enum fb_action)action;
    parse_secure(r, scope, rule);
    parse_references(r, scope, rule);
    parse_without_account(r, scope, rule);
    parse_path(r, scope, rule);
    fb_pol_bool(r, scope, "receipt", &rule->sends_receipt);
    fb_pol_enum(r, scope, "on_failure", failures, &on_failure);
    rule->on_failure = (enum fb_on_failure)on_failure;
    fb_pol_bool(r, scope, "strip_tag", &rule->strips_tag);
    fb_pol_bool(r, scope, "shadow", &rule->is_shadow);
    parse_remind_after(r, scope, rule);
    check_effects(r, scope, rule);
}

void fb_pol_parse_rules(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    struct fb_policy *p = r->policy;
    if (!is_given(root, "rules")) {
        fb_pol_error(r, root->map->line,
                     "document: \"rules\" is missing; a policy without rules is written "
                     "\"rules: []\"");
        return;
    }
    const struct fb_yaml *list = fb_pol_list(r, root, "rules", FB_POL_MAX_RULES);
    if (list == NULL) {
        return;
    }
    if (list->count == 0) {
        fb_pol_warning(r, list->line, "rules: there is no rule, so all mail passes untouched");
    }
    p->rules = fb_xcalloc(list->count, sizeof(p->rules[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_policy_rule *rule = &p->rules[i];
        struct fb_pol_scope scope;
        char path[96];
        rule->is_enabled = true;
        rule->sends_receipt = true;
        rule->attachments_present = -1;
        rule->attachment_larger_than = -1;
        rule->attachment_count_over = -1;
        rule->size_over = -1;
        (void)snprintf(path, sizeof(path), "rules[%zu]", i);
        if (fb_pol_scope_init(r, &list->items[i], path, &scope)) {
            parse_rule(r, &scope, i);
        }
        p->rule_count = i + 1;
    }
}
