/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer says and what it means: done, try again, renew the credentials, or give up, in
 * words that name S3's code and request id.
 */
#include <stdio.h>
#include <string.h>

#include "common/s3/internal.h"

#define MAX_RETRY_AFTER_S 3600
#define CLOCK_MS          2000

static bool take(struct fb_slice line, const char *name, char *out, size_t size)
{
    if (!fb_slice_istarts(line, name)) {
        return false;
    }
    struct fb_slice value = fb_slice_trim(fb_slice_sub(line, strlen(name), SIZE_MAX));
    if (value.len >= size) {
        return true; /* ours, but longer than anything that it can be */
    }
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        out[i] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
    }
    out[value.len] = '\0';
    return true;
}

/* "bytes 0-99/1234", or "bytes * /1234" with 416. */
static void take_range(struct fb_s3_reply *reply, const char *text)
{
    const char *slash = strchr(text, '/');
    if (slash != NULL && slash[1] >= '0' && slash[1] <= '9') {
        reply->range_total = fb_s3_number(slash + 1);
        reply->has_range = true;
    }
}

static void take_date(struct fb_s3 *s3, const char *text)
{
    int64_t at_s = (int64_t)curl_getdate(text, NULL);
    if (at_s > 0) {
        int64_t offset = at_s * 1000 + 500 - fb_now_ms();
        (void)pthread_mutex_lock(&s3->lock);
        int64_t off_by = offset - s3->clock_offset_ms;
        if (off_by > CLOCK_MS || off_by < -CLOCK_MS) { /* Date has seconds only: no jumping about */
            s3->clock_offset_ms = offset;
        }
        (void)pthread_mutex_unlock(&s3->lock);
    }
}

void fb_s3_reply_header(struct fb_s3 *s3, struct fb_s3_reply *r, struct fb_slice line)
{
    char text[128] = "";
    if (fb_slice_istarts(line, "http/")) {
        size_t blank = fb_slice_find(line, FB_SLICE_LITERAL(" "));
        (void)snprintf(
            text, 4, "%.3s",
            blank != SIZE_MAX && line.len > blank + 3 ? (const char *)line.ptr + blank + 1 : "0");
        r->status = (long)fb_s3_number(text);
        return;
    }
    if (take(line, "x-amz-request-id:", r->request_id, sizeof r->request_id) ||
        take(line, "etag:", r->info.etag, sizeof r->info.etag) ||
        take(line, "x-amz-checksum-sha256:", r->info.sha256, sizeof r->info.sha256) ||
        take(line, "x-amz-meta-fb-sha256:", r->info.own_sha256, sizeof r->info.own_sha256) ||
        take(line, "x-amz-bucket-region:", r->region, sizeof r->region)) {
        return;
    }
    if (take(line, "content-length:", text, sizeof text)) {
        r->info.size = fb_s3_number(text);
    } else if (take(line, "content-range:", text, sizeof text)) {
        take_range(r, text);
    } else if (take(line, "x-amz-meta-fb-part-size:", text, sizeof text)) {
        r->info.part_size = fb_s3_number(text);
    } else if (take(line, "last-modified:", text, sizeof text)) {
        r->info.modified_ms = (int64_t)curl_getdate(text, NULL) * 1000;
    } else if (take(line, "retry-after:", text, sizeof text)) {
        uint64_t s = fb_s3_number(text);
        r->retry_after_ms = s <= MAX_RETRY_AFTER_S ? (int64_t)s * 1000 : 0;
    } else if (take(line, "date:", text, sizeof text)) {
        take_date(s3, text);
    }
}

void fb_s3_reply_error(struct fb_s3_reply *r)
{
    struct fb_slice xml = fb_slice_buf(&r->body);
    struct fb_slice inner = {0};
    if (!fb_s3_xml_next(&xml, "Error", &inner)) {
        return;
    }
    (void)fb_s3_xml_get(inner, "Code", r->code, sizeof r->code);
    (void)fb_s3_xml_get(inner, "Message", r->message, sizeof r->message);
    if (r->request_id[0] == '\0') {
        (void)fb_s3_xml_get(inner, "RequestId", r->request_id, sizeof r->request_id);
    }
    if (r->region[0] == '\0') {
        (void)fb_s3_xml_get(inner, "Region", r->region, sizeof r->region);
    }
}

/* What each code means, where the number of the answer does not say it. */
static const struct meaning {
    const char *code;
    enum fb_s3_verdict verdict;
    enum fb_status status;
    const char *advice;
} meanings[] = {
    {"NoSuchKey", FB_S3_FINAL, FB_NOT_FOUND, ""},
    {"NoSuchUpload", FB_S3_FINAL, FB_NOT_FOUND, ""},
    {"NoSuchBucket", FB_S3_FINAL, FB_CONFIG, "; make the bucket, or mend the url"},
    {"PreconditionFailed", FB_S3_FINAL, FB_EXISTS, ""},
    {"ConditionalRequestConflict", FB_S3_RETRY, FB_AGAIN, ""},
    {"OperationAborted", FB_S3_RETRY, FB_AGAIN, ""},
    {"SlowDown", FB_S3_RETRY, FB_AGAIN, ""},
    {"Throttling", FB_S3_RETRY, FB_AGAIN, ""},
    {"ThrottlingException", FB_S3_RETRY, FB_AGAIN, ""},
    {"RequestLimitExceeded", FB_S3_RETRY, FB_AGAIN, ""},
    {"InternalError", FB_S3_RETRY, FB_AGAIN, ""},
    {"ServiceUnavailable", FB_S3_RETRY, FB_AGAIN, ""},
    {"RequestTimeout", FB_S3_RETRY, FB_NETWORK, ""},
    {"IncompleteBody", FB_S3_RETRY, FB_NETWORK, ""},
    {"BadDigest", FB_S3_RETRY, FB_CORRUPT, "; the bytes were changed on their way"},
    {"XAmzContentSHA256Mismatch", FB_S3_RETRY, FB_CORRUPT, "; the bytes were changed on their way"},
    {"XAmzContentChecksumMismatch", FB_S3_RETRY, FB_CORRUPT,
     "; the bytes were changed on their way"},
    {"ExpiredToken", FB_S3_RENEW, FB_CONFIG, "; the credentials have ended"},
    {"TokenRefreshRequired", FB_S3_RENEW, FB_CONFIG, "; the credentials have ended"},
    {"InvalidToken", FB_S3_RENEW, FB_CONFIG, "; check AWS_SESSION_TOKEN"},
    {"InvalidAccessKeyId", FB_S3_RENEW, FB_CONFIG, "; check the access key"},
    {"SignatureDoesNotMatch", FB_S3_RENEW, FB_CONFIG, "; check the secret key and the region"},
    {"AccessDenied", FB_S3_RENEW, FB_CONFIG,
     "; the policy of the bucket or the user must allow GetObject, PutObject, DeleteObject, "
     "ListBucket, AbortMultipartUpload and ListBucketMultipartUploads"},
    {"RequestTimeTooSkewed", FB_S3_FINAL, FB_CONFIG, "; set this machine's clock (NTP)"},
    {"EntityTooLarge", FB_S3_FINAL, FB_TOO_BIG, ""},
    {"QuotaExceeded", FB_S3_FINAL, FB_NO_SPACE, "; raise the quota of the bucket"},
    {"XMinioStorageFull", FB_S3_FINAL, FB_NO_SPACE, "; the store is full"},
    {"InsufficientStorage", FB_S3_FINAL, FB_NO_SPACE, "; the store is full"},
};

static const struct meaning *by_number(long status)
{
    static const struct meaning other = {"", FB_S3_FINAL, FB_DENIED, ""};
    static const struct meaning passing = {"", FB_S3_RETRY, FB_AGAIN, ""};
    static const struct meaning missing = {"", FB_S3_FINAL, FB_NOT_FOUND, ""};
    static const struct meaning condition = {"", FB_S3_FINAL, FB_EXISTS, ""};
    static const struct meaning refused = {"", FB_S3_RENEW, FB_CONFIG,
                                           "; check the credentials and what they may do"};
    static const struct meaning elsewhere = {"", FB_S3_FINAL, FB_CONFIG,
                                             "; the bucket lies in another region"};
    static const struct meaning full = {"", FB_S3_FINAL, FB_NO_SPACE, "; the store is full"};
    if (status == 507) {
        return &full;
    }
    if (status == 429 || status == 408 || status == 409 || (status >= 500 && status != 501)) {
        return &passing;
    }
    if (status == 301 || status == 307 || status == 308) {
        return &elsewhere;
    }
    return status == 404                    ? &missing
           : status == 412                  ? &condition
           : status == 401 || status == 403 ? &refused
                                            : &other;
}

enum fb_s3_verdict fb_s3_judge(const struct fb_s3 *s3, const struct fb_s3_call *call,
                               const struct fb_s3_reply *r, enum fb_status *status_r,
                               struct fb_error *err)
{
    bool is_ok = r->status >= 200 && r->status < 300;
    bool is_failed_inside = is_ok && call->is_error_in_200 && r->code[0] != '\0';
    *status_r = FB_OK;
    if ((is_ok && !is_failed_inside) || (r->status == 416 && call->out != NULL)) {
        return FB_S3_DONE;
    }
    const struct meaning *m = is_failed_inside ? by_number(500) : by_number(r->status);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings && r->code[0] != '\0'; i++) {
        m = strcmp(r->code, meanings[i].code) == 0 ? &meanings[i] : m;
    }
    *status_r = m->status;
    if (r->region[0] != '\0' && strcmp(r->region, s3->region) != 0 && m->status != FB_NOT_FOUND &&
        m->verdict != FB_S3_RETRY) {
        *status_r =
            fb_error_set(err, FB_CONFIG, "S3 %s: bucket %s lies in region %s: set AWS_REGION=%s",
                         call->name, s3->bucket, r->region, r->region);
        return FB_S3_FINAL;
    }
    (void)fb_error_set(err, m->status, "S3 %s %s: HTTP %ld %s%s%s (request %s)%s", call->name,
                       call->key != NULL ? call->key : s3->bucket, r->status,
                       r->code[0] != '\0' ? r->code : "without a code",
                       r->message[0] != '\0' ? ": " : "", r->message,
                       r->request_id[0] != '\0' ? r->request_id : "unknown", m->advice);
    return m->verdict;
}

enum fb_s3_verdict fb_s3_judge_network(const struct fb_s3 *s3, const struct fb_s3_call *call,
                                       CURLcode rc, enum fb_status *status_r, struct fb_error *err)
{
    const char *advice = "";
    enum fb_s3_verdict verdict = FB_S3_RETRY;
    *status_r = FB_NETWORK;
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        *status_r = FB_CONFIG;
        verdict = FB_S3_FINAL;
        advice = "; check AWS_CA_BUNDLE, the machine's CA certificates and its clock";
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        *status_r = FB_CONFIG;
        verdict = FB_S3_FINAL;
        advice = "; check AWS_ENDPOINT_URL_S3";
        break;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        *status_r = FB_NO_SPACE;
        verdict = FB_S3_FINAL;
        break;
    case CURLE_WRITE_ERROR: /* more came than was asked for */
        *status_r = FB_CORRUPT;
        advice = "; the answer is longer than what was asked for";
        break;
    default:
        break;
    }
    (void)fb_error_set(err, *status_r, "S3 %s %s: %s%s", call->name,
                       call->key != NULL ? call->key : s3->bucket, curl_easy_strerror(rc), advice);
    return verdict;
}
