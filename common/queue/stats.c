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
        fb_call_key(&c, shard, "dead:count");
        for (int lane = 0; lane < fb_lanes_of(stage); lane++) {
            fb_call_stream(&c, shard, stage, (enum fb_lane)lane);
            fb_call_delayed(&c, shard, stage, (enum fb_lane)lane);
        }
        fb_call_arg_str(&c, FB_GROUP);
        fb_call_arg_str(&c, fb_stage_name(stage));
        redisReply *reply = NULL;
        enum fb_status s = fb_call_raw(r, FB_SCRIPT_STATS, &c, &reply, err);
        fb_call_deinit(&c);
        if (s != FB_OK) {
            return s;
        }
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 6) {
            int64_t inflight = fb_reply_int(reply->element[1]);
            int64_t waiting = fb_reply_int(reply->element[0]) - inflight;
            int64_t age = fb_reply_int(reply->element[4]);
            sum.waiting += waiting > 0 ? waiting : 0;
            sum.inflight += inflight;
            sum.delayed += fb_reply_int(reply->element[2]);
            sum.dead += fb_reply_int(reply->element[3]);
            sum.bulk += fb_reply_int(reply->element[5]);
            sum.oldest_age_ms = age > sum.oldest_age_ms ? age : sum.oldest_age_ms;
        }
        freeReplyObject(reply);
    }
    *stats_r = sum;
    return FB_OK;
}

enum fb_status fb_queue_waiting_age(struct fb_redis *r, int64_t *age_ms_r, struct fb_error *err)
{
    int64_t oldest = 0;
    for (int shard = 0; shard < fb_redis_shard_count(r); shard++) {
        struct fb_call c;
        fb_call_init(&c);
        for (int stage = FB_STAGE_RENDER; stage <= FB_STAGE_REWRITE; stage++) {
            fb_call_stream(&c, shard, (enum fb_stage)stage, FB_LANE_NORMAL);
        }
        fb_call_arg_str(&c, FB_GROUP);
        redisReply *reply = NULL;
        enum fb_status s = fb_call_raw(r, FB_SCRIPT_WAITING, &c, &reply, err);
        fb_call_deinit(&c);
        if (s != FB_OK) {
            return s;
        }
        int64_t age = fb_reply_int(reply);
        oldest = age > oldest ? age : oldest;
        freeReplyObject(reply);
    }
    *age_ms_r = oldest;
    return FB_OK;
}
