/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is first: sending or recall (recall.c).  Both are one script on the message's hash, so exactly
 * one of them wins for each recipient.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"

void fb_ledger_read_bits(const redisReply *reply, size_t count, bool *bits_r)
{
    struct fb_slice bits = {NULL, 0};
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        bits = fb_reply_slice(reply->element[1]);
    }
    for (size_t i = 0; i < count; i++) {
        bits_r[i] = i < bits.len && bits.ptr[i] == '1';
    }
}

enum fb_status fb_ledger_claim_sending(struct fb_redis *r, const char *consumer,
                                       const struct fb_claim *claim, const uint32_t *recipients,
                                       size_t count, bool *may_r, struct fb_error *err)
{
    struct fb_call c;
    fb_call_init(&c);
    fb_call_stream(&c, claim->shard, claim->stage, claim->lane);
    fb_call_key(&c, claim->shard, "m:%s", claim->job.msg_id);
    fb_call_arg_str(&c, FB_GROUP);
    fb_call_arg_str(&c, consumer);
    fb_call_arg_str(&c, claim->id);
    for (size_t i = 0; i < count; i++) {
        fb_call_arg_int(&c, recipients[i]);
    }
    redisReply *reply = NULL;
    enum fb_status s = fb_call_run(r, FB_SCRIPT_CLAIM_SENDING, &c, &reply, err);
    if (s == FB_OK) {
        fb_ledger_read_bits(reply, count, may_r);
        freeReplyObject(reply);
    }
    fb_call_deinit(&c);
    return s;
}

void fb_ledger_release_sending(struct fb_redis *r, struct fb_ops *ops, const char *msg_id,
                               const uint32_t *recipients, size_t count)
{
    char key[FB_LEDGER_KEY];
    fb_ledger_key(key, fb_redis_shard(r, msg_id), "m", msg_id);
    struct fb_slice *args = fb_xcalloc(count + 1, sizeof(*args));
    char(*names)[16] = fb_xcalloc(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%" PRIu32, recipients[i]);
        args[i] = fb_slice_str(names[i]);
    }
    fb_ops_add_slices(ops, "UNCLAIM", key, args, count);
    free(args);
    free(names);
}

enum fb_status fb_ledger_recalled(struct fb_redis *r, const char *msg_id,
                                  const uint32_t *recipients, size_t count, bool *recalled_r,
                                  struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    fb_key(key, fb_redis_shard(r, msg_id), "m:%s", msg_id);
    struct fb_slice *argv = fb_xcalloc(count + 3, sizeof(*argv));
    char(*names)[24] = fb_xcalloc(count + 1, sizeof(*names));
    argv[0] = fb_slice_str("HMGET");
    argv[1] = fb_slice_str(key);
    argv[2] = fb_slice_str("recalled");
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x:%" PRIu32, recipients[i]);
        argv[3 + i] = fb_slice_str(names[i]);
    }
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_command(r, count + 3, argv, &reply, err);
    if (s == FB_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != count + 1)) {
        s = fb_error_set(err, FB_BUG, "HMGET: odd answer");
    }
    for (size_t i = 0; s == FB_OK && i < count; i++) {
        recalled_r[i] = reply->element[0]->type == REDIS_REPLY_STRING ||
                        reply->element[1 + i]->type == REDIS_REPLY_STRING;
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    free(argv);
    free(names);
    return s;
}
