/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ledger/code.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/internal.h"

enum fb_status fb_ledger_code_send(struct fb_redis *r, const char *parcel_id, uint32_t recipient,
                                   int64_t made_ms, struct fb_error *err)
{
    struct fb_job about = {.stage = FB_STAGE_REWRITE};
    struct fb_job *letter = fb_xcalloc(1, sizeof *letter);
    enum fb_status s = FB_OK;
    if (!fb_parcel_id_split(parcel_id, about.msg_id, &about.branch)) {
        s = fb_error_set(err, FB_INVALID, "not a parcel's id");
    } else {
        fb_trace_new(about.trace);
        fb_job_letter(FB_LETTER_CODE, &about, about.branch, letter);
        letter->reader = recipient;
        letter->first_ms = made_ms; /* which code: another one has another end */
        s = fb_queue_add(r, letter, NULL, err);
    }
    free(letter);
    return s;
}

static bool copy(const redisReply *reply, char *out, size_t size)
{
    struct fb_slice text = fb_reply_slice(reply);
    if (text.len == 0 || text.len >= size || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

enum fb_status fb_ledger_code_get(struct fb_redis *r, const struct fb_job *letter, int64_t now_ms,
                                  struct fb_ledger_code *code_r, struct fb_error *err)
{
    char key[FB_KEY_SIZE];
    char parcel_id[FB_PARCEL_ID_SIZE];
    redisReply *reply = NULL;
    *code_r = (struct fb_ledger_code){0};
    fb_parcel_id_make(letter->msg_id, letter->branch, parcel_id);
    fb_key(key, fb_redis_shard(r, letter->msg_id), "pc:%s.%" PRIu32, parcel_id, letter->reader);
    enum fb_status s = fb_redis_call(r, &reply, err, "HMGET", key, "code", "to", "until", NULL);
    if (s != FB_OK) {
        return s;
    }
    bool is_there = reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
                    copy(reply->element[0], code_r->sealed, sizeof code_r->sealed) &&
                    copy(reply->element[1], code_r->to, sizeof code_r->to);
    code_r->until_ms = is_there ? fb_slice_int(fb_reply_slice(reply->element[2])) : 0;
    freeReplyObject(reply);
    if (!is_there || code_r->until_ms <= now_ms ||
        code_r->until_ms != letter->first_ms + FB_DOOR_CODE_MS) {
        *code_r = (struct fb_ledger_code){0};
        return fb_error_set(err, FB_NOT_FOUND, "the code was replaced or used, or is over");
    }
    return FB_OK;
}
