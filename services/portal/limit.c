/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/id.h"

#define SETS     1024U
#define WAYS     8U /* clients that fall into one set before the one unseen for longest is forgotten */
#define KINDS    2
#define THOUSAND 1000

/* A bucket holds thousandths; so many come back in a millisecond. */
static const int64_t bucket_size[KINDS] = {LIMIT_REQUESTS * THOUSAND * 1000LL,
                                           LIMIT_BAD_LINKS *THOUSAND * 1000LL};
static const int64_t bucket_price = THOUSAND * 1000LL;
static const int64_t bucket_per_ms[KINDS] = {4 * THOUSAND, THOUSAND / 6};

struct client {
    struct fb_net_address address;
    int64_t seen_ms; /* 0 = nobody */
    int64_t left[KINDS];
};

struct portal_limit {
    pthread_mutex_t lock;
    uint64_t seed; /* of this process: nobody outside can choose addresses of one set */
    struct client clients[SETS][WAYS];
};

struct portal_limit *portal_limit_new(void)
{
    struct portal_limit *l = fb_xcalloc(1, sizeof *l);
    FB_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    fb_random(&l->seed, sizeof l->seed);
    return l;
}

void portal_limit_free(struct portal_limit **limit)
{
    if (*limit != NULL) {
        (void)pthread_mutex_destroy(&(*limit)->lock);
        free(*limit);
        *limit = NULL;
    }
}

/* One household has a /64 of IPv6 to itself. */
static struct fb_net_address whole(const struct fb_net_address *client)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct fb_net_address a = *client;
    if (memcmp(a.bytes, mapped, sizeof mapped) != 0) {
        memset(a.bytes + 8, 0, 8);
    }
    return a;
}

static struct client *find(struct portal_limit *l, const struct fb_net_address *address,
                           int64_t now_ms)
{
    uint64_t h = l->seed;
    for (size_t i = 0; i < sizeof address->bytes; i++) {
        h = (h ^ address->bytes[i]) * 0x100000001b3ULL; /* FNV-1a */
    }
    struct client *set = l->clients[(h ^ h >> 32) % SETS];
    struct client *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].seen_ms != 0 && memcmp(&set[i].address, address, sizeof *address) == 0) {
            return &set[i];
        }
        if (set[i].seen_ms < oldest->seen_ms) {
            oldest = &set[i];
        }
    }
    *oldest = (struct client){.address = *address, .seen_ms = now_ms};
    memcpy(oldest->left, bucket_size, sizeof bucket_size);
    return oldest;
}

bool portal_limit_take(struct portal_limit *l, const struct fb_net_address *client,
                       enum limit_kind kind, int64_t now_ms)
{
    struct fb_net_address address = whole(client);
    (void)pthread_mutex_lock(&l->lock);
    struct client *c = find(l, &address, now_ms);
    int64_t passed_ms = now_ms > c->seen_ms ? now_ms - c->seen_ms : 0;
    c->seen_ms = now_ms;
    for (int k = 0; k < KINDS; k++) {
        int64_t missing = bucket_size[k] - c->left[k];
        bool is_full = passed_ms > missing / bucket_per_ms[k];
        c->left[k] = is_full ? bucket_size[k] : c->left[k] + passed_ms * bucket_per_ms[k];
    }
    bool may = c->left[kind] >= bucket_price;
    if (may) {
        c->left[kind] -= bucket_price;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return may;
}
