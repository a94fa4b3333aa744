/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as Box's replies (feed_curl.h says how they are written), and as its credentials file.
 * Octet 0 chooses what is asked of Box, octet 1 how.
 *
 * Checked: a call ends in bounded tries; what it says it has done, the replies have said, too; an
 * error has words, without the token and without control characters; no request has a header that
 * is not ours, and none goes to another origin with our token.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/curl_handle.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/upload/box_share.h"
#include "tests/fuzz/feed_curl.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum fb_status __wrap_box_limit_take(struct storage_session *s, const char *user,
                                     enum box_limit kind, struct fb_error *err);
void __wrap_box_limit_pause(struct storage_session *s, const char *user, int64_t ms);
bool __wrap_box_sleep(int64_t ms);
enum fb_status __wrap_box_auth_token(struct box_auth *auth, const char *user, char **token_r,
                                     struct fb_error *err);
void __wrap_box_auth_drop(struct box_auth *auth, const char *user, const char *token);
void __wrap_fb_metric_add(const char *name, const char *labels, double by);
enum fb_status __wrap_fb_read_file(const char *path, size_t max, struct fb_buf *out,
                                   struct fb_error *err);
void __real_box_auth_drop(struct box_auth *auth, const char *user, const char *token);
enum fb_status __real_box_auth_token(struct box_auth *auth, const char *user, char **token_r,
                                     struct fb_error *err);

#define TOKEN  "t0kenOfTheFuzzTarget"
#define SECRET "s3cretOfTheFuzzTarget"
#define ORIGIN "http://127.0.0.1:1"
#define PARCEL "01HZZZZZZZZZZZZZZZZZZZZZZZ-0"
#define SLEEPS 6 /* then the service stops: no input is worth more tries */

static unsigned sleeps;
static struct fb_slice credentials;
static bool knows_secrets; /* the fuzzer learns them by and by, and writes them into replies */

/* ---- what is not of the replies ---- */

enum fb_status __wrap_box_limit_take(struct storage_session *s, const char *user,
                                     enum box_limit kind, struct fb_error *err)
{
    (void)s;
    (void)user;
    (void)kind;
    (void)err;
    return FB_OK;
}

void __wrap_box_limit_pause(struct storage_session *s, const char *user, int64_t ms)
{
    (void)s;
    (void)user;
    FB_ASSERT(ms >= 0);
}

bool __wrap_box_sleep(int64_t ms)
{
    FB_ASSERT(ms >= 0 && ms <= 86400000);
    return ++sleeps < SLEEPS;
}

enum fb_status __wrap_box_auth_token(struct box_auth *auth, const char *user, char **token_r,
                                     struct fb_error *err)
{
    (void)auth;
    (void)user;
    (void)err;
    *token_r = fb_xstrdup(TOKEN);
    return FB_OK;
}

void __wrap_box_auth_drop(struct box_auth *auth, const char *user, const char *token)
{
    (void)auth;
    (void)user;
    FB_ASSERT(strcmp(token, TOKEN) == 0);
}

enum fb_status __wrap_fb_read_file(const char *path, size_t max, struct fb_buf *out,
                                   struct fb_error *err)
{
    fb_buf_init(out, max);
    if (fb_buf_add_slice(out, credentials) != FB_OK) {
        fb_buf_deinit(out);
        return fb_error_set(err, FB_TOO_BIG, "%s: larger than %zu bytes", path, max);
    }
    return FB_OK;
}

/* The registry is a list; with a series for each status that a mutation makes it is a long one. */
void __wrap_fb_metric_add(const char *name, const char *labels, double by)
{
    FB_ASSERT(name[0] != '\0' && by > 0 && strpbrk(labels, "\\\n") == NULL);
}

static void look_at_request(struct fb_slice request)
{
    static const char *const allowed[] = {"host: ",         "user-agent: fumibako/",
                                          "accept: */*",    "authorization: bearer " TOKEN,
                                          "content-type: ", "content-length: ",
                                          "content-md5: ",  "content-range: bytes ",
                                          "digest: sha=",   NULL};
    feed_curl_check_head(request, allowed);
    bool has_token =
        fb_slice_find(request, FB_SLICE_LITERAL("\r\nAuthorization: Bearer " TOKEN)) != SIZE_MAX;
    bool is_ours =
        fb_slice_find(request, FB_SLICE_LITERAL("\r\nHost: 127.0.0.1:1\r\n")) != SIZE_MAX;
    FB_ASSERT(!has_token || is_ours);
}

/* ---- the file that is put ---- */

struct content {
    struct fb_slice bytes;
    size_t at;
};

static enum fb_status read_content(void *ctx, void *out, size_t len, size_t *read_r,
                                   struct fb_error *err)
{
    struct content *c = ctx;
    struct fb_slice s = fb_slice_sub(c->bytes, c->at, len);
    (void)err;
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    c->at += s.len;
    *read_r = s.len;
    return FB_OK;
}

static enum fb_status rewind_content(void *ctx, struct fb_error *err)
{
    struct content *c = ctx;
    (void)err;
    c->at = 0;
    return FB_OK;
}

/* ---- calls ---- */

static const struct storage_grant_request requests[] = {{0, "hanako@partner.example.com"},
                                                        {3, "jiro@partner.example.com"}};
static const char *const accesses[] = {"recipients", "company", "anyone"};

static bool is_id(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    return len > 0 && len < 32 && strspn(text, "0123456789") == len;
}

static void check_error(enum fb_status s, const struct fb_error *err)
{
    if (s == FB_OK) {
        return;
    }
    FB_ASSERT(s != FB_BUG && (s == FB_NOT_FOUND || err->text[0] != '\0'));
    FB_ASSERT(knows_secrets ||
              (strstr(err->text, TOKEN) == NULL && strstr(err->text, SECRET) == NULL));
    for (const char *p = err->text; *p != '\0'; p++) {
        FB_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

static void make_parcel(struct fb_parcel *p, uint8_t how)
{
    *p = (struct fb_parcel){.version = FB_PARCEL_VERSION, .parcel_id = PARCEL};
    p->user = fb_xstrdup("");
    p->folder_id = fb_xstrdup("66");
    p->access = fb_xstrdup(accesses[how % 3]);
    p->link = fb_xstrdup((how & 4) != 0 ? ORIGIN "/s/abc" : "");
    p->password = fb_xstrdup("");
    p->grants = fb_xcalloc(2, sizeof *p->grants);
    p->grant_count = 2;
    for (size_t i = 0; i < 2; i++) {
        box_set_grant(&p->grants[i], &requests[i], (how & 8) != 0 ? (i == 0 ? "4711" : "4712") : "",
                      "active");
    }
}

static enum fb_status try_create(struct storage_session *s, uint8_t how, struct fb_error *err)
{
    struct fb_parcel p = {.version = FB_PARCEL_VERSION, .parcel_id = PARCEL};
    enum fb_status st = box_create(s, PARCEL, (how & 1) != 0 ? "Mail/2026-01" : NULL, &p, err);
    FB_ASSERT(st != FB_OK || (is_id(p.folder_id) && strcmp(p.storage, "box") == 0));
    fb_parcel_deinit(&p);
    return st;
}

static enum fb_status try_put(struct storage_session *s, uint8_t how, struct fb_error *err)
{
    struct content c = {.bytes = FB_SLICE_LITERAL("the bytes of a small file, 45 of them in all.")};
    struct upload_stream stream = {
        .ctx = &c, .size = c.bytes.len, .read = read_content, .rewind = rewind_content};
    struct fb_parcel_file file = {0};
    struct fb_parcel p;
    make_parcel(&p, how);
    fb_sha1(c.bytes.ptr, c.bytes.len, stream.sha1);
    enum fb_status st =
        (how & 1) != 0 ? box_put_chunked(s, &p, "mitsumori.xlsx", &stream, &file, err)
                       : box_put(s, &p, "mitsumori.xlsx", "application/pdf", &stream, &file, err);
    FB_ASSERT(st != FB_OK || (is_id(file.file_id) && file.size == stream.size &&
                              memcmp(file.sha1, stream.sha1, sizeof file.sha1) == 0));
    free(file.file_id);
    fb_parcel_deinit(&p);
    return st;
}

static enum fb_status try_share(struct storage_session *s, uint8_t how, struct fb_error *err)
{
    const struct fb_policy_security security = {.access = (enum fb_access)(how % 3),
                                                .can_download = (how & 4) != 0,
                                                .is_password_generated = (how & 8) != 0,
                                                .is_watermarked = (how & 16) != 0};
    struct fb_parcel p;
    make_parcel(&p, 0);
    p.expires_ms = (how & 32) != 0 ? fb_now_ms() + 86400000 : 0;
    enum fb_status st = box_share(s, &security, requests, 2, &p, err);
    if (st == FB_OK) {
        FB_ASSERT(box_url_is_trusted(s, p.link) && p.grant_count == 2);
        FB_ASSERT(strcmp(p.access, accesses[security.access]) == 0);
        FB_ASSERT(security.can_download || security.access == FB_ACCESS_RECIPIENTS ||
                  !p.can_download);
        FB_ASSERT(!security.is_password_generated || security.access != FB_ACCESS_ANYONE ||
                  strlen(p.password) >= 8);
    }
    for (uint32_t i = 0; i < p.grant_count; i++) {
        const struct fb_parcel_grant *g = &p.grants[i];
        FB_ASSERT(strcmp(g->state, "active") == 0 || strcmp(g->state, "pending") == 0);
        FB_ASSERT(g->grant_id[0] == '\0' || is_id(g->grant_id));
    }
    fb_parcel_deinit(&p);
    return st;
}

static enum fb_status try_revoke(struct storage_session *s, uint8_t how, struct fb_error *err)
{
    static const uint32_t one[] = {3};
    bool closed[2] = {false, false};
    bool is_whole = (how & 16) != 0;
    struct fb_parcel p;
    make_parcel(&p, how);
    enum fb_status st =
        box_revoke(s, &p, one, is_whole ? 0 : 1,
                   (how & 32) != 0 ? STORAGE_FOR_NOW : STORAGE_FOR_GOOD, closed, err);
    FB_ASSERT(st != FB_OK || !is_whole || (closed[0] && closed[1]));
    FB_ASSERT(is_whole || !closed[0] || (how % 3) != 0);
    /* Nothing is gone before a request was answered. */
    FB_ASSERT(feed_curl_requests() > 0 || (!closed[0] && !closed[1]) || (how % 3) != 0);
    fb_parcel_deinit(&p);
    return st;
}

static enum fb_status try_reopen(struct storage_session *s, uint8_t how, struct fb_error *err)
{
    struct fb_parcel p;
    make_parcel(&p, how);
    p.can_download = (how & 16) != 0;
    for (size_t i = 0; i < 2; i++) {
        free(p.grants[i].state);
        p.grants[i].state = fb_xstrdup("recalled");
    }
    enum fb_status st = box_reopen(s, requests, 2, &p, err);
    FB_ASSERT(st != FB_OK || p.grant_count == 2);
    FB_ASSERT(st != FB_OK || strcmp(p.link, ORIGIN "/s/abc") == 0);
    fb_parcel_deinit(&p);
    return st;
}

static enum fb_status try_rest(struct storage_session *s, uint8_t what, uint8_t how,
                               struct fb_error *err)
{
    enum fb_status st;
    if (what == 5) {
        struct fb_parcel p;
        make_parcel(&p, how);
        st = box_purge(s, &p, err);
        fb_parcel_deinit(&p);
    } else if (what == 6) {
        struct storage_events page;
        st = box_events(s, "", (how & 1) != 0 ? "" : "0", &page, err);
        storage_events_deinit(&page);
    } else if (what == 7) {
        struct storage_grant_state grant;
        st = box_grant_state(s, "", "4711", &grant, err);
    } else {
        bool was_open = false;
        st = box_close_link(s, "", "55", (how & 1) != 0, accesses[how % 3], &was_open, err);
    }
    return st;
}

static void try_box(struct storage_session *s, uint8_t what, uint8_t how)
{
    struct fb_error err = {0};
    enum fb_status st;
    switch (what) {
    case 0:
        st = try_create(s, how, &err);
        break;
    case 1:
        st = try_put(s, how, &err);
        break;
    case 2:
        st = try_share(s, how, &err);
        break;
    case 3:
        st = try_revoke(s, how, &err);
        break;
    case 4:
        st = try_reopen(s, how, &err);
        break;
    default:
        st = try_rest(s, what, how, &err);
        break;
    }
    check_error(st, &err);
}

/* ---- tokens ---- */

/* The replies are those of the token's address; with how 1 they are the credentials file. */
static void try_token(struct fb_slice bytes, uint8_t how)
{
    static const char file[] = "{\"boxAppSettings\":{\"clientID\":\"c\",\"clientSecret\":\"" SECRET
                               "\"},\"enterpriseID\":\"1\"}";
    char name[] = "box";
    char url[] = ORIGIN "/oauth2/token";
    char path[] = "box.json";
    struct fb_policy_storage storage = {.name = name, .auth_file = path, .token_url = url};
    struct box_auth *auth = NULL;
    struct fb_error err = {0};
    char *token = NULL;
    credentials = (how & 1) != 0 ? bytes : fb_slice_str(file);
    enum fb_status st = box_auth_open(&storage, &auth, &err);
    FB_ASSERT(st == FB_OK || (st == FB_CONFIG && auth == NULL && err.text[0] != '\0'));
    if (st == FB_OK && (how & 1) == 0) {
        st = __real_box_auth_token(auth, "", &token, &err);
        check_error(st, &err);
        FB_ASSERT((st == FB_OK) == (token != NULL));
        if (token != NULL) { /* or the process would keep it for the next input */
            __real_box_auth_drop(auth, "", token);
        }
        free(token);
    }
    box_auth_close(&auth);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fb_log_init("fuzz", FB_FATAL, true);
    FB_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    feed_curl_watch(look_at_request);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static CURL *curl;
    char name[] = "box";
    char root[] = "0";
    char url[] = ORIGIN;
    struct fb_policy_storage storage = {.name = name, .root_folder = root};
    struct storage_session s = {.storage = &storage, .api_url = url, .upload_url = url};
    if (size < 2) {
        return 0;
    }
    curl = curl != NULL ? curl : fb_curl_new();
    FB_ASSERT(curl != NULL);
    s.curl = curl;
    sleeps = 0;
    struct fb_slice replies = fb_slice_of(data + 2, size - 2);
    feed_curl_set(replies);
    knows_secrets = fb_slice_find(replies, FB_SLICE_LITERAL(TOKEN)) != SIZE_MAX ||
                    fb_slice_find(replies, FB_SLICE_LITERAL(SECRET)) != SIZE_MAX;
    if (data[0] % 10 == 9) {
        try_token(replies, data[1]);
    } else {
        try_box(&s, data[0] % 10, data[1]);
    }
    FB_ASSERT(feed_curl_requests() < 2000);
    box_forget_listing(&s);
    while (s.folders != NULL) {
        struct box_folder_cache *f = s.folders;
        s.folders = f->next;
        free(f->path);
        free(f->id);
        free(f);
    }
    free(s.fresh_folder);
    curl = s.curl;
    return 0;
}
