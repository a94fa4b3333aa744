/* SPDX-License-Identifier: Apache-2.0 */
#include "client_count.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/id.h"

#define BUCKETS 4096U

struct client {
    struct client *next;
    struct fb_net_address address;
    uint32_t count;
};

struct client_count {
    uint64_t seed; /* of this process: nobody outside can choose addresses of one bucket */
    struct client *buckets[BUCKETS];
};

static struct client **find(struct client_count *c, const struct fb_net_address *address)
{
    uint64_t h = c->seed;
    for (size_t i = 0; i < sizeof address->bytes; i++) {
        h = (h ^ address->bytes[i]) * 0x100000001b3ULL; /* FNV-1a */
    }
    struct client **at = &c->buckets[(h ^ h >> 32) % BUCKETS];
    while (*at != NULL && memcmp(&(*at)->address, address, sizeof *address) != 0) {
        at = &(*at)->next;
    }
    return at;
}

struct client_count *client_count_new(void)
{
    struct client_count *c = fb_xcalloc(1, sizeof *c);
    fb_random(&c->seed, sizeof c->seed);
    return c;
}

void client_count_free(struct client_count **c)
{
    if (*c == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while ((*c)->buckets[i] != NULL) {
            struct client *client = (*c)->buckets[i];
            (*c)->buckets[i] = client->next;
            free(client);
        }
    }
    free(*c);
    *c = NULL;
}

uint32_t client_count_get(struct client_count *c, const struct fb_net_address *address)
{
    struct client **at = find(c, address);
    return *at == NULL ? 0 : (*at)->count;
}

uint32_t client_count_add(struct client_count *c, const struct fb_net_address *address)
{
    struct client **at = find(c, address);
    if (*at == NULL) {
        *at = fb_xcalloc(1, sizeof **at);
        (*at)->address = *address;
    }
    return ++(*at)->count;
}

uint32_t client_count_sub(struct client_count *c, const struct fb_net_address *address)
{
    struct client **at = find(c, address);
    FB_ASSERT(*at != NULL);
    uint32_t left = --(*at)->count;
    if (left == 0) {
        struct client *gone = *at;
        *at = gone->next;
        free(gone);
    }
    return left;
}
