/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing a whole policy document, strictly: unknown keys, wrong types, missing and doubled names,
 * dangling references are errors, each with its line, and all of them are reported at once.  Reads
 * no file and asks no network: the check must say the same on an administrator's desk as on the
 * gateway.
 *
 * Called by the policy source (common/policy/service_source.c), the console and `fumibako policy check`.
 */
#include "common/policy/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/policy/terms.h"
#include "common/policy/text.h"

#define TEN_YEARS_S ((int64_t)3650 * 86400)

void fb_pol_name(struct fb_pol_reader *r, const struct fb_pol_scope *scope, const void *first_name,
                 size_t count, size_t stride, char **name)
{
    if (!fb_pol_required(r, scope, "name", FB_POL_NAME_MAX, name)) {
        return;
    }
    const struct fb_yaml *node = fb_yaml_get(scope->map, "name");
    for (size_t i = 0; i < count; i++) {
        const char *other = NULL;
        memcpy(&other, (const char *)first_name + i * stride, sizeof(other));
        if (other != NULL && strcmp(other, *name) == 0) {
            fb_pol_error(r, node->line, "%s.name: \"%s\" is there twice", scope->path, *name);
            return;
        }
    }
}

static void parse_group(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                        struct fb_policy_group *group, size_t index)
{
    static const char *const keys[] = {"name", "members", NULL};
    fb_pol_check_keys(r, scope, keys);
    group->line = scope->map->line;
    fb_pol_name(r, scope, &r->policy->groups[0].name, index, sizeof(*group), &group->name);
    /* The names of groups stand among addresses in conditions, so they must not look like one. */
    if (group->name != NULL && (strpbrk(group->name, "@*?/<>") != NULL || group->name[0] == '!' ||
                                strncmp(group->name, "group:", 6) == 0)) {
        fb_pol_error(
            r, group->line,
            "%s.name: \"%.60s\": a group's name holds none of @ * ? / < > and begins with neither "
            "\"!\" nor \"group:\"",
            scope->path, group->name);
    }
    const struct fb_yaml *members = fb_pol_list(r, scope, "members", SIZE_MAX);
    char path[96];
    fb_pol_path(scope, "members", path);
    if (members != NULL) {
        fb_pol_members_parse(r, members, path, group);
    }
    const struct fb_yaml *node = fb_yaml_get(scope->map, "members");
    if (node == NULL || fb_yaml_is_null(node) || (members != NULL && members->count == 0)) {
        fb_pol_error(r, node != NULL ? node->line : scope->map->line,
                     "%s: a group needs at least one member", path);
    }
}

static void parse_groups(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    const struct fb_yaml *list = fb_pol_list(r, root, "groups", FB_POL_MAX_NAMED);
    struct fb_policy *p = r->policy;
    if (list == NULL) {
        return;
    }
    p->groups = fb_xcalloc(list->count, sizeof(p->groups[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_pol_scope scope;
        char path[96];
        (void)snprintf(path, sizeof(path), "groups[%zu]", i);
        if (fb_pol_scope_init(r, &list->items[i], path, &scope)) {
            parse_group(r, &scope, &p->groups[i], i);
        }
        p->group_count = i + 1;
    }
}

/* What one definition says against itself. */
static void check_definition(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                             const struct fb_policy_security *security)
{
    if (security->purge_after_s > 0 && security->expires_after_s == 0) {
        const struct fb_yaml *node = fb_yaml_get(scope->map, "purge_after");
        fb_pol_error(r, node != NULL ? node->line : security->line,
                     "%s.purge_after: counts from the end of access and needs expires_after; set "
                     "expires_after, or remove purge_after to keep the content",
                     scope->path);
    }
    if (!security->can_download && security->max_downloads > 0) {
        fb_pol_warning(r, security->line, "%s: max_downloads has no effect with download: false",
                       scope->path);
    }
    if (security->password_to_sender && !security->is_password_generated) {
        fb_pol_warning(r, security->line,
                       "%s: password_to has no effect without password: generated", scope->path);
    }
    if (security->trusted_days > 0 && security->proof == FB_PROOF_LINK) {
        fb_pol_warning(r, security->line,
                       "%s: trusted_days has no effect with proof: link, which asks for nothing",
                       scope->path);
    }
}

static void parse_security(struct fb_pol_reader *r, const struct fb_pol_scope *scope,
                           struct fb_policy_security *security, size_t index)
{
    static const char *const keys[] = {
        "name",        "access",    "download",      "expires_after", "purge_after", "password",
        "proof",       "watermark", "max_downloads", "trusted_days",  "members",     "reply",
        "password_to", NULL};
    static const char *const accesses[] = {"recipients", "company", "anyone", NULL};
    static const char *const passwords[] = {"none", "generated", NULL};
    static const char *const proofs[] = {"link", "code", "totp", NULL};
    static const char *const readers[] = {"recipient", "sender", NULL};
    int access = FB_ACCESS_RECIPIENTS;
    int password = 0;
    int proof = FB_PROOF_CODE;
    int reader = 0;
    fb_pol_check_keys(r, scope, keys);
    security->line = scope->map->line;
    security->can_download = true;
    security->may_reply = true;
    fb_pol_name(r, scope, &r->policy->securities[0].name, index, sizeof(*security),
                &security->name);
    fb_pol_enum(r, scope, "access", accesses, &access);
    fb_pol_bool(r, scope, "download", &security->can_download);
    fb_pol_duration(r, scope, "expires_after", TEN_YEARS_S, &security->expires_after_s);
    fb_pol_duration(r, scope, "purge_after", TEN_YEARS_S, &security->purge_after_s);
    fb_pol_enum(r, scope, "password", passwords, &password);
    fb_pol_enum(r, scope, "proof", proofs, &proof);
    fb_pol_bool(r, scope, "watermark", &security->is_watermarked);
    fb_pol_int(r, scope, "max_downloads", 0, 1000000, &security->max_downloads);
    fb_pol_int(r, scope, "trusted_days", 0, 90, &security->trusted_days);
    fb_pol_bool(r, scope, "members", &security->has_members);
    fb_pol_bool(r, scope, "reply", &security->may_reply);
    fb_pol_enum(r, scope, "password_to", readers, &reader);
    security->access = (enum fb_access)access;
    security->is_password_generated = password == 1;
    security->proof = (enum fb_proof)proof;
    security->password_to_sender = reader == 1;
    check_definition(r, scope, security);
}

static void parse_securities(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    const struct fb_yaml *list = fb_pol_list(r, root, "security_definitions", FB_POL_MAX_NAMED);
    struct fb_policy *p = r->policy;
    if (list == NULL) {
        return;
    }
    p->securities = fb_xcalloc(list->count, sizeof(p->securities[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct fb_pol_scope scope;
        char path[96];
        (void)snprintf(path, sizeof(path), "security_definitions[%zu]", i);
        if (fb_pol_scope_init(r, &list->items[i], path, &scope)) {
            parse_security(r, &scope, &p->securities[i], i);
        }
        p->security_count = i + 1;
    }
}

static void parse_pass(struct fb_pol_reader *r, const struct fb_pol_scope *root)
{
    static const char *const keys[] = {"delivery_reports", "auto_replies", "encrypted", NULL};
    struct fb_policy *p = r->policy;
    struct fb_pol_scope scope;
    p->passes_delivery_reports = true;
    p->passes_auto_replies = false;
    p->passes_encrypted = true;
    if (fb_pol_scope_enter(r, root, "pass", &scope)) {
        fb_pol_check_keys(r, &scope, keys);
        fb_pol_bool(r, &scope, "delivery_reports", &p->passes_delivery_reports);
        fb_pol_bool(r, &scope, "auto_replies", &p->passes_auto_replies);
        fb_pol_bool(r, &scope, "encrypted", &p->passes_encrypted);
    }
}

static void parse_document(struct fb_pol_reader *r, const struct fb_yaml *document)
{
    static const char *const keys[] = {
        "storages", "groups", "security_definitions", "rules", "pass", "notices", NULL};
    struct fb_pol_scope root;
    if (fb_yaml_is_null(document)) {
        /* A file cut to nothing would otherwise be a policy that lets everything through. */
        fb_pol_error(r, 0, "document: is empty; a policy without rules is written \"rules: []\"");
        return;
    }
    if (!fb_pol_scope_init(r, document, "", &root)) {
        return;
    }
    fb_pol_check_keys(r, &root, keys);
    fb_pol_parse_storages(r, &root);
    parse_groups(r, &root);
    parse_securities(r, &root);
    parse_pass(r, &root);
    fb_pol_parse_notices(r, &root);
    fb_pol_parse_rules(r, &root);
    fb_pol_check_rules(r);
}

/* "line 3: text" as a finding on line 3. */
static void report_syntax(struct fb_pol_reader *r, const struct fb_error *err)
{
    const char *text = err->text;
    int line = 0;
    if (strncmp(text, "line ", 5) == 0) {
        char *end = NULL;
        long value = strtol(text + 5, &end, 10);
        if (*end == ':') {
            line = value > 0 && value < INT32_MAX ? (int)value : 0;
            text = end + (end[1] == ' ' ? 2 : 1);
        }
    }
    fb_pol_error(r, line, "document: %s", text);
}

void fb_policy_version_name(struct fb_slice document, char version_r[65])
{
    uint8_t sha[FB_SHA256_SIZE];
    fb_sha256(document.len > 0 ? (const void *)document.ptr : "", document.len, sha);
    fb_hex(sha, sizeof sha, version_r);
}

enum fb_status fb_policy_parse(struct fb_slice yaml, struct fb_policy **policy_r,
                               struct fb_policy_findings *findings_r)
{
    return fb_policy_parse_in(yaml, false, policy_r, findings_r);
}

enum fb_status fb_policy_parse_in(struct fb_slice yaml, bool is_ja, struct fb_policy **policy_r,
                                  struct fb_policy_findings *findings_r)
{
    struct fb_pol_counted *counted = fb_xcalloc(1, sizeof(*counted));
    struct fb_pol_reader r = {.policy = &counted->policy, .findings = findings_r, .is_ja = is_ja};
    struct fb_policy *policy = &counted->policy;
    struct fb_yaml *document = NULL;
    struct fb_error err = {0};

    memset(findings_r, 0, sizeof(*findings_r));
    atomic_init(&counted->refs, 1);
    (void)fb_pol_locale();
    enum fb_status status = FB_OK;
    if (yaml.len > FB_POLICY_MAX) {
        fb_pol_error(&r, 0, "document: is larger than %zu bytes", (size_t)FB_POLICY_MAX);
    } else {
        status = fb_yaml_parse_in(yaml, is_ja ? fb_pol_yaml_words_ja : NULL, &document, &err);
        if (status == FB_INVALID) {
            report_syntax(&r, &err);
        } else if (status == FB_OK) {
            parse_document(&r, document);
            fb_policy_version_name(yaml, policy->version);
            policy->document = fb_xcalloc(1, yaml.len + 1);
            policy->document_len = yaml.len;
            memcpy(policy->document, yaml.len > 0 ? (const void *)yaml.ptr : "", yaml.len);
        }
    }
    if (findings_r->error_count > 0) {
        status = FB_INVALID;
    }
    fb_pol_findings_sort(findings_r);
    fb_yaml_free(&document);
    if (status == FB_OK) {
        *policy_r = policy;
    } else {
        fb_policy_unref(&policy);
    }
    return status;
}
