/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of notice texts: see template.h.  Checked against by the policy parser, filled in by
 * the services that write mail.
 */
#include "common/policy/template.h"

#include <stdio.h>
#include <string.h>

static const char *const common_names[] = {"organisation", "logo", "subject", "sender",
                                           "recipient",    "date", "msg_id",  NULL};

static const char *const notice_names[] = {"link",    "files",    "file_count", "size",
                                           "expires", "download", "recipients", "proof",
                                           "storage", NULL};
static const char *const password_names[] = {"password", "link", "expires", NULL};
static const char *const receipt_names[] = {
    "recipients",  "pending",     "account_help", "files",    "file_count", "size",
    "access",      "download",    "expires",      "rule",     "security",   "storage",
    "recall_link", "recall_help", "postmaster",   "password", NULL};
static const char *const code_names[] = {"code", "valid_minutes", "postmaster", NULL};
static const char *const reminder_names[] = {
    "recipients", "pending",     "account_help", "since",      "days", "log",
    "expires",    "recall_link", "recall_help",  "postmaster", NULL};
static const char *const held_names[] = {"recipients", "reason",     "next",
                                         "until",      "postmaster", NULL};
static const char *const recalled_names[] = {"result",      "recipients", "opened", "unopened",
                                             "recalled_at", "actor",      "reason", "recall_link",
                                             "recall_help", "postmaster", NULL};

static const struct fb_policy_template_kind kinds[] = {
    {"notice", "link", notice_names},         /* to the recipient, in place of the content */
    {"password", "password", password_names}, /* second mail: the generated password */
    {"receipt", NULL, receipt_names},         /* to the sender: what was secured for whom */
    {"code", "code", code_names},             /* one-time code of the portal */
    {"reminder", NULL, reminder_names},       /* to the sender: still unopened */
    {"held", NULL, held_names},               /* to the sender: not delivered, and why */
    {"recalled", NULL, recalled_names},       /* to the sender: what the recall reached */
    {NULL, NULL, NULL},
};

const struct fb_policy_template_kind *fb_policy_template_kinds(void)
{
    return kinds;
}

bool fb_policy_template_is_kind(const char *name)
{
    for (const struct fb_policy_template_kind *k = fb_policy_template_kinds(); k->name != NULL;
         k++) {
        if (strcmp(k->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *const *fb_policy_template_common(void)
{
    return common_names;
}

const struct fb_policy_template_kind *fb_policy_template_find(const char *key)
{
    static const char *const endings[] = {".ja.text", ".ja.html", ".en.text", ".en.html"};
    size_t len = strcspn(key, ".");
    for (size_t i = 0; kinds[i].name != NULL; i++) {
        if (strlen(kinds[i].name) != len || strncmp(kinds[i].name, key, len) != 0) {
            continue;
        }
        for (size_t j = 0; j < sizeof(endings) / sizeof(endings[0]); j++) {
            if (strcmp(key + len, endings[j]) == 0) {
                return &kinds[i];
            }
        }
    }
    return NULL;
}

static bool is_in(const char *const *names, const char *name, size_t len)
{
    for (; *names != NULL; names++) {
        if (strlen(*names) == len && strncmp(*names, name, len) == 0) {
            return true;
        }
    }
    return false;
}

bool fb_policy_template_knows(const struct fb_policy_template_kind *kind, const char *name,
                              size_t len)
{
    return is_in(common_names, name, len) || is_in(kind->placeholders, name, len);
}

const char *fb_policy_template_next(const char *text, size_t *len_r, const char **rest_r)
{
    const char *start = strstr(text, "{{");
    const char *end = start != NULL ? strstr(start + 2, "}}") : NULL;
    if (end == NULL) {
        return NULL;
    }
    *len_r = (size_t)(end - start - 2);
    *rest_r = end + 2;
    return start + 2;
}
