/* SPDX-License-Identifier: Apache-2.0 */
#include "services/upload/part_stream.h"

#include <stdlib.h>
#include <string.h>

#include "proto/transfer.h"

#define ENCODED_CHUNK (64U << 10)

struct part_stream {
    struct upload_stream stream;
    struct fb_spool_msg *msg;
    const struct fb_part *part;
    struct fb_spool_object *object;
    uint64_t at; /* encoded bytes, or bytes of the object, read so far */
    bool is_ended;
    struct fb_transfer transfer;
    uint8_t encoded[ENCODED_CHUNK];
    uint8_t decoded[ENCODED_CHUNK + FB_TRANSFER_SLACK];
    size_t decoded_at, decoded_len;
};

static enum fb_status read_object(struct part_stream *s, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    enum fb_status st = fb_spool_object_read(s->object, s->at, out, len, read_r, err);
    if (st == FB_OK) {
        s->at += *read_r;
    }
    return st;
}

/* Decodes the next piece of the range; decoded_len stays 0 at the end. */
static enum fb_status fill(struct part_stream *s, struct fb_error *err)
{
    s->decoded_at = s->decoded_len = 0;
    while (s->decoded_len == 0 && !s->is_ended) {
        uint64_t left = s->part->length - s->at;
        if (left == 0) {
            s->decoded_len = fb_transfer_end(&s->transfer, s->decoded);
            s->is_ended = true;
            break;
        }
        size_t n = 0;
        enum fb_status st =
            fb_spool_msg_read(s->msg, s->part->offset + s->at, s->encoded,
                              left < ENCODED_CHUNK ? (size_t)left : ENCODED_CHUNK, &n, err);
        if (st != FB_OK) {
            return st;
        }
        if (n == 0) {
            return fb_error_set(err, FB_CORRUPT, "a part ends before its range does");
        }
        s->at += n;
        s->decoded_len = fb_transfer_step(&s->transfer, s->encoded, n, s->decoded);
    }
    return FB_OK;
}

static enum fb_status read_range(struct part_stream *s, void *out, size_t len, size_t *read_r,
                                 struct fb_error *err)
{
    uint8_t *to = out;
    size_t done = 0;
    while (done < len) {
        if (s->decoded_at == s->decoded_len) {
            enum fb_status st = fill(s, err);
            if (st != FB_OK) {
                return st;
            }
            if (s->decoded_len == 0) {
                break;
            }
        }
        size_t n = s->decoded_len - s->decoded_at;
        n = n < len - done ? n : len - done;
        memcpy(to + done, s->decoded + s->decoded_at, n);
        s->decoded_at += n;
        done += n;
    }
    *read_r = done;
    return FB_OK;
}

static enum fb_status stream_read(void *ctx, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    struct part_stream *s = ctx;
    return s->object != NULL ? read_object(s, out, len, read_r, err)
                             : read_range(s, out, len, read_r, err);
}

static enum fb_status stream_rewind(void *ctx, struct fb_error *err)
{
    struct part_stream *s = ctx;
    (void)err;
    s->at = 0;
    s->is_ended = false;
    s->decoded_at = s->decoded_len = 0;
    fb_transfer_init(&s->transfer, s->part->encoding);
    return FB_OK;
}

enum fb_status part_stream_new(struct fb_spool_msg *msg, const struct fb_part *part,
                               struct part_stream **stream_r, struct fb_error *err)
{
    struct part_stream *s = fb_xcalloc(1, sizeof *s);
    s->msg = msg;
    s->part = part;
    s->stream = (struct upload_stream){
        .ctx = s, .size = part->size, .read = stream_read, .rewind = stream_rewind};
    memcpy(s->stream.sha1, part->sha1, sizeof s->stream.sha1);
    fb_transfer_init(&s->transfer, part->encoding);
    if (part->object != NULL) {
        enum fb_status st = fb_spool_object_open(msg, part->object, &s->object, err);
        if (st != FB_OK) {
            free(s);
            return st;
        }
    }
    *stream_r = s;
    return FB_OK;
}

void part_stream_free(struct part_stream **stream)
{
    if (*stream != NULL) {
        fb_spool_object_close(&(*stream)->object);
        free(*stream);
        *stream = NULL;
    }
}

struct upload_stream *part_stream_get(struct part_stream *stream)
{
    return &stream->stream;
}
