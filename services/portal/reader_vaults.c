/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/reader_vaults.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define MAX_VAULTS 16   /* of a policy; more are not asked */
#define RETRY_MS   1000 /* until a vault that could not be opened is tried again */
#define NO_PARCEL  "00000000000000000000000000-0" /* its time is 1970: no message ever had it */

struct reader_vault {
    struct reader_vaults *owner; /* whose lock guards the count */
    unsigned references;
    char *name, *url, *key_file;
    struct fb_vault *vault; /* NULL: it could not be opened */
    struct fb_error why;
    enum fb_status status;
    int64_t tried_ms; /* monotonic */
};

struct reader_vaults {
    const struct fb_config *config;
    struct fb_policy_follow *policy;
    pthread_mutex_t lock;
    char version[65]; /* of the policy that the list was made of */
    bool is_known;    /* there was a policy */
    struct reader_vault *list[MAX_VAULTS];
    size_t count;
    char decoy[FB_PARCEL_ID_SIZE]; /* a parcel that is there; "" = none was seen yet */
    size_t decoy_at;
};

/* ---- one vault ---- */

struct fb_vault *reader_vault_get(const struct reader_vault *vault)
{
    return vault->vault;
}

const char *reader_vault_name(const struct reader_vault *vault)
{
    return vault->name;
}

struct reader_vault *reader_vault_ref(struct reader_vault *vault)
{
    (void)pthread_mutex_lock(&vault->owner->lock);
    vault->references++;
    (void)pthread_mutex_unlock(&vault->owner->lock);
    return vault;
}

static void free_vault(struct reader_vault *v)
{
    fb_vault_close(&v->vault);
    free(v->name);
    free(v->url);
    free(v->key_file);
    free(v);
}

void reader_vault_unref(struct reader_vault **vault)
{
    struct reader_vault *v = *vault;
    *vault = NULL;
    if (v == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&v->owner->lock);
    bool is_last = --v->references == 0;
    (void)pthread_mutex_unlock(&v->owner->lock);
    if (is_last) {
        free_vault(v);
    }
}

/* ---- all of them ---- */

struct reader_vaults *reader_vaults_new(const struct fb_config *config,
                                        struct fb_policy_follow *policy)
{
    struct reader_vaults *vs = fb_xcalloc(1, sizeof *vs);
    vs->config = config;
    vs->policy = policy;
    FB_ASSERT(pthread_mutex_init(&vs->lock, NULL) == 0);
    return vs;
}

void reader_vaults_free(struct reader_vaults **vaults)
{
    struct reader_vaults *vs = *vaults;
    *vaults = NULL;
    if (vs == NULL) {
        return;
    }
    for (size_t i = 0; i < vs->count; i++) {
        reader_vault_unref(&vs->list[i]);
    }
    (void)pthread_mutex_destroy(&vs->lock);
    free(vs);
}

/* Opened, or with the reason why not, which is logged when it is another one than before.  Never changed after it is in
 * the list. */
static struct reader_vault *make(struct reader_vaults *vs, const struct fb_policy_storage *storage,
                                 const struct reader_vault *before)
{
    const char *url = storage->url;
    const char *key_file = storage->key_file;
    struct reader_vault *v = fb_xcalloc(1, sizeof *v);
    v->owner = vs;
    v->references = 1;
    v->name = fb_xstrdup(storage->name);
    v->url = fb_xstrdup(url != NULL ? url : "");
    v->key_file = fb_xstrdup(key_file != NULL ? key_file : "");
    v->tried_ms = fb_mono_ms();
    v->status = fb_vault_check_root(vs->config, v->url, &v->why);
    if (v->status == FB_OK) {
        v->status = fb_vault_open(v->url, v->key_file, &v->vault, &v->why);
    }
    bool is_news = before == NULL || strcmp(before->why.text, v->why.text) != 0;
    if (v->status != FB_OK && is_news) {
        fb_log(FB_WARN, "vault %s of the policy cannot be opened: %s", v->name, v->why.text);
    }
    return v;
}

static bool is_same(const struct reader_vault *v, const struct fb_policy_storage *storage)
{
    return strcmp(v->name, storage->name) == 0 && storage->url != NULL &&
           strcmp(v->url, storage->url) == 0 && storage->key_file != NULL &&
           strcmp(v->key_file, storage->key_file) == 0;
}

static bool is_due(const struct reader_vault *v)
{
    return v->vault == NULL && fb_mono_ms() - v->tried_ms >= RETRY_MS;
}

/* The entry that stays as it is, or one that is opened now. */
static struct reader_vault *keep_or_make(struct reader_vaults *vs,
                                         const struct fb_policy_storage *storage)
{
    for (size_t i = 0; i < vs->count; i++) {
        struct reader_vault *v = vs->list[i];
        if (is_same(v, storage)) {
            return is_due(v) ? make(vs, storage, v) : reader_vault_ref(v);
        }
    }
    return make(vs, storage, NULL);
}

static bool needs_change(const struct reader_vaults *vs, const struct fb_policy *policy)
{
    bool needs = !vs->is_known || strcmp(vs->version, policy->version) != 0;
    for (size_t i = 0; i < vs->count && !needs; i++) {
        needs = is_due(vs->list[i]);
    }
    return needs;
}

/* Only this function changes the list, in one thread: it may read it without the lock. */
void reader_vaults_tick(struct reader_vaults *vs)
{
    struct reader_vault *list[MAX_VAULTS] = {NULL};
    struct reader_vault *old[MAX_VAULTS];
    size_t count = 0;
    struct fb_policy *policy = fb_policy_follow_get(vs->policy);
    if (policy == NULL || !needs_change(vs, policy)) {
        fb_policy_unref(&policy);
        return;
    }
    for (size_t i = 0; i < policy->storage_count && count < MAX_VAULTS; i++) {
        if (policy->storages[i].type == FB_STORAGE_VAULT) {
            list[count++] = keep_or_make(vs, &policy->storages[i]);
        }
    }
    (void)pthread_mutex_lock(&vs->lock);
    size_t old_count = vs->count;
    memcpy(old, vs->list, sizeof old);
    memcpy(vs->list, list, sizeof list);
    vs->count = count;
    vs->is_known = true;
    vs->decoy[0] = '\0';
    (void)snprintf(vs->version, sizeof vs->version, "%s", policy->version);
    (void)pthread_mutex_unlock(&vs->lock);
    for (size_t i = 0; i < old_count; i++) {
        reader_vault_unref(&old[i]);
    }
    fb_policy_unref(&policy);
}

/* The vaults in the policy's order, each counted for the caller.  False: no policy is known yet. */
static bool take_all(struct reader_vaults *vs, struct reader_vault *list_r[MAX_VAULTS],
                     size_t *count_r)
{
    (void)pthread_mutex_lock(&vs->lock);
    bool is_known = vs->is_known;
    for (size_t i = 0; i < vs->count; i++) {
        vs->list[i]->references++;
        list_r[i] = vs->list[i];
    }
    *count_r = vs->count;
    (void)pthread_mutex_unlock(&vs->lock);
    return is_known;
}

static void give_all(struct reader_vault *list[MAX_VAULTS], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        reader_vault_unref(&list[i]);
    }
}

static void remember_decoy(struct reader_vaults *vs, const char *parcel_id, size_t at)
{
    (void)pthread_mutex_lock(&vs->lock);
    (void)snprintf(vs->decoy, sizeof vs->decoy, "%s", parcel_id);
    vs->decoy_at = at;
    (void)pthread_mutex_unlock(&vs->lock);
}

enum fb_status reader_vaults_find(struct reader_vaults *vs, const char *parcel_id,
                                  struct reader_vault **vault_r, struct fb_vault_parcel *parcel_r,
                                  struct fb_error *err)
{
    struct reader_vault *list[MAX_VAULTS];
    size_t count = 0;
    enum fb_status s = FB_NOT_FOUND;
    enum fb_status trouble = FB_NOT_FOUND;
    struct fb_error why = {0};
    if (!take_all(vs, list, &count)) {
        return fb_error_set(err, FB_AGAIN, "no policy is known yet: fumibako policy apply");
    }
    for (size_t i = 0; i < count && s != FB_OK; i++) {
        why = list[i]->why;
        s = list[i]->vault != NULL ? fb_vault_load(list[i]->vault, parcel_id, parcel_r, &why)
                                   : list[i]->status;
        if (s == FB_OK) {
            remember_decoy(vs, parcel_id, i);
            *vault_r = reader_vault_ref(list[i]);
        } else if (s != FB_NOT_FOUND && trouble == FB_NOT_FOUND) {
            trouble = s; /* another one may have it */
            *err = why;
        }
    }
    give_all(list, count);
    return s == FB_OK ? FB_OK
           : trouble != FB_NOT_FOUND
               ? trouble
               : fb_error_set(err, FB_NOT_FOUND, "no vault of the policy has this parcel");
}

/* ---- the same work for everybody ---- */

struct pick {
    char id[FB_PARCEL_ID_SIZE];
};

static bool pick_first(void *ctx, const char *parcel_id)
{
    struct pick *p = ctx;
    (void)snprintf(p->id, sizeof p->id, "%s", parcel_id);
    return false;
}

/* A parcel to read in place of one that is not there: the last one that was found, else any. */
static bool find_decoy(struct reader_vaults *vs, struct reader_vault *list[MAX_VAULTS],
                       size_t count, struct pick *p, size_t *at_r)
{
    (void)pthread_mutex_lock(&vs->lock);
    (void)snprintf(p->id, sizeof p->id, "%s", vs->decoy);
    *at_r = vs->decoy_at;
    (void)pthread_mutex_unlock(&vs->lock);
    for (size_t i = 0; i < count && p->id[0] == '\0'; i++) {
        struct fb_error err = {0};
        if (list[i]->vault != NULL && fb_vault_each(list[i]->vault, pick_first, p, &err) != FB_OK) {
            p->id[0] = '\0';
        }
        *at_r = i;
        if (p->id[0] != '\0') {
            remember_decoy(vs, p->id, i);
        }
    }
    return p->id[0] != '\0' && *at_r < count;
}

/* False: it cannot be asked. */
static bool look(struct reader_vault *v, const char *parcel_id, bool *is_there_r)
{
    struct fb_vault_parcel parcel = {.parcel_id = ""};
    struct fb_error err = {0};
    enum fb_status s =
        v->vault != NULL ? fb_vault_load(v->vault, parcel_id, &parcel, &err) : v->status;
    *is_there_r = s == FB_OK;
    fb_vault_parcel_deinit(&parcel);
    return s == FB_OK || s == FB_NOT_FOUND;
}

static bool look_behind(struct reader_vault *list[MAX_VAULTS], size_t count,
                        const struct reader_vault *found)
{
    bool is_behind = false;
    bool is_there = false;
    bool can_be_asked = true;
    for (size_t i = 0; i < count; i++) {
        is_behind = is_behind || list[i] == found;
        if (is_behind) {
            can_be_asked = look(list[i], NO_PARCEL, &is_there) && can_be_asked;
        } else {
            can_be_asked = list[i]->vault != NULL && can_be_asked;
        }
    }
    return can_be_asked;
}

static void look_at_decoy(struct reader_vaults *vs, struct reader_vault *list[MAX_VAULTS],
                          size_t count)
{
    struct pick p = {.id = ""};
    size_t at = 0;
    bool is_there = false;
    if (find_decoy(vs, list, count, &p, &at) && (!look(list[at], p.id, &is_there) || !is_there)) {
        (void)pthread_mutex_lock(&vs->lock); /* purged meanwhile: another one next time */
        vs->decoy[0] = '\0';
        (void)pthread_mutex_unlock(&vs->lock);
    }
}

/* find asked the vaults before `found` in vain, and found it there; or it asked all in vain.  Here the others are asked
 * in vain, and what is missing of one parcel read and one not there is made up for: each refusal has asked every
 * vault for a parcel that is not there, and one for a parcel that is. */
bool reader_vaults_level(struct reader_vaults *vs, const struct reader_vault *found)
{
    struct reader_vault *list[MAX_VAULTS];
    size_t count = 0;
    bool can_be_asked = take_all(vs, list, &count);
    if (can_be_asked && found != NULL) {
        can_be_asked = look_behind(list, count, found);
    } else if (can_be_asked) {
        look_at_decoy(vs, list, count);
    }
    give_all(list, count);
    return can_be_asked;
}
