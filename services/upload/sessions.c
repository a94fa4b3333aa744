/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry *next;
    char *name;
    const struct storage *storage;
    struct storage_session *session;
};

struct storage_sessions {
    const struct fb_config *config;
    char policy_version[65];
    struct entry *entries;
};

struct storage_sessions *storage_sessions_new(const struct fb_config *config)
{
    struct storage_sessions *s = fb_xcalloc(1, sizeof *s);
    s->config = config;
    return s;
}

static void clear(struct storage_sessions *s)
{
    while (s->entries != NULL) {
        struct entry *e = s->entries;
        s->entries = e->next;
        e->storage->close(e->session);
        free(e->name);
        free(e);
    }
}

void storage_sessions_free(struct storage_sessions **sessions)
{
    if (*sessions != NULL) {
        clear(*sessions);
        free(*sessions);
        *sessions = NULL;
    }
}

void storage_sessions_forget(struct storage_sessions *s)
{
    clear(s);
}

enum fb_status storage_sessions_get(struct storage_sessions *s, const struct fb_policy *policy,
                                    const char *name, struct fb_redis *redis,
                                    const struct storage **storage_r,
                                    struct storage_session **session_r, struct fb_error *err)
{
    if (strcmp(s->policy_version, policy->version) != 0) {
        clear(s); /* credentials or folders may have changed */
        (void)snprintf(s->policy_version, sizeof s->policy_version, "%s", policy->version);
    }
    for (const struct entry *e = s->entries; e != NULL; e = e->next) {
        if (strcmp(e->name, name) == 0) {
            *storage_r = e->storage;
            *session_r = e->session;
            return FB_OK;
        }
    }
    const struct fb_policy_storage *wanted = fb_policy_find_storage(policy, name);
    if (wanted == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "the policy has no storage \"%s\" any more; add it again, or reject the "
            "held mails",
            name);
    }
    const struct storage *storage = storage_find(wanted->type);
    if (storage == NULL) {
        return fb_error_set(err, FB_CONFIG, "storage \"%s\": this version cannot use its type yet",
                            name);
    }
    struct storage_session *session = NULL;
    enum fb_status st = storage->open(wanted, s->config, redis, &session, err);
    if (st != FB_OK) {
        return st;
    }
    struct entry *e = fb_xcalloc(1, sizeof *e);
    e->name = fb_xstrdup(name);
    e->storage = storage;
    e->session = session;
    e->next = s->entries;
    s->entries = e;
    *storage_r = storage;
    *session_r = session;
    return FB_OK;
}
