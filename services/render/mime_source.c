/* SPDX-License-Identifier: Apache-2.0
 *
 * A subclass of GMimeStream over struct render_source.
 */
#include "services/render/mime_source.h"

#include <string.h>

#include "proto/limits.h"
#include "services/render/headers.h"

#define CACHE_SIZE 65536

struct cache {
    const struct mime_view *view;
    enum fb_status status;
    struct fb_error err;
    uint64_t offset;
    size_t len;
    unsigned refs;
    uint8_t bytes[CACHE_SIZE];
};

/* The object and its class as GObject wants them. */
struct source_stream {
    GMimeStream parent;
    struct cache *cache; /* shared by all substreams */
};
struct source_stream_class {
    GMimeStreamClass parent;
};

static GType source_stream_type(void);

static struct source_stream *as_source(GMimeStream *stream)
{
    return (struct source_stream *)(void *)stream;
}

static uint64_t view_size(const struct mime_view *v)
{
    return v->source->size - v->scan.body_offset + v->head.len;
}

/* Fills the cache with what stands at a position of the view. */
static bool fill(struct cache *c, uint64_t position)
{
    const struct mime_view *v = c->view;
    if (position >= c->offset && position - c->offset < c->len) {
        return true;
    }
    c->len = 0;
    c->offset = position;
    if (c->status != FB_OK || position >= view_size(v)) {
        return false;
    }
    if (position < v->head.len) {
        struct fb_slice s = fb_slice_sub(fb_slice_buf(&v->head), (size_t)position, CACHE_SIZE);
        memcpy(c->bytes, s.ptr, s.len);
        c->len = s.len;
        return true;
    }
    uint64_t at = position - v->head.len + v->scan.body_offset;
    c->status = v->source->read(v->source->ctx, at, c->bytes, CACHE_SIZE, &c->len, &c->err);
    if (c->status != FB_OK) {
        c->len = 0;
    }
    for (uint32_t i = 0; i < v->scan.mask_count; i++) {
        if (v->scan.masks[i] >= at && v->scan.masks[i] - at < c->len) {
            c->bytes[v->scan.masks[i] - at] = 'X';
        }
    }
    return c->len > 0;
}

static ssize_t stream_read(GMimeStream *stream, char *buf, size_t len)
{
    struct cache *c = as_source(stream)->cache;
    if (stream->bound_end != -1 && stream->position >= stream->bound_end) {
        return 0;
    }
    if (stream->bound_end != -1 && len > (size_t)(stream->bound_end - stream->position)) {
        len = (size_t)(stream->bound_end - stream->position);
    }
    if (len == 0 || !fill(c, (uint64_t)stream->position)) {
        return c->status == FB_OK ? 0 : -1;
    }
    size_t at = (size_t)((uint64_t)stream->position - c->offset);
    size_t n = c->len - at < len ? c->len - at : len;
    memcpy(buf, c->bytes + at, n);
    stream->position += (gint64)n;
    return (ssize_t)n;
}

static ssize_t stream_write(GMimeStream *stream, const char *buf, size_t len)
{
    (void)stream;
    (void)buf;
    (void)len;
    return -1; /* the message is never changed */
}

static int stream_nothing(GMimeStream *stream)
{
    (void)stream;
    return 0;
}

static gint64 stream_end(GMimeStream *stream)
{
    return stream->bound_end != -1 ? stream->bound_end
                                   : (gint64)view_size(as_source(stream)->cache->view);
}

static gboolean stream_eos(GMimeStream *stream)
{
    return stream->position >= stream_end(stream) || as_source(stream)->cache->status != FB_OK;
}

static int stream_reset(GMimeStream *stream)
{
    stream->position = stream->bound_start;
    return 0;
}

static gint64 stream_seek(GMimeStream *stream, gint64 offset, GMimeSeekWhence whence)
{
    gint64 base = whence == GMIME_STREAM_SEEK_SET   ? 0
                  : whence == GMIME_STREAM_SEEK_CUR ? stream->position
                                                    : stream_end(stream);
    gint64 to = 0;
    if (__builtin_add_overflow(base, offset, &to) || to < stream->bound_start ||
        to > stream_end(stream)) {
        return -1;
    }
    stream->position = to;
    return to;
}

static gint64 stream_tell(GMimeStream *stream)
{
    return stream->position;
}

static gint64 stream_length(GMimeStream *stream)
{
    return stream_end(stream) - stream->bound_start;
}

static GMimeStream *stream_substream(GMimeStream *stream, gint64 start, gint64 end)
{
    struct source_stream *sub = g_object_new(source_stream_type(), NULL);
    sub->cache = as_source(stream)->cache;
    sub->cache->refs++;
    g_mime_stream_construct(&sub->parent, start, end);
    return &sub->parent;
}

static GObjectClass *parent_class;

static void stream_finalize(GObject *object)
{
    struct source_stream *s = (struct source_stream *)(void *)object;
    if (s->cache != NULL && --s->cache->refs == 0) {
        g_free(s->cache);
    }
    s->cache = NULL;
    parent_class->finalize(object);
}

static void class_init(gpointer class, gpointer data)
{
    GMimeStreamClass *c = class;
    (void)data;
    parent_class = g_type_class_peek_parent(class);
    ((GObjectClass *)class)->finalize = stream_finalize;
    c->read = stream_read;
    c->write = stream_write;
    c->flush = stream_nothing;
    c->close = stream_nothing;
    c->eos = stream_eos;
    c->reset = stream_reset;
    c->seek = stream_seek;
    c->tell = stream_tell;
    c->length = stream_length;
    c->substream = stream_substream;
}

static GType source_stream_type(void)
{
    static GType type;
    if (type == 0) {
        static const GTypeInfo info = {
            .class_size = sizeof(struct source_stream_class),
            .class_init = class_init,
            .instance_size = sizeof(struct source_stream),
        };
        type = g_type_register_static(GMIME_TYPE_STREAM, "RenderSourceStream", &info, 0);
    }
    return type;
}

enum fb_status mime_view_parse(const struct mime_view *v, GMimeObject **object_r,
                               struct fb_error *err)
{
    struct source_stream *s = g_object_new(source_stream_type(), NULL);
    struct cache *c = g_new0(struct cache, 1);
    s->cache = c;
    c->view = v;
    c->refs = 2; /* ours and the stream's */
    g_mime_stream_construct(&s->parent, 0, -1);
    GMimeParser *parser = g_mime_parser_new_with_stream(&s->parent);
    g_mime_parser_set_persist_stream(parser, TRUE);
    g_mime_parser_set_format(parser, GMIME_FORMAT_MESSAGE);
    g_mime_parser_set_respect_content_length(parser, FALSE);
    GMimeObject *object = g_mime_parser_construct_part(parser, NULL);
    g_object_unref(parser);
    g_object_unref(s);
    enum fb_status status = FB_OK;
    if (c->status != FB_OK) {
        status = fb_error_set(err, c->status, "%s", c->err.text);
    } else if (object == NULL) {
        status = fb_error_set(err, FB_INVALID, "no MIME structure found");
    }
    if (status != FB_OK && object != NULL) {
        g_object_unref(object);
        object = NULL;
    }
    if (--c->refs == 0) {
        g_free(c);
    }
    *object_r = object;
    return status;
}

void mime_view_range(const struct mime_view *v, const GMimeStream *stream, uint64_t *offset_r,
                     uint64_t *length_r)
{
    uint64_t size = view_size(v);
    uint64_t start = stream->bound_start < 0 ? 0 : (uint64_t)stream->bound_start;
    uint64_t end = stream->bound_end < 0 ? size : (uint64_t)stream->bound_end;
    start = start < v->head.len ? v->head.len : start > size ? size : start;
    end = end > size ? size : end;
    *offset_r = start - v->head.len + v->scan.body_offset;
    *length_r = end > start ? end - start : 0;
}

static enum fb_status read_head(struct mime_view *v, struct fb_error *err)
{
    const struct render_source *source = v->source;
    uint64_t done = 0;
    enum fb_status status = FB_OK;
    while (done < v->scan.head_size && status == FB_OK) {
        uint8_t chunk[16384];
        uint64_t left = v->scan.head_size - done;
        size_t got = 0;
        status = source->read(source->ctx, done, chunk,
                              left < sizeof chunk ? (size_t)left : sizeof chunk, &got, err);
        if (status == FB_OK && got == 0) {
            break;
        }
        if (status == FB_OK) {
            status = fb_buf_add(&v->raw_head, chunk, got);
            done += got;
        }
    }
    return status;
}

static bool is_masked(const struct mime_view *v, uint64_t offset)
{
    for (uint32_t i = 0; i < v->scan.mask_count; i++) {
        if (v->scan.masks[i] == offset) {
            return true;
        }
    }
    return false;
}

static enum fb_status make_head(struct mime_view *v)
{
    struct fb_slice rest = fb_slice_buf(&v->raw_head);
    struct render_field f = {0};
    enum fb_status status = FB_OK;
    while (status == FB_OK && render_field_next(&rest, &f)) {
        if (!fb_slice_istarts(f.name, "content-") ||
            is_masked(v, (uint64_t)(f.whole.ptr - v->raw_head.ptr))) {
            continue;
        }
        status = fb_buf_add_slice(&v->head, f.whole);
        if (status == FB_OK && f.whole.ptr[f.whole.len - 1] != '\n') {
            status = fb_buf_add_str(&v->head, "\r\n");
        }
    }
    if (status == FB_OK && v->head.len == 0) {
        status = fb_buf_add_str(&v->head, "Content-Type: text/plain\r\n"); /* RFC 2045 5.2 */
    }
    return status == FB_OK ? fb_buf_add_str(&v->head, "\r\n") : status;
}

enum fb_status mime_view_open(const struct render_source *source, bool is_spooled,
                              struct mime_view *view_r, struct fb_error *err)
{
    *view_r = (struct mime_view){.source = source, .is_spooled = is_spooled};
    fb_buf_init(&view_r->raw_head, FB_MAX_HEADER_BYTES + 16);
    fb_buf_init(&view_r->head, FB_MAX_HEADER_BYTES + 64);
    enum fb_status status = mime_scan_run(source, &view_r->scan, err);
    if (status == FB_OK) {
        status = read_head(view_r, err);
    }
    if (status == FB_OK) {
        status = make_head(view_r);
        status = status == FB_OK ? FB_OK : fb_error_set(err, status, "reading the header");
    }
    if (status != FB_OK) {
        mime_view_close(view_r);
    }
    return status;
}

void mime_view_close(struct mime_view *v)
{
    fb_buf_deinit(&v->raw_head);
    fb_buf_deinit(&v->head);
}

static enum fb_status memory_read(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                  struct fb_error *err)
{
    const struct fb_slice *bytes = ctx;
    (void)err;
    struct fb_slice s =
        fb_slice_sub(*bytes, offset < bytes->len ? (size_t)offset : bytes->len, len);
    if (s.len > 0) {
        memcpy(out, s.ptr, s.len);
    }
    *read_r = s.len;
    return FB_OK;
}

struct render_source mime_source_memory(struct fb_slice *bytes)
{
    return (struct render_source){.ctx = bytes, .read = memory_read, .size = bytes->len};
}
