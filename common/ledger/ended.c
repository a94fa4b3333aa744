/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether messages have ended, as Redis says now. */
#include <stdlib.h>

#include "common/ledger/internal.h"
#include "common/ledger/ledger.h"

enum fb_status fb_ledger_ended(struct fb_redis *redis, const char *const *msg_ids, size_t count,
                               bool *is_ended_r, struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        char key[FB_KEY_SIZE];
        fb_key(key, fb_redis_shard(redis, msg_ids[i]), "m:%s", msg_ids[i]);
        struct fb_slice argv[] = {FB_SLICE_LITERAL("HGET"), fb_slice_str(key),
                                  FB_SLICE_LITERAL("state")};
        s = fb_redis_append(redis, sizeof argv / sizeof argv[0], argv, err);
    }
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        redisReply *reply = NULL;
        s = fb_redis_fetch(redis, &reply, err);
        if (s == FB_OK) {
            is_ended_r[i] = fb_slice_eq_str(fb_reply_slice(reply), "done");
            freeReplyObject(reply);
        }
    }
    if (s != FB_OK) {
        fb_redis_reset(redis); /* replies of this pipeline must not be taken for others' */
    }
    return s;
}
