/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose pages these are: the organisation's name and logo (notices of the policy), in the frame of every page.  The
 * logo has a path of its own, which changes with its bytes, so that browsers keep it. */
#ifndef FB_PORTAL_BRAND_H
#define FB_PORTAL_BRAND_H

#include <pthread.h>

#include "common/logo.h"
#include "common/policy/policy.h"

#define BRAND_PATH      "/logo/"
#define BRAND_PATH_SIZE 48

/* Counted; never changed once it is made. */
struct brand {
    unsigned references; /* under the keeper's lock */
    char policy_version[65];
    char *organisation; /* "" = none */
    struct fb_logo logo;
    char path[BRAND_PATH_SIZE]; /* "/logo/<hash>.png"; "" = there is no logo */
};

/* Holds the brand in force. */
struct brand_keeper {
    pthread_mutex_t lock;
    struct brand *now;
};
void brand_keeper_init(struct brand_keeper *k);
void brand_keeper_deinit(struct brand_keeper *k);

/* Takes name and logo of a policy, if it is another one than before.  A logo that cannot be read is logged, and left
 * out. */
void brand_follow(struct brand_keeper *k, const struct fb_policy *policy);

/* The brand in force, or NULL; give it back. */
struct brand *brand_take(struct brand_keeper *k);
void brand_give(struct brand_keeper *k, struct brand **brand);

#endif
