/* SPDX-License-Identifier: Apache-2.0
 *
 * One file into the parcel's folder.
 *
 *   put --equal file there--> adopted
 *       --other bytes there--> new version (the body's PDF, painted again after a crash)
 *       --answer lost--> look, then send again
 *
 * Box checks Content-MD5 (a SHA-1, whatever its name says) against what it received, and we check
 * the SHA-1 of its answer:
 * a file counts only when both agree with what render found in the message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto.h"
#include "common/log.h"
#include "services/upload/box_internal.h"

#define DIRECT_MAX 50000000U /* Box: "up to 50 MB" */
#define MAX_TRIES  4

/* ---- what is there ---- */

void box_forget_listing(struct storage_session *s)
{
    json_decref(s->listing);
    free(s->listing_folder);
    s->listing = NULL;
    s->listing_folder = NULL;
}

enum fb_status box_take_file(const json_t *file, const struct upload_stream *stream,
                             struct fb_parcel_file *file_r, struct fb_error *err)
{
    char id[32];
    uint8_t sha1[FB_SHA1_SIZE];
    const char *type = json_string_value(json_object_get(file, "type"));
    const char *hex = json_string_value(json_object_get(file, "sha1"));
    const json_t *size = json_object_get(file, "size");
    if (type == NULL || strcmp(type, "file") != 0 || !box_json_id(file, "id", id) || hex == NULL ||
        strlen(hex) != 2 * (size_t)FB_SHA1_SIZE || !fb_unhex(hex, sha1, sizeof sha1)) {
        return fb_error_set(err, FB_AGAIN, "Box answered an upload without a file's id and SHA-1");
    }
    free(file_r->file_id);
    file_r->file_id = fb_xstrdup(id);
    if (memcmp(sha1, stream->sha1, sizeof sha1) != 0 ||
        (size != NULL &&
         (!json_is_integer(size) || json_integer_value(size) != (json_int_t)stream->size))) {
        return fb_error_set(err, FB_EXISTS, "Box holds other bytes than were sent");
    }
    file_r->size = stream->size;
    memcpy(file_r->sha1, sha1, sizeof sha1);
    return FB_OK;
}

/* FB_OK, FB_EXISTS (file_id says which; NULL: it is no file), FB_NOT_FOUND. */
static enum fb_status take_item(const json_t *item, const struct upload_stream *stream,
                                struct fb_parcel_file *file_r, struct fb_error *err)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    if (type == NULL || strcmp(type, "file") != 0) {
        free(file_r->file_id);
        file_r->file_id = NULL;
        return fb_error_set(err, FB_EXISTS, "Box: something that is no file has a file's name");
    }
    return box_take_file(item, stream, file_r, err);
}

enum fb_status box_adopt(struct storage_session *s, const struct fb_parcel *parcel,
                         const char *name, const struct upload_stream *stream,
                         struct fb_parcel_file *file_r, struct fb_error *err)
{
    if (s->listing == NULL || strcmp(s->listing_folder, parcel->folder_id) != 0) {
        char path[64];
        long status = 0;
        box_forget_listing(s);
        (void)snprintf(path, sizeof path, "/folders/%s/items", parcel->folder_id);
        enum fb_status st = box_list(s, parcel->user, "folders.items", path,
                                     "id,type,name,size,sha1", &s->listing, &status, err);
        if (st != FB_OK) {
            return st;
        }
        s->listing_folder = fb_xstrdup(parcel->folder_id);
    }
    size_t i = 0;
    const json_t *entry = NULL;
    json_array_foreach(s->listing, i, entry)
    {
        const char *there = json_string_value(json_object_get(entry, "name"));
        if (there != NULL && strcasecmp(there, name) == 0) {
            return take_item(entry, stream, file_r, err);
        }
    }
    return FB_NOT_FOUND;
}

enum fb_status box_adopt_conflict(struct storage_session *s, const struct fb_parcel *parcel,
                                  const json_t *reply, const char *name,
                                  const struct upload_stream *stream, struct fb_parcel_file *file_r,
                                  struct fb_error *err)
{
    char id[32];
    char url[512];
    char parent[32];
    struct box_reply r = {0};
    const json_t *conflict = box_conflict(reply);
    const char *type = json_string_value(json_object_get(conflict, "type"));
    box_forget_listing(s);
    if (type == NULL || strcmp(type, "file") != 0 || !box_json_id(conflict, "id", id)) {
        return box_adopt(s, parcel, name, stream, file_r, err);
    }
    (void)snprintf(url, sizeof url, "%s/files/%s?fields=id,type,name,size,sha1,parent", s->api_url,
                   id);
    const struct box_request q = {
        .method = "GET", .url = url, .user = parcel->user, .call = "files.get", .is_safe = true};
    enum fb_status st = box_call(s, &q, &r, err);
    if (st == FB_OK && r.status == 200 &&
        box_json_id(json_object_get(r.json, "parent"), "id", parent) &&
        strcmp(parent, parcel->folder_id) == 0) {
        st = take_item(r.json, stream, file_r, err);
    } else if (st == FB_OK && (r.status == 200 || r.status == 404)) {
        st = box_adopt(s, parcel, name, stream, file_r, err);
    } else if (st == FB_OK) {
        st = box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

/* ---- the body ---- */

struct body {
    struct upload_stream *stream;
    uint64_t at;
    enum fb_status status;
    struct fb_error error;
};

static size_t read_body(char *out, size_t size, size_t count, void *ctx)
{
    struct body *b = ctx;
    size_t want = size * count;
    size_t n = 0;
    if (b->at == b->stream->size) {
        return 0;
    }
    if (want > b->stream->size - b->at) {
        want = (size_t)(b->stream->size - b->at);
    }
    b->status = b->stream->read(b->stream->ctx, out, want, &n, &b->error);
    if (b->status == FB_OK && n == 0) {
        b->status = fb_error_set(&b->error, FB_CORRUPT, "a part ends before its size");
    }
    if (b->status != FB_OK) {
        return CURL_READFUNC_ABORT;
    }
    b->at += n;
    return n;
}

static int seek_body(void *ctx, curl_off_t offset, int origin)
{
    struct body *b = ctx;
    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    b->status = b->stream->rewind(b->stream->ctx, &b->error);
    b->at = 0;
    return b->status == FB_OK ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static bool add_attributes(curl_mime *mime, const char *folder_id, const char *name)
{
    json_t *attributes = folder_id != NULL
                             ? json_pack("{s:s,s:{s:s}}", "name", name, "parent", "id", folder_id)
                             : json_pack("{s:s}", "name", name);
    char *text = attributes != NULL ? json_dumps(attributes, JSON_COMPACT) : NULL;
    curl_mimepart *part = text != NULL ? curl_mime_addpart(mime) : NULL;
    bool ok = part != NULL && curl_mime_name(part, "attributes") == CURLE_OK &&
              curl_mime_data(part, text, CURL_ZERO_TERMINATED) == CURLE_OK;
    json_decref(attributes);
    free(text);
    return ok;
}

/* The attributes must come first (Box: metadata_after_file_contents).  The file's own name stands
 * in the attributes; in
 * the part it is a constant, so that no quoting is needed. */
static curl_mime *make_body(CURL *curl, const char *folder_id, const char *name, const char *type,
                            struct body *body)
{
    curl_mime *mime = curl_mime_init(curl);
    bool ok = mime != NULL && add_attributes(mime, folder_id, name);
    curl_mimepart *part = ok ? curl_mime_addpart(mime) : NULL;
    ok =
        part != NULL && curl_mime_name(part, "file") == CURLE_OK &&
        curl_mime_filename(part, "content") == CURLE_OK && curl_mime_type(part, type) == CURLE_OK &&
        curl_mime_data_cb(part, (curl_off_t)body->stream->size, read_body, seek_body, NULL, body) ==
            CURLE_OK;
    if (!ok) {
        curl_mime_free(mime);
        return NULL;
    }
    return mime;
}

/* A media type goes into a header: letters, digits and a few signs, else a type that says nothing.
 * */
static const char *safe_type(const char *type)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-/";
    size_t len = type != NULL ? strlen(type) : 0;
    return len > 2 && len < 128 && strspn(type, allowed) == len && strchr(type, '/') != NULL
               ? type
               : "application/octet-stream";
}

static struct curl_slist *digest_header(const uint8_t sha1[FB_SHA1_SIZE])
{
    char line[80];
    char hex[2 * FB_SHA1_SIZE + 1];
    fb_hex(sha1, FB_SHA1_SIZE, hex);
    (void)snprintf(line, sizeof line, "Content-MD5: %s", hex);
    return curl_slist_append(NULL, line);
}

struct put {
    struct storage_session *s;
    const struct fb_parcel *parcel;
    const char *name, *type;
    struct upload_stream *stream;
    struct fb_parcel_file *file;
};

/* Sends the bytes once: as a new file, or as a version of file_id.  r says what Box made of it. */
static enum fb_status send_once(const struct put *p, const char *file_id, struct box_request *q,
                                struct box_reply *r, struct fb_error *err)
{
    struct storage_session *s = p->s;
    struct body body = {.stream = p->stream};
    enum fb_status st = p->stream->rewind(p->stream->ctx, err);
    if (st != FB_OK) {
        return st;
    }
    curl_mime *mime = make_body(s->curl, file_id == NULL ? p->parcel->folder_id : NULL, p->name,
                                safe_type(p->type), &body);
    struct curl_slist *headers = digest_header(p->stream->sha1);
    if (mime == NULL || headers == NULL) {
        curl_mime_free(mime);
        curl_slist_free_all(headers);
        return fb_error_set(err, FB_NO_SPACE, "no memory for an upload");
    }
    q->mime = mime;
    q->headers = headers;
    st = box_call(s, q, r, err);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    q->mime = NULL;
    q->headers = NULL;
    if (body.status != FB_OK) {
        if (err != NULL) {
            *err = body.error;
        }
        return body.status;
    }
    return st;
}

/* One try.  FB_EXISTS: other bytes are there, file_id says where; FB_NOT_FOUND: the folder or the
 * file is gone. */
static enum fb_status put_once(const struct put *p, const char *file_id, struct fb_error *err)
{
    char url[512];
    struct box_reply r = {0};
    (void)snprintf(url, sizeof url, "%s/files/%s%scontent", p->s->upload_url,
                   file_id != NULL ? file_id : "", file_id != NULL ? "/" : "");
    struct box_request q = {.method = "POST",
                            .url = url,
                            .user = p->parcel->user,
                            .call = file_id != NULL ? "files.version" : "files.upload",
                            .is_upload = true,
                            .body_size = p->stream->size};
    enum fb_status st = send_once(p, file_id, &q, &r, err);
    if (st == FB_OK && (r.status == 200 || r.status == 201)) {
        st = box_take_file(json_array_get(json_object_get(r.json, "entries"), 0), p->stream,
                           p->file, err);
    } else if (st == FB_OK && r.status == 409) {
        st = box_adopt_conflict(p->s, p->parcel, r.json, p->name, p->stream, p->file, err);
        if (st == FB_NOT_FOUND) {
            st = fb_error_set(err, FB_AGAIN,
                              "Box files.upload: the name is taken, yet no file has it");
        }
    } else if (st == FB_OK && r.status == 400 && strcmp(r.code, "bad_digest") == 0) {
        st = fb_error_set(err, FB_AGAIN, "Box files.upload: the bytes were damaged on their way");
    } else if (st == FB_OK && r.status == 412) {
        st = fb_error_set(err, FB_AGAIN, "Box %s: the file changed meanwhile", q.call);
    } else if (st == FB_OK) {
        st = r.status == 404 ? FB_NOT_FOUND : box_unexpected(&q, &r, err);
    }
    box_reply_deinit(&r);
    return st;
}

static bool is_fresh(const struct storage_session *s, const struct fb_parcel *parcel)
{
    return s->fresh_folder != NULL && strcmp(s->fresh_folder, parcel->folder_id) == 0;
}

static enum fb_status put_direct(const struct put *p, struct fb_error *err)
{
    bool looks = !is_fresh(p->s, p->parcel);
    enum fb_status st = FB_AGAIN;
    for (int attempt = 1; attempt <= MAX_TRIES; attempt++) {
        st = looks ? box_adopt(p->s, p->parcel, p->name, p->stream, p->file, err) : FB_NOT_FOUND;
        if (st == FB_NOT_FOUND) {
            st = put_once(p, NULL, err);
            if (st == FB_NOT_FOUND) {
                st = fb_error_set(err, FB_AGAIN, "Box files.upload: the parcel's folder is gone");
                break;
            }
        }
        if (st == FB_EXISTS && p->file->file_id != NULL) {
            char *version_of = fb_xstrdup(p->file->file_id); /* put_once fills file_id anew */
            st = put_once(p, version_of, err);
            free(version_of);
            st = st == FB_NOT_FOUND
                     ? fb_error_set(err, FB_AGAIN, "Box files.version: the file is gone")
                     : st;
        }
        if (st == FB_EXISTS) {
            st = fb_error_set(err, FB_AGAIN,
                              "Box keeps other bytes under a file's name than were sent");
        }
        if (!box_is_passing(st) || attempt == MAX_TRIES || !box_backoff(attempt, -1)) {
            break;
        }
        box_forget_listing(p->s);
        looks = true; /* the answer may have been lost after the work was done */
    }
    return st;
}

enum fb_status box_put(struct storage_session *s, const struct fb_parcel *parcel, const char *name,
                       const char *type, struct upload_stream *stream,
                       struct fb_parcel_file *file_r, struct fb_error *err)
{
    if (stream->size > DIRECT_MAX) {
        return box_put_chunked(s, parcel, name, stream, file_r, err);
    }
    const struct put p = {
        .s = s, .parcel = parcel, .name = name, .type = type, .stream = stream, .file = file_r};
    return put_direct(&p, err);
}
