/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "common/http_internal.h"

struct http_pool {
    pthread_mutex_t lock; /* guards the queue */
    pthread_cond_t more;
    struct http_job *first, **end;
    bool is_stopped;
    unsigned count;
    pthread_t threads[];
};

static void *work(void *ctx)
{
    struct http_pool *p = ctx;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->first == NULL && !p->is_stopped) {
            (void)pthread_cond_wait(&p->more, &p->lock);
        }
        struct http_job *job = p->first;
        if (job == NULL) {
            break;
        }
        p->first = job->next;
        if (p->first == NULL) {
            p->end = &p->first;
        }
        (void)pthread_mutex_unlock(&p->lock);
        job->run(job);
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

void http_pool_add(struct http_pool *p, struct http_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&p->lock);
    bool is_stopped = p->is_stopped;
    if (!is_stopped) {
        *p->end = job;
        p->end = &job->next;
        (void)pthread_cond_signal(&p->more);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (is_stopped) {
        job->run(job);
    }
}

void http_pool_stop(struct http_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->is_stopped = true;
    (void)pthread_cond_broadcast(&p->more);
    (void)pthread_mutex_unlock(&p->lock);
    for (; p->count > 0; p->count--) {
        (void)pthread_join(p->threads[p->count - 1], NULL);
    }
}

enum fb_status http_pool_new(unsigned threads, struct http_pool **pool_r, struct fb_error *err)
{
    struct http_pool *p = fb_xcalloc(1, sizeof *p + threads * sizeof p->threads[0]);
    p->end = &p->first;
    FB_ASSERT(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->more, NULL) == 0);
    while (p->count < threads) {
        int e = pthread_create(&p->threads[p->count], NULL, work, p);
        if (e != 0) {
            http_pool_free(&p);
            return fb_error_errno(err, FB_NO_SPACE, e, "a thread of the HTTP server");
        }
        p->count++;
    }
    *pool_r = p;
    return FB_OK;
}

void http_pool_free(struct http_pool **pool)
{
    struct http_pool *p = *pool;
    if (p == NULL) {
        return;
    }
    http_pool_stop(p);
    (void)pthread_cond_destroy(&p->more);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}
