/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the replies of an S3 store (feed_curl.h says how they are written), as its XML, and
 * as the URL of a bucket.  Octet 0 chooses what is asked.
 *
 * Checked: a call ends; what it hands on lies below the prefix, in order, and within the room that
 * it was given; what was read through has the checksum that the store told of; an error has words,
 * without the secret key; no request has a header that is not ours.  A key that was written as XML
 * is read as it was.
 */
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/s3/internal.h"
#include "tests/fuzz/feed_curl.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __wrap_fb_metric_add(const char *name, const char *labels, double by);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

#define SECRET "s3cretOfTheFuzzTarget"

static bool knows_secret; /* the fuzzer learns it by and by, and writes it into replies */

/* The registry is a list; with a series for each status that a mutation makes it is a long one. */
void __wrap_fb_metric_add(const char *name, const char *labels, double by)
{
    FB_ASSERT(name[0] != '\0' && labels[0] != '\0' && by > 0);
}

/* The pause before another try. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    FB_ASSERT(time->tv_sec >= 0 && time->tv_sec <= 3600 && time->tv_nsec < 1000000000);
    return 0;
}

static void look_at_request(struct fb_slice request)
{
    static const char *const allowed[] = {"host: ",           "user-agent: fumibako/",
                                          "accept: */*",      "authorization: aws4-hmac-sha256 ",
                                          "content-type: ",   "content-length: ",
                                          "content-md5: ",    "x-amz-",
                                          "range: bytes=",    "if-match: ",
                                          "if-none-match: *", NULL};
    feed_curl_check_head(request, allowed);
    FB_ASSERT(knows_secret || fb_slice_find(request, FB_SLICE_LITERAL(SECRET)) == SIZE_MAX);
}

static void check_error(enum fb_status s, const struct fb_error *err)
{
    if (s == FB_OK) {
        return;
    }
    FB_ASSERT(err->status == s && err->text[0] != '\0');
    FB_ASSERT(knows_secret || strstr(err->text, SECRET) == NULL);
    for (const char *p = err->text; *p != '\0'; p++) {
        FB_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

/* ---- calls ---- */

static bool see_entry(void *ctx, const struct fb_s3_entry *entry)
{
    char *last = ctx;
    FB_ASSERT(strcmp(entry->key, last) > 0 && strlen(entry->key) < FB_S3_KEY_SIZE);
    memcpy(last, entry->key, strlen(entry->key) + 1);
    return strcmp(entry->key, "stop") != 0;
}

static bool sum_up(void *ctx, struct fb_slice bytes)
{
    fb_hash_update(ctx, bytes.ptr, bytes.len);
    return true;
}

static enum fb_status try_read(struct fb_s3 *s3, struct fb_error *err)
{
    struct fb_hash hash;
    struct fb_s3_info info = {0};
    uint8_t digest[FB_SHA256_SIZE];
    char text[48];
    char hex[2 * FB_SHA256_SIZE + 1];
    fb_hash_init(&hash, FB_HASH_SHA256);
    enum fb_status s = fb_s3_read(s3, "k", sum_up, &hash, &info, err);
    fb_hash_final(&hash, digest);
    fb_hash_deinit(&hash);
    if (s == FB_OK) {
        (void)EVP_EncodeBlock((unsigned char *)text, digest, sizeof digest);
        fb_hex(digest, sizeof digest, hex);
        FB_ASSERT(info.own_sha256[0] == '\0' || strcmp(info.own_sha256, hex) == 0);
        FB_ASSERT(info.sha256[0] == '\0' || strchr(info.sha256, '-') != NULL ||
                  strcmp(info.sha256, text) == 0);
    }
    return s;
}

static enum fb_status try_get(struct fb_s3 *s3, uint8_t how, struct fb_error *err)
{
    size_t len = (size_t)(how & 63) + 1;
    uint8_t *room = malloc(len); /* of exactly that size */
    size_t got = 0;
    struct fb_s3_info info = {0};
    FB_ASSERT(room != NULL);
    enum fb_status s = fb_s3_get(s3, "k/1", (how & 64) != 0 ? 100 : 0, room, len,
                                 (how & 128) != 0 ? "\"e\"" : NULL, &got, &info, err);
    FB_ASSERT(got <= len && (s == FB_OK || got == 0));
    FB_ASSERT(s != FB_OK || got == 0 || info.size >= got);
    free(room);
    return s;
}

static enum fb_status try_upload(struct fb_s3 *s3, uint8_t how, struct fb_error *err)
{
    static uint8_t part[FB_S3_MIN_PART];
    struct fb_s3_upload *upload = NULL;
    enum fb_status s = fb_s3_upload_new(s3, "k", FB_S3_MIN_PART, &upload, err);
    FB_ASSERT(s == FB_OK);
    s = fb_s3_upload_add(upload, part, (how & 1) != 0 ? 100 : sizeof part, err);
    if (s == FB_OK && (how & 3) == 2) {
        s = fb_s3_upload_add(upload, part, 1, err);
    }
    if (s == FB_OK) {
        return fb_s3_upload_commit(&upload, err);
    }
    fb_s3_upload_abort(&upload);
    return s;
}

static void try_call(struct fb_s3 *s3, uint8_t what, uint8_t how)
{
    const struct fb_slice piece = FB_SLICE_LITERAL("content");
    struct fb_error err = {0};
    struct fb_s3_info info = {0};
    char last[FB_S3_KEY_SIZE] = "";
    uint64_t swept = 0;
    enum fb_status s;
    switch (what) {
    case 0:
        s = try_get(s3, how, &err);
        break;
    case 1:
        s = try_read(s3, &err);
        break;
    case 2:
        s = fb_s3_list(s3, "seg/", (how & 1) != 0 ? "seg/a" : NULL, see_entry, last, &err);
        break;
    case 3:
        s = fb_s3_put(s3, "k", &piece, 1, (how & 1) != 0, &err);
        break;
    case 4:
        s = fb_s3_replace(s3, "k", piece, "\"e\"", &err);
        break;
    case 5:
        s = (how & 1) != 0 ? fb_s3_head(s3, "k", &info, &err) : fb_s3_delete(s3, "k", &err);
        break;
    case 6:
        s = try_upload(s3, how, &err);
        break;
    default:
        s = fb_s3_upload_sweep(s3, "seg/", 0, &swept, &err);
        break;
    }
    check_error(s, &err);
}

/* ---- XML and the URL ---- */

static void try_xml(struct fb_slice xml)
{
    struct fb_slice inner;
    struct fb_slice rest = xml;
    char text[64];
    size_t before = rest.len + 1;
    while (fb_s3_xml_next(&rest, "Contents", &inner)) {
        FB_ASSERT(rest.len < before && inner.len < xml.len);
        before = rest.len;
        if (fb_s3_xml_get(inner, "Key", text, sizeof text)) {
            FB_ASSERT(strlen(text) < sizeof text);
        }
    }
    if (fb_s3_xml_text(xml, text, sizeof text)) {
        FB_ASSERT(strlen(text) <= xml.len);
        (void)fb_s3_number(text);
        (void)fb_s3_time_ms(text);
    }
}

static void try_round(struct fb_slice bytes)
{
    char key[257], back[257];
    struct fb_buf xml;
    size_t n = 0;
    fb_buf_init(&xml, 4096);
    FB_ASSERT(fb_buf_add_str(&xml, "<ListBucketResult><Contents><Key>") == FB_OK);
    for (size_t i = 0; i < bytes.len && n < sizeof key - 1; i++) {
        char c = (char)bytes.ptr[i];
        const char *entity = c == '&'   ? "&amp;"
                             : c == '<' ? "&lt;"
                             : c == '>' ? "&gt;"
                             : c == '"' ? "&quot;"
                                        : NULL;
        if (c != '\0') {
            key[n++] = c;
            FB_ASSERT((entity != NULL ? fb_buf_add_str(&xml, entity) : fb_buf_add_char(&xml, c)) ==
                      FB_OK);
        }
    }
    key[n] = '\0';
    FB_ASSERT(fb_buf_add_str(&xml, "</Key></Contents></ListBucketResult>") == FB_OK);
    FB_ASSERT(fb_s3_xml_get(fb_slice_buf(&xml), "Key", back, sizeof back));
    FB_ASSERT(strcmp(key, back) == 0);
    fb_buf_deinit(&xml);
}

static void try_url(struct fb_slice bytes)
{
    char *url = fb_slice_dup_str(bytes);
    struct fb_s3 *s3 = NULL;
    struct fb_error err = {0};
    if (url == NULL) {
        return;
    }
    enum fb_status s = fb_s3_open(url, NULL, &s3, &err);
    FB_ASSERT((s == FB_OK) == (s3 != NULL) && (s == FB_OK || s == FB_CONFIG));
    check_error(s, &err);
    FB_ASSERT(s3 == NULL ||
              (strstr(s3->prefix, "/../") == NULL && strncmp(s3->prefix, "../", 3) != 0));
    fb_s3_close(&s3);
    free(url);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    FB_ASSERT(setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1", 1) == 0 &&
              setenv("AWS_ACCESS_KEY_ID", "AKIAFUZZ", 1) == 0 &&
              setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1) == 0 &&
              setenv("AWS_CONFIG_FILE", "/dev/null", 1) == 0 &&
              setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1) == 0);
    feed_curl_watch(look_at_request);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fb_s3 *s3;
    static const struct fb_s3_options options = {.backoff_ms = 1, .tries = 3};
    if (s3 == NULL) {
        FB_ASSERT(fb_s3_open("s3://bucket/mail", &options, &s3, NULL) == FB_OK);
    }
    if (size < 2) {
        return 0;
    }
    struct fb_slice bytes = fb_slice_of(data + 2, size - 2);
    knows_secret = fb_slice_find(bytes, FB_SLICE_LITERAL(SECRET)) != SIZE_MAX;
    switch (data[0] % 16) {
    case 8:
    case 9:
        try_xml(bytes);
        try_round(bytes);
        break;
    case 10:
        try_url(bytes);
        break;
    default:
        feed_curl_set(bytes);
        try_call(s3, data[0] % 8, data[1]);
        FB_ASSERT(feed_curl_requests() < 2000);
        break;
    }
    return 0;
}
