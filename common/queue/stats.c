/* SPDX-License-Identifier: Apache-2.0
 *
 * Depths and age of a stage, over all shards.  For metrics and the console; changes nothing.
 */
#include "common/queue/internal.h"

enum fb_status fb_queue_stats(struct fb_redis *r, enum fb_stage stage,
                              struct fb_queue_stats *stats_r, struct fb_error *err)
{
    struct fb_queue_stats sum = {0};
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        struct fb_call c;
        fb_call_init(&c);
        fb_call_key(&c, shard, "%s", fb_stage_name(stage));
        fb_call_key(&c, shard, "delayed:%s", fb_stage_name(stage));
        fb_call_key(&c, shard, "dead:count");
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_str(&c, fb_stage_name(stage));
        redisReply *reply = NULL;
        enum fb_status s = fb_call_raw(r, FB_SCRIPT_STATS, &c, &reply, err);
        fb_call_deinit(&c);
        if (s != FB_OK) {
            return s;
        }
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 5) {
            int64_t inflight = fb_reply_int(reply->element[1]);
            int64_t waiting = fb_reply_int(reply->element[0]) - inflight;
            int64_t age = fb_reply_int(reply->element[4]);
            sum.waiting += waiting > 0 ? waiting : 0;
            sum.inflight += inflight;
            sum.delayed += fb_reply_int(reply->element[2]);
            sum.dead += fb_reply_int(reply->element[3]);
            sum.oldest_age_ms = age > sum.oldest_age_ms ? age : sum.oldest_age_ms;
        }
        freeReplyObject(reply);
    }
    *stats_r = sum;
    return FB_OK;
}
