/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting references to a policy, freeing it, and finding what it holds by name.
 */
#include "common/policy/parse.h"

#include <stdlib.h>
#include <string.h>

#include "common/policy/terms.h"

static void rule_deinit(struct fb_policy_rule *rule)
{
    free(rule->name);
    fb_pol_terms_deinit(&rule->from);
    fb_pol_terms_deinit(&rule->to);
    fb_pol_terms_deinit(&rule->subject);
    fb_pol_terms_deinit(&rule->body);
    for (size_t i = 0; i < rule->header_count; i++) {
        free(rule->headers[i].name);
        fb_pol_terms_deinit(&rule->headers[i].terms);
    }
    free(rule->headers);
    fb_pol_terms_deinit(&rule->attachment_name);
    fb_pol_terms_deinit(&rule->attachment_type);
    free(rule->path);
}

static void storage_deinit(struct fb_policy_storage *storage)
{
    free(storage->name);
    free(storage->auth_file);
    free(storage->root_folder);
    free(storage->api_url);
    free(storage->upload_url);
    free(storage->token_url);
    free(storage->box_auth);
    for (size_t i = 0; i < storage->user_count; i++) {
        free(storage->users[i].id);
        free(storage->users[i].root_folder);
    }
    free(storage->users);
    free(storage->url);
    free(storage->key_file);
}

static void notices_deinit(struct fb_policy_notices *notices)
{
    free(notices->language);
    free(notices->organisation);
    free(notices->logo);
    for (size_t i = 0; i < notices->template_count; i++) {
        free(notices->templates[i].key);
        free(notices->templates[i].text);
    }
    free(notices->templates);
}

static void policy_free(struct fb_policy *p)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        rule_deinit(&p->rules[i]);
    }
    free(p->rules);
    for (size_t i = 0; i < p->storage_count; i++) {
        storage_deinit(&p->storages[i]);
    }
    free(p->storages);
    for (size_t i = 0; i < p->group_count; i++) {
        for (size_t j = 0; j < p->groups[i].member_count; j++) {
            free(p->groups[i].members[j]);
        }
        free(p->groups[i].members);
        free(p->groups[i].name);
    }
    free(p->groups);
    for (size_t i = 0; i < p->security_count; i++) {
        free(p->securities[i].name);
    }
    free(p->securities);
    notices_deinit(&p->notices);
    free(p->document);
    free(p);
}

/* The policy is the first member of what was allocated. */
static struct fb_pol_counted *counted_of(struct fb_policy *p)
{
    return (struct fb_pol_counted *)p;
}

struct fb_policy *fb_policy_ref(struct fb_policy *p)
{
    (void)atomic_fetch_add_explicit(&counted_of(p)->refs, 1, memory_order_relaxed);
    return p;
}

void fb_policy_unref(struct fb_policy **p)
{
    if (*p == NULL) {
        return;
    }
    if (atomic_fetch_sub_explicit(&counted_of(*p)->refs, 1, memory_order_acq_rel) == 1) {
        policy_free(*p);
    }
    *p = NULL;
}

const struct fb_policy_rule *fb_policy_find_rule(const struct fb_policy *p, const char *name)
{
    for (size_t i = 0; i < p->rule_count; i++) {
        if (p->rules[i].name != NULL && strcmp(p->rules[i].name, name) == 0) {
            return &p->rules[i];
        }
    }
    return NULL;
}

const struct fb_policy_storage *fb_policy_find_storage(const struct fb_policy *p, const char *name)
{
    for (size_t i = 0; i < p->storage_count; i++) {
        if (p->storages[i].name != NULL && strcmp(p->storages[i].name, name) == 0) {
            return &p->storages[i];
        }
    }
    return NULL;
}

const struct fb_policy_security *fb_policy_find_security(const struct fb_policy *p,
                                                         const char *name)
{
    for (size_t i = 0; i < p->security_count; i++) {
        if (p->securities[i].name != NULL && strcmp(p->securities[i].name, name) == 0) {
            return &p->securities[i];
        }
    }
    return NULL;
}
