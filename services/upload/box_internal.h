/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FB_UPLOAD_BOX_INTERNAL_H
#define FB_UPLOAD_BOX_INTERNAL_H

#include <curl/curl.h>
#include <jansson.h>

#include "services/upload/box.h"

#define BOX_MAX_REPLY (8U << 20)

/* ---- credentials and tokens (box_auth.c) ---- */

struct box_auth;
/* Reads the developer console's file.  FB_CONFIG with words for every way it can be wrong. */
FB_MUST_USE enum fb_status box_auth_open(const struct fb_policy_storage *storage,
                                         struct box_auth **auth_r, struct fb_error *err);
void box_auth_close(struct box_auth **auth);
const char *box_auth_client_id(const struct box_auth *auth);
/* A token for the service account (user "") or a pool user; from the cache of the process, or
 * fetched. */
FB_MUST_USE enum fb_status box_auth_token(struct box_auth *auth, const char *user, char **token_r,
                                          struct fb_error *err);
/* The token was refused: the next call fetches a new one (unless another thread did already). */
void box_auth_drop(struct box_auth *auth, const char *user, const char *token);

/* ---- session ---- */

struct box_folder_cache {
    struct box_folder_cache *next;
    char *path; /* "<user>\n<path>" */
    char *id;
};

struct storage_session {
    const struct fb_policy_storage *storage;
    char *api_url, *upload_url; /* without a slash at the end */
    struct box_auth *auth;
    struct fb_redis *redis;
    CURL *curl;
    struct box_folder_cache *folders;
    size_t folder_count;
    char *fresh_folder; /* made by the last create: nobody is in it, nothing lies in it */
    json_t *listing;    /* what lies in listing_folder, while that is known */
    char *listing_folder;
    char own_id[32];        /* of the service account, once it was asked */
    bool lacks_access_only; /* Box refused is_access_only: the plan has it not */
};

/* A request that says nothing while others need its thread is given up (away.h). */
struct box_watching {
    const char *storage; /* lent */
    curl_off_t moved;
    int64_t moved_ms;
    bool is_counted, has_yielded;
};
/* False: libcurl refuses.  Fills *w, which must live as long as the request; has_yielded afterwards: it was given up,
 * which is as good as a time-out. */
bool box_watch(CURL *curl, const char *storage, struct box_watching *w);

/* How long things may take; tests shorten it. */
struct box_times {
    long connect_ms;
    long low_speed_s;    /* below 512 bytes a second for so long, a call is given up */
    long call_ms;        /* a whole call; a body adds its size at 32 kB a second */
    int64_t backoff_ms;  /* first pause before a call is repeated, doubled each time */
    int64_t patience_ms; /* pauses of one call together; above it the job goes back to the queue */
    int64_t commit_ms;   /* until a commit that Box answers with 202 is given back to the queue */
};
extern struct box_times box_times;

/* ---- limits (box_limit.c) ---- */

enum box_limit { BOX_LIMIT_CALLS, BOX_LIMIT_UPLOADS };
/* Waits for a place, at most some seconds; FB_AGAIN when it would take longer. */
FB_MUST_USE enum fb_status box_limit_take(struct storage_session *s, const char *user,
                                          enum box_limit kind, struct fb_error *err);
/* Box said 429: nobody calls for this user before that. */
void box_limit_pause(struct storage_session *s, const char *user, int64_t ms);
/* Sleeps; false when the service is stopping. */
bool box_sleep(int64_t ms);

/* ---- calls (box_http.c) ---- */

struct box_request {
    const char *method, *url;
    const char *user;
    const char *call;  /* name in metrics: "folders.create" */
    json_t *body;      /* JSON body, lent; NULL = none */
    const void *bytes; /* raw body (a part of a session) */
    size_t bytes_len;
    uint64_t body_size;         /* of a long body: the call may take longer */
    curl_mime *mime;            /* multipart body */
    struct curl_slist *headers; /* further headers, lent */
    bool is_upload;
    bool is_safe; /* may be repeated by itself: GET, PUT, DELETE */
};

struct box_reply {
    long status;
    json_t *json;           /* NULL when there is none */
    int64_t retry_after_ms; /* -1 = not given */
    char code[64];          /* error code */
    char request_id[64];
    char message[200];
};

/* FB_OK: Box answered with 2xx or with one of the statuses that callers decide about: 400, 404,
 * 409, 410, 412, 416, 202
 * (reply_r says which).  Others are turned into FB_AGAIN, FB_NETWORK, FB_CONFIG, FB_DENIED,
 * FB_NO_SPACE with words; reply_r
 * tells status and code then as well.  What Box did not do (429, 401, a refused connection) is
 * repeated in here, anything
 * else only when it is safe.  reply_r is to be freed in every case. */
FB_MUST_USE enum fb_status box_call(struct storage_session *s, const struct box_request *q,
                                    struct box_reply *reply_r, struct fb_error *err);
void box_reply_deinit(struct box_reply *r);
/* An answer that the caller did not expect, as an error. */
enum fb_status box_unexpected(const struct box_request *q, const struct box_reply *r,
                              struct fb_error *err);
/* A pause before try number `attempt` (from 1): what Box asked for, else the back-off.  False when
 * that is too long. */
bool box_backoff(int attempt, int64_t asked_ms);
/* A metric label's value, without what the exposition format would have to escape. */
void box_label(const char *text, char *out, size_t size);
/* Whether a failed call may have taken effect or may work later: worth a look and another try. */
bool box_is_passing(enum fb_status status);
/* An id as a string: Box's are decimal strings, older events have numbers. False when it is none.
 * */
bool box_json_id(const json_t *object, const char *key, char id[32]);
/* Whether an absolute URL from a reply may get our token: https of box.com and boxcloud.com, or the
 * configured origins. */
bool box_url_is_trusted(const struct storage_session *s, const char *url);

/* ---- parts of the storage ---- */

enum fb_status box_create(struct storage_session *s, const char *parcel_id, const char *path,
                          struct fb_parcel *parcel, struct fb_error *err);
enum fb_status box_put(struct storage_session *s, const struct fb_parcel *parcel, const char *name,
                       const char *type, struct upload_stream *stream,
                       struct fb_parcel_file *file_r, struct fb_error *err);
enum fb_status box_put_chunked(struct storage_session *s, const struct fb_parcel *parcel,
                               const char *name, struct upload_stream *stream,
                               struct fb_parcel_file *file_r, struct fb_error *err);
/* A file of that name is there: adopted when size and SHA-1 are equal. FB_EXISTS with its id when
 * they are not (also when it
 * is no file: the id is NULL then).  FB_NOT_FOUND when there is none. */
enum fb_status box_adopt(struct storage_session *s, const struct fb_parcel *parcel,
                         const char *name, const struct upload_stream *stream,
                         struct fb_parcel_file *file_r, struct fb_error *err);
/* The same for the id that a 409 names. */
enum fb_status box_adopt_conflict(struct storage_session *s, const struct fb_parcel *parcel,
                                  const json_t *reply, const char *name,
                                  const struct upload_stream *stream, struct fb_parcel_file *file_r,
                                  struct fb_error *err);
/* What was known of the folder's content is known no longer. */
void box_forget_listing(struct storage_session *s);
/* The same of all folders' ids (box_folder.c). */
void box_forget_folders(struct storage_session *s);
/* The folder's items that are named in a 409, as one: Box sends a list for folders and an object
 * for files. */
const json_t *box_conflict(const json_t *reply);
/* All pages of a list (GET, marker) as one array; new reference.  *status_r: 200, or 404 with an
 * empty array. */
enum fb_status box_list(struct storage_session *s, const char *user, const char *call,
                        const char *path, const char *fields, json_t **entries_r, long *status_r,
                        struct fb_error *err);
enum fb_status box_take_file(const json_t *file, const struct upload_stream *stream,
                             struct fb_parcel_file *file_r, struct fb_error *err);
enum fb_status box_share(struct storage_session *s, const struct fb_policy_security *security,
                         const struct storage_grant_request *requests, size_t count,
                         struct fb_parcel *parcel, struct fb_error *err);
enum fb_status box_revoke(struct storage_session *s, const struct fb_parcel *parcel,
                          const uint32_t *recipients, size_t count, enum storage_end end,
                          bool *closed_r, struct fb_error *err);
enum fb_status box_reopen(struct storage_session *s, const struct storage_grant_request *requests,
                          size_t count, struct fb_parcel *parcel, struct fb_error *err);
enum fb_status box_purge(struct storage_session *s, const struct fb_parcel *parcel,
                         struct fb_error *err);
enum fb_status box_events(struct storage_session *s, const char *user, const char *position,
                          struct storage_events *page_r, struct fb_error *err);
enum fb_status box_grant_state(struct storage_session *s, const char *user, const char *grant_id,
                               struct storage_grant_state *state_r, struct fb_error *err);
enum fb_status box_close_link(struct storage_session *s, const char *user, const char *item_id,
                              bool is_folder, const char *access, bool *was_open_r,
                              struct fb_error *err);
void box_check(struct storage_session *s, bool writes, struct fb_storage_report *report);
enum fb_status box_safe_name(const char *name, char *const *taken, size_t taken_count,
                             struct fb_buf *out);

#endif
