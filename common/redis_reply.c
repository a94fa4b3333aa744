/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redis_reply.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/status.h"

#if HIREDIS_MAJOR == 0
typedef int element_count;
#else
typedef size_t element_count;
#endif

static redisReplyObjectFunctions usual, bounded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* hiredis takes NULL for a lack of memory, and ends the connection. */
static void *create_array(const redisReadTask *task, element_count count)
{
    return count > FB_REDIS_MAX_ELEMENTS ? NULL : usual.createArray(task, count);
}

static void prepare(void)
{
    redisReader *reader = redisReaderCreate(); /* the only way to hiredis's own functions */
    FB_ASSERT(reader != NULL && reader->fn != NULL);
    usual = *reader->fn;
    bounded = usual;
    bounded.createArray = create_array;
    redisReaderFree(reader);
}

void fb_redis_reply_bound(struct redisContext *c)
{
    (void)pthread_once(&once, prepare);
    c->reader->fn = &bounded;
}

static int fail(redisContext *c, int what, const char *why)
{
    c->err = what;
    (void)snprintf(c->errstr, sizeof c->errstr, "%s", why);
    return REDIS_ERR;
}

static int take(redisContext *c, void **reply_r)
{
    if (redisReaderGetReply(c->reader, reply_r) == REDIS_OK) {
        return REDIS_OK;
    }
    return c->reader->err == REDIS_ERR_OOM
               ? fail(c, REDIS_ERR_OOM, "a reply with too many elements, or no memory for it")
               : fail(c, c->reader->err, c->reader->errstr);
}

static int send_all(redisContext *c)
{
    for (int is_done = 0; is_done == 0;) {
        if (redisBufferWrite(c, &is_done) != REDIS_OK) {
            return REDIS_ERR;
        }
    }
    return REDIS_OK;
}

int fb_redis_reply_get(struct redisContext *c, void **reply_r)
{
    *reply_r = NULL;
    if (take(c, reply_r) != REDIS_OK) {
        return REDIS_ERR;
    }
    if (*reply_r == NULL && send_all(c) != REDIS_OK) {
        return REDIS_ERR;
    }
    for (size_t read = 0; *reply_r == NULL;) {
        size_t before = c->reader->len;
        if (redisBufferRead(c) != REDIS_OK) {
            return REDIS_ERR;
        }
        read += c->reader->len - before;
        if (read > FB_REDIS_MAX_REPLY) {
            return fail(c, REDIS_ERR_OTHER, "a reply that is too long");
        }
        if (take(c, reply_r) != REDIS_OK) {
            return REDIS_ERR;
        }
    }
    return REDIS_OK;
}
