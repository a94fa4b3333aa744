/* SPDX-License-Identifier: Apache-2.0 */
#include "common/accounts/audit.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"

#define MAX_SIDE (64U << 10) /* of before and after, each */

/* That it was changed, and to what, can still be proved. */
static json_t *side(json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    size_t len = text != NULL ? strlen(text) : 0;
    json_t *result = value == NULL ? json_null() : json_incref(value);
    if (len > MAX_SIDE) {
        uint8_t digest[FB_SHA256_SIZE];
        char hex[2 * FB_SHA256_SIZE + 1];
        fb_sha256(text, len, digest);
        fb_hex(digest, sizeof digest, hex);
        json_decref(result);
        result = json_pack("{s:s,s:I}", "sha256", hex, "bytes", (json_int_t)len);
    }
    free(text);
    return result;
}

enum fb_status fb_audit_write(struct fb_redis *r, const struct fb_audit_line *line, int64_t keep_ms,
                              struct fb_error *err)
{
    char least[24];
    redisReply *reply = NULL;
    int64_t now_ms = fb_now_ms();
    json_t *e = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "at", (json_int_t)now_ms, "user",
                          line->user, "role", line->role, "by", line->by, "address", line->address,
                          "action", line->action, "object", line->object, "before",
                          side(line->before), "after", side(line->after));
    char *text = e != NULL ? json_dumps(e, JSON_COMPACT) : NULL;
    (void)snprintf(least, sizeof least, "%lld", (long long)(now_ms - keep_ms));
    enum fb_status s = text != NULL
                           ? fb_redis_call(r, &reply, err, "XADD", FB_AUDIT_KEY, "MINID", "~",
                                           least, "*", "e", text, NULL)
                           : fb_error_set(err, FB_INVALID, "a line of the audit that is no text");
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    free(text);
    json_decref(e);
    return s;
}
