/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/brand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/log.h"

#define HASH_BYTES 12

void brand_keeper_init(struct brand_keeper *k)
{
    k->now = NULL;
    FB_ASSERT(pthread_mutex_init(&k->lock, NULL) == 0);
}

static void drop(struct brand **brand)
{
    if (*brand != NULL && --(*brand)->references == 0) {
        free((*brand)->organisation);
        fb_logo_deinit(&(*brand)->logo);
        free(*brand);
    }
    *brand = NULL;
}

void brand_keeper_deinit(struct brand_keeper *k)
{
    drop(&k->now);
    (void)pthread_mutex_destroy(&k->lock);
}

static struct brand *make(const struct fb_policy *policy)
{
    struct brand *b = fb_xcalloc(1, sizeof *b);
    const struct fb_policy_notices *n = &policy->notices;
    struct fb_error err = {0};
    b->references = 1;
    (void)snprintf(b->policy_version, sizeof b->policy_version, "%s", policy->version);
    b->organisation = fb_xstrdup(n->organisation != NULL ? n->organisation : "");
    if (n->logo != NULL && n->logo[0] != '\0' && fb_logo_load(n->logo, &b->logo, &err) != FB_OK) {
        fb_log(FB_WARN, "pages go without the logo: %s", err.text);
    }
    if (b->logo.bytes.len > 0) {
        uint8_t digest[FB_SHA256_SIZE];
        char hex[2 * HASH_BYTES + 1];
        const char *dot = strrchr(b->logo.name, '.');
        fb_sha256(b->logo.bytes.ptr, b->logo.bytes.len, digest);
        fb_hex(digest, HASH_BYTES, hex);
        (void)snprintf(b->path, sizeof b->path, BRAND_PATH "%s%s", hex, dot != NULL ? dot : "");
    }
    return b;
}

void brand_follow(struct brand_keeper *k, const struct fb_policy *policy)
{
    (void)pthread_mutex_lock(&k->lock);
    bool is_same = k->now != NULL && strcmp(k->now->policy_version, policy->version) == 0;
    (void)pthread_mutex_unlock(&k->lock);
    if (is_same) {
        return;
    }
    struct brand *fresh = make(policy); /* reads a file: without the lock */
    (void)pthread_mutex_lock(&k->lock);
    drop(&k->now);
    k->now = fresh;
    (void)pthread_mutex_unlock(&k->lock);
}

struct brand *brand_take(struct brand_keeper *k)
{
    (void)pthread_mutex_lock(&k->lock);
    struct brand *b = k->now;
    if (b != NULL) {
        b->references++;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return b;
}

void brand_give(struct brand_keeper *k, struct brand **brand)
{
    (void)pthread_mutex_lock(&k->lock);
    drop(brand);
    (void)pthread_mutex_unlock(&k->lock);
}
