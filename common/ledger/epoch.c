/* SPDX-License-Identifier: Apache-2.0
 *
 * The epoch: a random word that lives as long as Redis' data.  A service that sees it missing or
 * changed knows that Redis was wiped, and starts the replay.
 */
#include <string.h>

#include "common/ledger/internal.h"

static enum fb_status get_epoch(struct fb_redis *r, const char *key, char epoch_r[FB_ID_SIZE],
                                struct fb_error *err)
{
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "GET", key, NULL);
    if (s != FB_OK) {
        return s;
    }
    struct fb_slice value = fb_reply_slice(reply);
    if (value.len == FB_ID_SIZE - 1) {
        memcpy(epoch_r, value.ptr, value.len);
        epoch_r[value.len] = '\0';
    } else { /* gone between SET and GET, or not ours */
        s = fb_error_set(err, reply->type == REDIS_REPLY_NIL ? FB_AGAIN : FB_CORRUPT,
                         "%s: no epoch", key);
    }
    freeReplyObject(reply);
    return s;
}

enum fb_status fb_ledger_epoch(struct fb_redis *r, int shard, char epoch_r[FB_ID_SIZE],
                               bool *is_new_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    char fresh[FB_ID_SIZE];
    fb_key(key, shard, "epoch");
    fb_id_new(fresh);
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_call(r, &reply, err, "SET", key, fresh, "NX", NULL);
    if (s != FB_OK) {
        return s;
    }
    *is_new_r = reply->type == REDIS_REPLY_STATUS; /* nil: it was there */
    freeReplyObject(reply);
    return get_epoch(r, key, epoch_r, err);
}
