/* SPDX-License-Identifier: Apache-2.0
 *
 * Files above 50 MB, in an upload session.
 *
 * Invariants
 *  1. Parts are read, hashed and sent one at a time; all threads together hold at most PARTS_MEMORY
 *     bytes of parts.
 *  2. A part whose answer was lost is looked for before it is sent again: Box may have it although
 *     it said 500, and a
 *     stored part cannot be replaced.
 *  3. After a commit whose answer was lost the folder is looked at first: the file may be there and
 *     the session gone.
 *  4. The SHA-1 of the whole is that of the plan; what was read must give it, or nothing is
 *     committed.
 *
 *   open --parts--> full --commit--> file        any --410, 404, 412, overlap--> a new session,
 *   SESSIONS times in all
 *                        --202--> wait, the same commit again
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common/crypto.h"
#include "common/log.h"
#include "services/upload/box_internal.h"

#define PARTS_MEMORY    (24U << 20)
#define MAX_PART        (128U << 20)
#define MAX_PARTS       10000U
#define SESSIONS        3
#define PART_TRIES      5
#define COMMIT_TRIES    5
#define MEMORY_S        600
#define COMMIT_PAUSE_MS 30000

struct session {
    struct storage_session *s;
    const struct fb_parcel *parcel;
    const char *name;
    struct upload_stream *stream;
    uint64_t part_size;
    char *part_url, *commit_url, *abort_url, *list_url;
    json_t *parts;
    struct fb_hash whole;
};

/* ---- memory for one part ---- */

static size_t memory_used;
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t memory_freed = PTHREAD_COND_INITIALIZER;

static void give_memory(void *part, size_t size)
{
    (void)munmap(part, size);
    (void)pthread_mutex_lock(&memory_lock);
    memory_used -= size;
    (void)pthread_cond_broadcast(&memory_freed);
    (void)pthread_mutex_unlock(&memory_lock);
}

/* Mapped, not from the heap: what a thread once used for a part would stay with its arena. */
static void *take_memory(size_t size)
{
    struct timespec until;
    bool has_room = true;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += MEMORY_S;
    (void)pthread_mutex_lock(&memory_lock);
    while (memory_used > 0 && memory_used + size > PARTS_MEMORY && has_room) {
        has_room = pthread_cond_timedwait(&memory_freed, &memory_lock, &until) == 0;
    }
    if (has_room) {
        memory_used += size;
    }
    (void)pthread_mutex_unlock(&memory_lock);
    if (!has_room) {
        return NULL;
    }
    void *part = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (part == MAP_FAILED) {
        (void)pthread_mutex_lock(&memory_lock);
        memory_used -= size;
        (void)pthread_mutex_unlock(&memory_lock);
        return NULL;
    }
    return part;
}

/* ---- opening ---- */

static void session_close(struct session *u)
{
    free(u->part_url);
    free(u->commit_url);
    free(u->abort_url);
    free(u->list_url);
    json_decref(u->parts);
    fb_hash_deinit(&u->whole);
    u->part_url = u->commit_url = u->abort_url = u->list_url = NULL;
    u->parts = NULL;
}

static bool take_url(const struct session *u, const json_t *endpoints, const char *key,
                     char **url_r)
{
    const char *url = json_string_value(json_object_get(endpoints, key));
    if (url == NULL || !box_url_is_trusted(u->s, url)) {
        return false;
    }
    *url_r = fb_xstrdup(url);
    return true;
}

static enum fb_status read_session(struct session *u, const json_t *json, struct fb_error *err)
{
    const json_t *endpoints = json_object_get(json, "session_endpoints");
    json_int_t size = json_integer_value(json_object_get(json, "part_size"));
    json_int_t total = json_integer_value(json_object_get(json, "total_parts"));
    if (size <= 0 || (uint64_t)size > MAX_PART || total <= 0 || (uint64_t)total > MAX_PARTS ||
        (u->stream->size + (uint64_t)size - 1) / (uint64_t)size != (uint64_t)total) {
        return fb_error_set(
            err, FB_AGAIN,
            "Box sessions.create: parts of %lld bytes, %lld of them, do not make this file",
            (long long)size, (long long)total);
    }
    u->part_size = (uint64_t)size;
    if (!take_url(u, endpoints, "upload_part", &u->part_url) ||
        !take_url(u, endpoints, "commit", &u->commit_url) ||
        !take_url(u, endpoints, "abort", &u->abort_url) ||
        !take_url(u, endpoints, "list_parts", &u->list_url)) {
        return fb_error_set(
            err, FB_DENIED,
            "Box sessions.create: an address is missing, or is neither Box's nor the policy's");
    }
    u->parts = json_array();
    fb_hash_init(&u->whole, FB_HASH_SHA1);
    return u->parts != NULL ? FB_OK : fb_error_set(err, FB_NO_SPACE, "memory");
}

/* FB_OK: a session; FB_EXISTS: *file_r says which file has the name and other bytes, or *is_done_r:
 * it is ours already. */
static enum fb_status session_open(struct session *u, const char *version_of,
                                   struct fb_parcel_file *file, bool *is_done_r,
                                   struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    json_t *body = version_of == NULL
                       ? json_pack("{s:s,s:I,s:s}", "folder_id", u->parcel->folder_id, "file_size",
                                   (json_int_t)u->stream->size, "file_name", u->name)
                       : json_pack("{s:I,s:s}", "file_size", (json_int_t)u->stream->size,
                                   "file_name", u->name);
    (void)snprintf(url, sizeof url, "%s/files/%s%supload_sessions", u->s->upload_url,
                   version_of != NULL ? version_of : "", version_of != NULL ? "/" : "");
    /* An answer that was lost leaves a session without parts, which goes by itself. */
    const struct box_request q = {.method = "POST",
                                  .url = url,
                                  .user = u->parcel->user,
                                  .call = "sessions.create",
                                  .body = body,
                                  .is_upload = true,
                                  .is_safe = true};
    enum fb_status st = body != NULL ? box_call(u->s, &q, &r, err)
                                     : fb_error_set(err, FB_BUG, "a file's name is no UTF-8");
    if (st == FB_OK && r.status == 201) {
        st = read_session(u, r.json, err);
    } else if (st == FB_OK && r.status == 409) {
        st = box_adopt_conflict(u->s, u->parcel, r.json, u->name, u->stream, file, err);
        *is_done_r = st == FB_OK;
        st = st == FB_NOT_FOUND
                 ? fb_error_set(err, FB_AGAIN,
                                "Box sessions.create: the name is taken, yet no file has it")
                 : st;
    } else if (st == FB_OK && r.status == 404) {
        st = fb_error_set(err, FB_AGAIN,
                          "Box sessions.create: the parcel's folder or the file is gone");
    } else if (st == FB_OK) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    json_decref(body);
    return st;
}

static void session_abort(const struct session *u)
{
    struct box_reply r = {0};
    const struct box_request q = {
        .method = "DELETE", .url = u->abort_url, .user = u->parcel->user, .call = "sessions.abort"};
    if (u->abort_url != NULL && box_call(u->s, &q, &r, NULL) != FB_OK) {
        fb_log(FB_DEBUG,
               "an upload session could not be given up; it ends by itself within a week");
    }
    box_reply_deinit(&r);
}

/* ---- parts ---- */

struct part {
    uint8_t *bytes;
    uint64_t offset;
    size_t size;
    uint8_t sha1[FB_SHA1_SIZE];
};

/* Whether `json` is this part; it is then added to the commit's list. */
static bool take_part(struct session *u, const json_t *json, const struct part *part)
{
    uint8_t sha1[FB_SHA1_SIZE];
    const char *id = json_string_value(json_object_get(json, "part_id"));
    const char *hex = json_string_value(json_object_get(json, "sha1"));
    const json_t *offset = json_object_get(json, "offset");
    const json_t *size = json_object_get(json, "size");
    if (id == NULL || id[0] == '\0' || strlen(id) > 64 || !json_is_integer(offset) ||
        !json_is_integer(size) || hex == NULL || strlen(hex) != 2 * (size_t)FB_SHA1_SIZE ||
        !fb_unhex(hex, sha1, sizeof sha1) ||
        json_integer_value(offset) != (json_int_t)part->offset ||
        json_integer_value(size) != (json_int_t)part->size ||
        memcmp(sha1, part->sha1, sizeof sha1) != 0) {
        return false;
    }
    json_t *entry =
        json_pack("{s:s,s:I,s:I,s:s}", "part_id", id, "offset", (json_int_t)part->offset, "size",
                  (json_int_t)part->size, "sha1", hex);
    return entry != NULL && json_array_append_new(u->parts, entry) == 0;
}

/* Looks for a part in Box's list.  FB_NOT_FOUND: not stored; FB_LOST: other bytes are, or the
 * session is gone. */
static enum fb_status look_for_part(struct session *u, const struct part *part,
                                    struct fb_error *err)
{
    enum fb_status st = FB_NOT_FOUND;
    for (json_int_t from = 0, more = 1; st == FB_NOT_FOUND && more > 0;) {
        char url[1200];
        struct box_reply r = {0};
        const char *joint = strchr(u->list_url, '?') != NULL ? "&" : "?";
        int n = snprintf(url, sizeof url, "%s%slimit=1000&offset=%lld", u->list_url, joint,
                         (long long)from);
        const struct box_request q = {.method = "GET",
                                      .url = url,
                                      .user = u->parcel->user,
                                      .call = "sessions.parts",
                                      .is_safe = true};
        st = n > 0 && (size_t)n < sizeof url
                 ? box_call(u->s, &q, &r, err)
                 : fb_error_set(err, FB_DENIED, "Box sessions.parts: an address is too long");
        const json_t *entries = json_object_get(r.json, "entries");
        if (st == FB_OK && r.status == 200 && json_is_array(entries)) {
            size_t i = 0;
            const json_t *entry = NULL;
            st = FB_NOT_FOUND;
            json_array_foreach(entries, i, entry)
            {
                if (json_integer_value(json_object_get(entry, "offset")) ==
                    (json_int_t)part->offset) {
                    st = take_part(u, entry, part) ? FB_OK : FB_LOST;
                    break;
                }
            }
            from += (json_int_t)json_array_size(entries);
            more = from < json_integer_value(json_object_get(r.json, "total_count")) &&
                           from <= (json_int_t)MAX_PARTS
                       ? (json_int_t)json_array_size(entries)
                       : 0;
        } else if (st == FB_OK) {
            st = r.status == 404 || r.status == 410 ? FB_LOST : box_unexpected(&q, &r, err);
        }
        box_reply_deinit(&r);
    }
    return st;
}

/* FB_LOST: this session can take no more. */
static enum fb_status send_part_once(struct session *u, const struct part *part,
                                     int64_t *asked_ms_r, struct fb_error *err)
{
    char range[128];
    struct fb_buf digest;
    struct box_reply r = {0};
    fb_buf_init(&digest, 128);
    enum fb_status st = fb_buf_add_str(&digest, "Digest: sha=");
    if (st == FB_OK) {
        st = fb_base64_encode(fb_slice_of(part->sha1, sizeof part->sha1), &digest);
    }
    (void)snprintf(range, sizeof range, "Content-Range: bytes %llu-%llu/%llu",
                   (unsigned long long)part->offset,
                   (unsigned long long)(part->offset + part->size - 1),
                   (unsigned long long)u->stream->size);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/octet-stream");
    struct curl_slist *longer = headers != NULL ? curl_slist_append(headers, range) : NULL;
    longer = longer != NULL && st == FB_OK ? curl_slist_append(headers, fb_buf_str(&digest)) : NULL;
    const struct box_request q = {.method = "PUT",
                                  .url = u->part_url,
                                  .user = u->parcel->user,
                                  .call = "sessions.part",
                                  .bytes = part->bytes,
                                  .bytes_len = part->size,
                                  .body_size = part->size,
                                  .headers = headers};
    st = longer != NULL ? box_call(u->s, &q, &r, err)
                        : fb_error_set(err, FB_NO_SPACE, "no memory for an upload");
    *asked_ms_r = r.retry_after_ms;
    if (st == FB_OK && r.status == 200) {
        st = take_part(u, json_object_get(r.json, "part"), part) ? FB_OK : FB_LOST;
    } else if (st == FB_OK && r.status == 400 && strcmp(r.code, "bad_digest") == 0) {
        st = fb_error_set(err, FB_AGAIN, "Box sessions.part: the bytes were damaged on their way");
    } else if (st == FB_OK && r.status == 409) {
        st = look_for_part(u, part, err); /* an earlier try did arrive */
        st = st == FB_NOT_FOUND ? FB_LOST : st;
    } else if (st == FB_OK) {
        st = r.status == 404 || r.status == 410 || r.status == 412 || r.status == 416
                 ? FB_LOST
                 : box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    curl_slist_free_all(headers);
    fb_buf_deinit(&digest);
    return st;
}

static enum fb_status send_part(struct session *u, const struct part *part, struct fb_error *err)
{
    enum fb_status st = FB_AGAIN;
    for (int attempt = 1;; attempt++) {
        int64_t asked_ms = -1;
        st = send_part_once(u, part, &asked_ms, err);
        if (!box_is_passing(st) || attempt == PART_TRIES) {
            return st;
        }
        struct fb_error look = {0};
        if (!box_backoff(attempt, asked_ms)) {
            return st;
        }
        enum fb_status there = look_for_part(u, part, &look);
        if (there == FB_OK || there == FB_LOST) {
            return there;
        }
        if (there != FB_NOT_FOUND && !box_is_passing(there)) {
            *err = look;
            return there;
        }
    }
}

static enum fb_status read_part(const struct session *u, struct part *part, struct fb_error *err)
{
    for (size_t done = 0; done < part->size;) {
        size_t n = 0;
        enum fb_status st =
            u->stream->read(u->stream->ctx, part->bytes + done, part->size - done, &n, err);
        if (st == FB_OK && n == 0) {
            st = fb_error_set(err, FB_CORRUPT, "a part ends before its size");
        }
        if (st != FB_OK) {
            return st;
        }
        done += n;
    }
    fb_sha1(part->bytes, part->size, part->sha1);
    return FB_OK;
}

static enum fb_status send_parts(struct session *u, struct fb_error *err)
{
    uint8_t sha1[FB_SHA1_SIZE];
    enum fb_status st = u->stream->rewind(u->stream->ctx, err);
    for (uint64_t at = 0; at < u->stream->size && st == FB_OK;) {
        uint64_t left = u->stream->size - at;
        struct part part = {.offset = at,
                            .size = (size_t)(left < u->part_size ? left : u->part_size)};
        part.bytes = take_memory(part.size);
        if (part.bytes == NULL) {
            return fb_error_set(err, FB_AGAIN, "other large files take all the memory for parts");
        }
        st = read_part(u, &part, err);
        if (st == FB_OK) {
            fb_hash_update(&u->whole, part.bytes, part.size);
            st = send_part(u, &part, err);
        }
        give_memory(part.bytes, part.size);
        at += part.size;
    }
    if (st != FB_OK) {
        return st;
    }
    fb_hash_final(&u->whole, sha1);
    return memcmp(sha1, u->stream->sha1, sizeof sha1) == 0
               ? FB_OK
               : fb_error_set(err, FB_CORRUPT, "a part's bytes are not those that were planned");
}

/* ---- commit ---- */

/* FB_EXISTS: the name was taken meanwhile; FB_LOST: a new session is needed; FB_AGAIN with
 * *asked_ms_r: the same again. */
static enum fb_status commit_once(struct session *u, struct fb_parcel_file *file,
                                  int64_t *asked_ms_r, bool *is_working_r, struct fb_error *err)
{
    struct fb_buf digest;
    struct box_reply r = {0};
    json_t *body = json_pack("{s:O}", "parts", u->parts);
    fb_buf_init(&digest, 128);
    enum fb_status st = fb_buf_add_str(&digest, "Digest: sha=");
    if (st == FB_OK) {
        st = fb_base64_encode(fb_slice_of(u->stream->sha1, sizeof u->stream->sha1), &digest);
    }
    struct curl_slist *headers = st == FB_OK ? curl_slist_append(NULL, fb_buf_str(&digest)) : NULL;
    const struct box_request q = {.method = "POST",
                                  .url = u->commit_url,
                                  .user = u->parcel->user,
                                  .call = "sessions.commit",
                                  .body = body,
                                  .headers = headers};
    st = headers != NULL && body != NULL ? box_call(u->s, &q, &r, err)
                                         : fb_error_set(err, FB_NO_SPACE, "memory");
    *asked_ms_r = r.retry_after_ms;
    *is_working_r = st == FB_OK && r.status == 202;
    if (st == FB_OK && (r.status == 200 || r.status == 201)) {
        st = box_take_file(json_array_get(json_object_get(r.json, "entries"), 0), u->stream, file,
                           err);
    } else if (*is_working_r) {
        st = fb_error_set(err, FB_AGAIN,
                          "Box sessions.commit: Box is still putting the file together");
    } else if (st == FB_OK && r.status == 409) {
        st = box_adopt_conflict(u->s, u->parcel, r.json, u->name, u->stream, file, err);
        st = st == FB_NOT_FOUND ? FB_LOST : st;
    } else if (st == FB_OK) {
        bool is_lost = r.status == 404 || r.status == 410 || r.status == 412 || r.status == 400;
        st = box_unexpected(&q, &r, err);
        st = is_lost ? FB_LOST : st;
    }
    box_reply_deinit(&r);
    json_decref(body);
    curl_slist_free_all(headers);
    fb_buf_deinit(&digest);
    return st;
}

static enum fb_status commit(struct session *u, struct fb_parcel_file *file, struct fb_error *err)
{
    int64_t until = fb_mono_ms() + box_times.commit_ms;
    for (int attempt = 1;; attempt++) {
        int64_t asked_ms = -1;
        bool is_working = false;
        enum fb_status st = commit_once(u, file, &asked_ms, &is_working, err);
        if (is_working) {
            attempt = 1;
            asked_ms = asked_ms < 0                 ? box_times.backoff_ms
                       : asked_ms < COMMIT_PAUSE_MS ? asked_ms
                                                    : COMMIT_PAUSE_MS;
            asked_ms = asked_ms < 100 ? 100 : asked_ms;
            if (fb_mono_ms() + asked_ms > until || !box_sleep(asked_ms)) {
                return st;
            }
            continue;
        }
        if (st != FB_LOST && !box_is_passing(st)) {
            return st;
        }
        if (st != FB_LOST && (attempt == COMMIT_TRIES || !box_backoff(attempt, asked_ms))) {
            return st;
        }
        /* The session may be gone because the file is there. */
        struct fb_error look = {0};
        box_forget_listing(u->s);
        if (box_adopt(u->s, u->parcel, u->name, u->stream, file, &look) == FB_OK) {
            return FB_OK;
        }
        if (st == FB_LOST) {
            return st;
        }
    }
}

/* ---- the file ---- */

static enum fb_status put_in_session(struct session *u, const char *version_of,
                                     struct fb_parcel_file *file, struct fb_error *err)
{
    bool is_done = false;
    enum fb_status st = session_open(u, version_of, file, &is_done, err);
    if (st != FB_OK || is_done) {
        session_close(u);
        return st;
    }
    st = send_parts(u, err);
    if (st == FB_OK) {
        st = commit(u, file, err);
    }
    /* While the network is away there is nothing to tell; and after 202 the commit may still
     * succeed. */
    if (st == FB_LOST || st == FB_CORRUPT || st == FB_EXISTS) {
        session_abort(u);
    }
    session_close(u);
    return st;
}

enum fb_status box_put_chunked(struct storage_session *s, const struct fb_parcel *parcel,
                               const char *name, struct upload_stream *stream,
                               struct fb_parcel_file *file_r, struct fb_error *err)
{
    char *version_of = NULL;
    bool is_fresh = s->fresh_folder != NULL && strcmp(s->fresh_folder, parcel->folder_id) == 0;
    enum fb_status st = is_fresh ? FB_NOT_FOUND : box_adopt(s, parcel, name, stream, file_r, err);
    if (st != FB_NOT_FOUND && st != FB_EXISTS) {
        return st;
    }
    for (int round = 0;
         round < SESSIONS && (st == FB_NOT_FOUND || st == FB_EXISTS || st == FB_LOST); round++) {
        struct session u = {.s = s, .parcel = parcel, .name = name, .stream = stream};
        if (st == FB_EXISTS && file_r->file_id != NULL) {
            free(version_of);
            version_of = fb_xstrdup(file_r->file_id);
        }
        st = put_in_session(&u, version_of, file_r, err);
    }
    free(version_of);
    if (st == FB_LOST) {
        return fb_error_set(err, FB_AGAIN,
                            "Box took %d upload sessions for this file and ended them all",
                            SESSIONS);
    }
    return st == FB_EXISTS
               ? fb_error_set(err, FB_AGAIN,
                              "Box keeps other bytes under a file's name than were sent")
               : st;
}
