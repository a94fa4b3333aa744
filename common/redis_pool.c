/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redis_pool.h"

#include <pthread.h>
#include <stdlib.h>

struct fb_redis_pool {
    pthread_mutex_t lock;
    size_t count;
    struct {
        struct fb_redis *redis;
        bool is_taken;
    } places[];
};

enum fb_status fb_redis_pool_new(const struct fb_config *config, size_t count, int timeout_ms,
                                 struct fb_redis_pool **pool_r, struct fb_error *err)
{
    struct fb_redis_pool *pool = fb_xcalloc(1, sizeof *pool + count * sizeof pool->places[0]);
    enum fb_status s = FB_OK;
    FB_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    for (pool->count = 0; pool->count < count && s == FB_OK; pool->count++) {
        s = fb_redis_new(config, timeout_ms, &pool->places[pool->count].redis, err);
    }
    if (s != FB_OK) {
        fb_redis_pool_free(&pool);
        return s;
    }
    *pool_r = pool;
    return FB_OK;
}

void fb_redis_pool_free(struct fb_redis_pool **pool)
{
    struct fb_redis_pool *p = *pool;
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        fb_redis_free(&p->places[i].redis);
    }
    if (p != NULL) {
        (void)pthread_mutex_destroy(&p->lock);
        free(p);
        *pool = NULL;
    }
}

struct fb_redis *fb_redis_pool_take(struct fb_redis_pool *pool)
{
    struct fb_redis *r = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->count && r == NULL; i++) {
        if (!pool->places[i].is_taken) {
            pool->places[i].is_taken = true;
            r = pool->places[i].redis;
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    FB_ASSERT(r != NULL);
    return r;
}

void fb_redis_pool_give(struct fb_redis_pool *pool, struct fb_redis *redis)
{
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->places[i].redis == redis) {
            pool->places[i].is_taken = false;
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
}
