/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/turn.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 80
/* Longer than any job takes.  It ends the turn of a claim that was dropped; one that was taken over goes on with it. */
#define TURN_MS "1800000"

static void make_key(char key[KEY_SIZE], const struct fb_claim *claim, const char *parcel_id)
{
    (void)snprintf(key, KEY_SIZE, "fb:{s%d}:turn:%s", claim->shard, parcel_id);
}

enum fb_status revoke_turn_has(struct fb_redis *r, const struct fb_claim *claim,
                               const char *parcel_id, bool *has_r, struct fb_error *err)
{
    char key[KEY_SIZE];
    make_key(key, claim, parcel_id);
    const struct fb_slice get[] = {FB_SLICE_LITERAL("GET"), fb_slice_str(key)};
    struct redisReply *reply = NULL;
    enum fb_status s = fb_redis_command(r, 2, get, &reply, err);
    if (s == FB_OK) {
        *has_r = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, claim->id) == 0;
        freeReplyObject(reply);
    }
    return s;
}

enum fb_status revoke_turn_take(struct fb_redis *r, const struct fb_claim *claim,
                                const char *parcel_id, struct fb_error *err)
{
    char key[KEY_SIZE];
    make_key(key, claim, parcel_id);
    const struct fb_slice set[] = {FB_SLICE_LITERAL("SET"), fb_slice_str(key),
                                   fb_slice_str(claim->id), FB_SLICE_LITERAL("NX"),
                                   FB_SLICE_LITERAL("PX"),  FB_SLICE_LITERAL(TURN_MS)};
    struct redisReply *reply = NULL;
    enum fb_status s = fb_redis_command(r, 6, set, &reply, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_ours = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (!is_ours) {
        s = revoke_turn_has(r, claim, parcel_id, &is_ours, err);
    }
    return s == FB_OK && !is_ours ? fb_error_set(err, FB_EXISTS, "another job has the parcel") : s;
}

void revoke_turn_end(struct fb_ops *ops, const struct fb_claim *claim, const char *parcel_id)
{
    char key[KEY_SIZE];
    make_key(key, claim, parcel_id);
    fb_ops_add(ops, "DEL", key, NULL);
}
