/* SPDX-License-Identifier: Apache-2.0 */
#include "services/fetch/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct fetch_shelved {
    TAILQ_ENTRY(fetch_shelved) link;
    char *url;
    struct fetch_image image;
    int64_t until_ms; /* monotonic */
    unsigned refs;    /* the shelf's own, and those that were handed out */
    bool is_here;     /* false: somebody is fetching it */
    bool is_listed;
};
TAILQ_HEAD(shelved_list, fetch_shelved);

struct fetch_shelf {
    pthread_mutex_t lock; /* guards everything below, and the counts of all images */
    pthread_cond_t arrived;
    struct shelved_list list; /* the oldest first */
    size_t count, bytes;
    int64_t keep_ms;
    void (*get)(void *ctx, const char *url, struct fetch_image *image_r);
    void *ctx;
};

struct fetch_shelf *
fetch_shelf_new(int64_t keep_ms,
                void (*get)(void *ctx, const char *url, struct fetch_image *image_r), void *ctx)
{
    struct fetch_shelf *s = fb_xcalloc(1, sizeof *s);
    s->keep_ms = keep_ms;
    s->get = get;
    s->ctx = ctx;
    TAILQ_INIT(&s->list);
    FB_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0 && pthread_cond_init(&s->arrived, NULL) == 0);
    return s;
}

static void unref(struct fetch_shelved *e)
{
    if (--e->refs == 0) {
        fb_buf_deinit(&e->image.bytes);
        free(e->url);
        free(e);
    }
}

static void take_off(struct fetch_shelf *s, struct fetch_shelved *e)
{
    if (e->is_listed) {
        TAILQ_REMOVE(&s->list, e, link);
        e->is_listed = false;
        s->count--;
        s->bytes -= e->image.bytes.len;
        unref(e);
    }
}

void fetch_shelf_free(struct fetch_shelf **shelf)
{
    struct fetch_shelf *s = *shelf;
    if (s == NULL) {
        return;
    }
    while (!TAILQ_EMPTY(&s->list)) {
        take_off(s, TAILQ_FIRST(&s->list));
    }
    (void)pthread_cond_destroy(&s->arrived);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    *shelf = NULL;
}

/* What is old, and, where there is no room, what came first.  (What is on its way is somebody's.) */
static void tidy(struct fetch_shelf *s)
{
    int64_t now = fb_mono_ms();
    struct fetch_shelved *next = NULL;
    for (struct fetch_shelved *e = TAILQ_FIRST(&s->list); e != NULL; e = next) {
        next = TAILQ_NEXT(e, link);
        bool is_full = s->bytes > FETCH_SHELF_BYTES || s->count > FETCH_SHELF_ENTRIES;
        if (e->is_here && (is_full || e->until_ms <= now)) {
            take_off(s, e);
        }
    }
}

static struct fetch_shelved *find(struct fetch_shelf *s, const char *url)
{
    struct fetch_shelved *e = NULL;
    TAILQ_FOREACH(e, &s->list, link)
    {
        if (strcmp(e->url, url) == 0) {
            break;
        }
    }
    return e;
}

static struct fetch_shelved *put(struct fetch_shelf *s, const char *url)
{
    struct fetch_shelved *e = fb_xcalloc(1, sizeof *e);
    e->url = fb_xstrdup(url);
    e->refs = 2;
    e->is_listed = true;
    TAILQ_INSERT_TAIL(&s->list, e, link);
    s->count++;
    return e;
}

static void arrive(struct fetch_shelf *s, struct fetch_shelved *e, const struct fetch_image *image)
{
    int64_t keep = s->keep_ms;
    if (image->outcome != FETCH_OK && keep > FETCH_FAILED_MS) {
        keep = FETCH_FAILED_MS;
    }
    e->image = *image;
    e->until_ms = fb_mono_ms() + keep;
    e->is_here = true;
    s->bytes += e->image.bytes.len;
    if (keep == 0) {
        take_off(s, e);
    }
    tidy(s);
    (void)pthread_cond_broadcast(&s->arrived);
}

struct fetch_shelved *fetch_shelf_ask(struct fetch_shelf *s, const char *url, bool *is_kept_r)
{
    (void)pthread_mutex_lock(&s->lock);
    tidy(s);
    struct fetch_shelved *e = find(s, url);
    *is_kept_r = e != NULL;
    if (e != NULL) {
        e->refs++;
        while (!e->is_here) {
            (void)pthread_cond_wait(&s->arrived, &s->lock);
        }
    } else {
        struct fetch_image image;
        e = put(s, url);
        (void)pthread_mutex_unlock(&s->lock);
        s->get(s->ctx, url, &image);
        (void)pthread_mutex_lock(&s->lock);
        arrive(s, e, &image);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return e;
}

const struct fetch_image *fetch_shelved_get(const struct fetch_shelved *image)
{
    return &image->image;
}

void fetch_shelf_release(struct fetch_shelf *s, struct fetch_shelved **image)
{
    (void)pthread_mutex_lock(&s->lock);
    unref(*image);
    (void)pthread_mutex_unlock(&s->lock);
    *image = NULL;
}

size_t fetch_shelf_bytes(struct fetch_shelf *s)
{
    (void)pthread_mutex_lock(&s->lock);
    size_t bytes = s->bytes;
    (void)pthread_mutex_unlock(&s->lock);
    return bytes;
}
