/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the S3 client share; nobody else includes this.
 */
#ifndef FB_COMMON_S3_INTERNAL_H
#define FB_COMMON_S3_INTERNAL_H

#include <curl/curl.h>
#include <pthread.h>

#include "common/s3/s3.h"

#define FB_S3_MAX_REPLY ((size_t)4 << 20) /* XML; a page of a listing has 1,000 keys */
#define FB_S3_MAX_IDLE  32U               /* connections that are kept */
#define FB_S3_SECRET    256U
#define FB_S3_TOKEN     8192U /* session tokens are some hundred bytes to 4 KiB long */
#define FB_S3_HOST      256U
#define FB_S3_PATH      4096U

/* ---- settings.c: what the environment and the files of AWS say ---- */

struct fb_s3_settings {
    char endpoint[512]; /* scheme://host[:port][/path], "" for AWS */
    char region[64];
    char ca_bundle[FB_S3_PATH];
    enum fb_s3_style style;
};

enum fb_s3_source {
    FB_S3_FROM_ENV,
    FB_S3_FROM_FILE,
    FB_S3_FROM_WEB,
    FB_S3_FROM_CONTAINER,
    FB_S3_FROM_INSTANCE
};

struct fb_s3_credentials {
    char key_id[FB_S3_SECRET];
    char secret[FB_S3_SECRET];
    char token[FB_S3_TOKEN];
    int64_t expires_ms; /* wall clock; 0: not known to */
    enum fb_s3_source source;
};

FB_MUST_USE enum fb_status fb_s3_settings_load(struct fb_s3_settings *settings_r,
                                               struct fb_error *err);
/* An environment variable, NULL when unset or empty. */
const char *fb_s3_env(const char *name);
/* Environment or files; FB_NOT_FOUND when neither has any. */
FB_MUST_USE enum fb_status fb_s3_credentials_env(struct fb_s3_credentials *c_r);
FB_MUST_USE enum fb_status fb_s3_credentials_file(struct fb_s3_credentials *c_r,
                                                  struct fb_error *err);

/* ---- credentials.c: the client's current ones ---- */

/* Copies them out; fetches or renews them when needed.  The caller wipes. */
FB_MUST_USE enum fb_status fb_s3_credentials_get(struct fb_s3 *s3, struct fb_s3_credentials *c_r,
                                                 struct fb_error *err);
/* The store refused these: the next get fetches anew.  False when there is nothing newer to hope
 * for. */
bool fb_s3_credentials_drop(struct fb_s3 *s3, const struct fb_s3_credentials *c);

/* One request for credentials; none of its parts is logged. */
struct fb_s3_fetch {
    const char *what, *url;
    const char *method, *form; /* NULL: GET, or POST with a form */
    const char *headers[2][2]; /* name and value; {NULL} ends them */
    bool is_local;             /* past any proxy */
    long whole_ms;             /* 0: 15 s */
};
/* out is initialised by the call.  FB_NOT_FOUND (404), FB_CONFIG (refused), FB_AGAIN, FB_NETWORK. */
FB_MUST_USE enum fb_status fb_s3_fetch(struct fb_s3 *s3, const struct fb_s3_fetch *f,
                                       struct fb_buf *out, struct fb_error *err);
void fb_s3_wipe_buf(struct fb_buf *b);

/* ---- credentials_host.c: FB_NOT_FOUND where there is no such thing ---- */

FB_MUST_USE enum fb_status
fb_s3_credentials_container(struct fb_s3 *s3, struct fb_s3_credentials *c_r, struct fb_error *err);
FB_MUST_USE enum fb_status
fb_s3_credentials_instance(struct fb_s3 *s3, struct fb_s3_credentials *c_r, struct fb_error *err);

/* ---- client.c ---- */

struct fb_s3 {
    char bucket[64];
    char prefix[512];              /* "" or ending with '/' */
    char origin[FB_S3_HOST + 600]; /* up to where the key begins, with the '/' */
    char region[64];
    char sigv4[128];
    char ca_bundle[FB_S3_PATH];
    struct fb_s3_options options;
    pthread_mutex_t lock; /* of all below */
    CURL *idle[FB_S3_MAX_IDLE];
    size_t idle_count;
    struct fb_s3_credentials credentials;
    bool has_credentials;
    int64_t refused_ms; /* monotonic: when the last ones were dropped */
    int64_t fetched_ms; /* monotonic: when newer ones were last asked for */
    int64_t clock_offset_ms;
};

CURL *fb_s3_handle_take(struct fb_s3 *s3);
void fb_s3_handle_give(struct fb_s3 *s3, CURL *curl, bool is_good);
/* Percent-encodes all but unreserved characters (and '/', when it may stay). */
FB_MUST_USE enum fb_status fb_s3_encode(const char *text, bool keeps_slash, struct fb_buf *out);
/* Certificate checks, time limits, protocols: what every request has. */
FB_MUST_USE bool fb_s3_limits(CURL *curl, const struct fb_s3 *s3, int64_t whole_ms);

/* ---- request.c: one call with its retries ---- */

struct fb_s3_call {
    const char *name; /* of the operation, for messages and metrics */
    const char *method;
    const char *key;            /* relative; NULL: the bucket itself */
    const char *query;          /* sorted and encoded as SigV4 wants it, every name with '='; "" */
    const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
    const struct fb_slice *body;
    size_t body_count;
    bool has_body; /* an empty one is one, too */
    uint8_t *out;  /* GET: the answer's body goes here; NULL: into the reply's body */
    size_t out_size;
    bool is_error_in_200; /* CompleteMultipartUpload may fail after its 200 */
};

struct fb_s3_reply {
    long status;
    unsigned tries;
    char code[64];
    char message[256];
    char request_id[80];
    char region[64];
    int64_t retry_after_ms;
    struct fb_s3_info info;
    uint64_t length; /* of the body that came */
    uint64_t range_total;
    bool has_range;
    struct fb_buf body;
};

/* FB_OK for 2xx (and 416 of a range).  reply is initialised by the call; deinit it always. */
FB_MUST_USE enum fb_status fb_s3_perform(struct fb_s3 *s3, const struct fb_s3_call *call,
                                         struct fb_s3_reply *reply, struct fb_error *err);
void fb_s3_reply_deinit(struct fb_s3_reply *reply);

/* ---- reply.c ---- */

void fb_s3_reply_header(struct fb_s3 *s3, struct fb_s3_reply *reply, struct fb_slice line);
/* Reads <Error> out of the body. */
void fb_s3_reply_error(struct fb_s3_reply *reply);

enum fb_s3_verdict { FB_S3_DONE, FB_S3_RETRY, FB_S3_RENEW, FB_S3_FINAL };
/* What the answer means; sets err unless it is DONE. */
enum fb_s3_verdict fb_s3_judge(const struct fb_s3 *s3, const struct fb_s3_call *call,
                               const struct fb_s3_reply *reply, enum fb_status *status_r,
                               struct fb_error *err);
enum fb_s3_verdict fb_s3_judge_network(const struct fb_s3 *s3, const struct fb_s3_call *call,
                                       CURLcode rc, enum fb_status *status_r, struct fb_error *err);

/* ---- xml.c ---- */

/* The text inside the next <tag> of *rest, which moves behind it. */
bool fb_s3_xml_next(struct fb_slice *rest, const char *tag, struct fb_slice *inner_r);
/* Text with its entities decoded; false when it does not fit or is not text. */
bool fb_s3_xml_text(struct fb_slice inner, char *out, size_t size);
/* Both, for the first one in xml. */
bool fb_s3_xml_get(struct fb_slice xml, const char *tag, char *out, size_t size);
uint64_t fb_s3_number(const char *text); /* 0 when it is none */
int64_t fb_s3_time_ms(const char *iso);  /* 0 when it is none */

#endif
