/* SPDX-License-Identifier: Apache-2.0
 *
 * What redis.c, redis_sentinel.c and redis_cluster.c share.  Nobody else includes it.
 */
#ifndef FB_COMMON_REDIS_INTERNAL_H
#define FB_COMMON_REDIS_INTERNAL_H

#include "common/redis.h"
#include "common/redis_link.h"

#define FB_REDIS_MAX_NODES 512
#define FB_REDIS_SLOTS     16384
#define FB_REDIS_NO_NODE   UINT16_MAX

/* A primary.  detour carries what was redirected here: a pipeline's own replies are not to be mixed
 * with it. */
struct fb_redis_node {
    struct fb_redis_link link, detour;
};

/* A command that waits for its reply. */
struct fb_redis_waiting {
    uint16_t node;
    uint32_t generation; /* of its link: another one now = the reply will never come */
    int wait_ms;
    char *bytes; /* cluster: the command, for the case that it is redirected */
    size_t len;
};

struct fb_redis {
    struct fb_redis_url url;
    int shards;
    int timeout_ms;
    uint64_t connections;
    struct fb_redis_node *nodes[FB_REDIS_MAX_NODES]; /* [0] only, in all but a cluster */
    size_t node_count;                               /* up to the last one that is not NULL */
    struct fb_redis_waiting *waiting;                /* a ring in order: first .. first + count */
    size_t first, count, cap;
    int shard_of_keyless; /* where commands without a key go */
    struct {
        size_t at;             /* the sentinel in use */
        char *user, *password; /* NULL: as for Redis */
        struct fb_redis_link link;
        bool is_linked;
        int64_t look_at_ms;
    } sentinel;
    struct {
        uint16_t *slots; /* node by slot */
        bool is_known;   /* there is a map at all */
        bool is_stale;   /* something said that it is not right any more */
        size_t at;       /* the seed to ask first */
        int64_t retry_at_ms;
    } cluster;
};

struct fb_redis_node *fb_redis_node_new(struct fb_redis *r, const struct fb_redis_host *at);
void fb_redis_node_free(struct fb_redis_node **node);

/* ---- redis_sentinel.c: call-backs of the link ---- */
FB_MUST_USE enum fb_status fb_redis_sentinel_locate(void *redis, struct fb_redis_link *l,
                                                    struct fb_error *err);
bool fb_redis_sentinel_is_right(void *redis, struct fb_redis_link *l);
FB_MUST_USE enum fb_status fb_redis_sentinel_check(void *redis, struct fb_redis_link *l,
                                                   struct fb_error *err);

/* ---- redis_cluster.c ---- */
/* CRC-16 of the hash tag, as the specification of Redis Cluster has it. */
uint16_t fb_redis_slot(struct fb_slice key);
/* The node of a slot; asks for the map where it is missing or doubtful.  FB_NETWORK, FB_AGAIN: no
 * primary is known for it. */
FB_MUST_USE enum fb_status fb_redis_cluster_node(struct fb_redis *r, uint16_t slot,
                                                 uint16_t *node_r, struct fb_error *err);
/* Follows MOVED and ASK.  err holds the redirection; it is replaced by what the other node says. */
FB_MUST_USE enum fb_status fb_redis_cluster_redirect(struct fb_redis *r,
                                                     const struct fb_redis_waiting *w,
                                                     struct redisReply **reply_r,
                                                     struct fb_error *err);
/* What an error says about the map. */
void fb_redis_cluster_doubt(struct fb_redis *r, const struct fb_error *err);

#endif
