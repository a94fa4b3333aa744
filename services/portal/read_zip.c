/* SPDX-License-Identifier: Apache-2.0
 *
 * All files in one zip, made while it is sent: libarchive is fed a piece of a file whenever the client has taken what
 * it made of the last one, so that memory does not grow with the files.  What is compressed already is stored; sizes
 * beyond 4 GiB are Zip64. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "services/portal/read.h"

#define PIECE   (64U << 10)
#define MAX_OUT (4U << 20) /* of what one piece makes, with the directory at the end */

struct zip {
    struct read_watch *watch;
    struct fb_vault_file *files; /* of the parcel as it was; names are safe and different */
    uint32_t count, next;
    struct fb_vault_reader *reader; /* of the file under way */
    uint64_t at;
    int64_t date_s;
    struct archive *archive;
    struct fb_buf out; /* made, not yet taken */
    locale_t names;    /* libarchive marks names as UTF-8 when the locale says that they are */
    bool is_over;
    uint8_t piece[PIECE];
};

static la_ssize_t on_write(struct archive *archive, void *ctx, const void *data, size_t len)
{
    struct zip *z = ctx;
    if (fb_buf_add(&z->out, data, len) != FB_OK) {
        archive_set_error(archive, EIO, "too much at once");
        return -1;
    }
    return (la_ssize_t)len;
}

static void zip_free(void *ctx)
{
    struct zip *z = ctx;
    if (z->archive != NULL) {
        (void)archive_write_fail(z->archive); /* nothing more is written */
        (void)archive_write_free(z->archive);
    }
    for (uint32_t i = 0; i < z->count; i++) {
        free(z->files[i].name);
        free(z->files[i].type);
    }
    free(z->files);
    fb_vault_file_close(&z->reader);
    read_watch_free(&z->watch);
    fb_buf_deinit(&z->out);
    if (z->names != (locale_t)0) {
        freelocale(z->names);
    }
    free(z);
}

/* Text shrinks; everything else that is sent by mail is compressed by its own format, or is a program. */
static bool shrinks(const char *type)
{
    static const char *const types[] = {"application/json",
                                        "application/xml",
                                        "application/rtf",
                                        "application/msword",
                                        "application/vnd.ms-excel",
                                        "application/vnd.ms-powerpoint",
                                        "application/postscript",
                                        "image/bmp",
                                        "image/svg+xml",
                                        "message/rfc822"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(type, types[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(type, "text/", 5) == 0;
}

static enum fb_status fault(struct zip *z, struct fb_error *err)
{
    const char *text = archive_error_string(z->archive);
    return fb_error_set(err, FB_IO, "zip: %s", text != NULL ? text : "no reason given");
}

static enum fb_status begin_file(struct zip *z, struct fb_error *err)
{
    const struct fb_vault_file *f = &z->files[z->next];
    uint64_t size = 0;
    enum fb_status s = fb_vault_file_open(read_watch_vault(z->watch), read_watch_parcel(z->watch),
                                          f->id, &z->reader, &size, err);
    if (s != FB_OK) {
        return s;
    }
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, f->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, (time_t)z->date_s, 0);
    archive_entry_set_size(entry, (la_int64_t)size);
    int rc = shrinks(f->type) ? archive_write_zip_set_compression_deflate(z->archive)
                              : archive_write_zip_set_compression_store(z->archive);
    if (rc >= ARCHIVE_WARN) {
        rc = archive_write_header(z->archive, entry);
    }
    archive_entry_free(entry);
    z->at = 0;
    return rc >= ARCHIVE_WARN ? FB_OK : fault(z, err);
}

static enum fb_status feed_file(struct zip *z, struct fb_error *err)
{
    size_t n = 0;
    enum fb_status s = fb_vault_file_read(z->reader, z->at, z->piece, sizeof z->piece, &n, err);
    if (s != FB_OK) {
        return s;
    }
    if (n == 0) {
        fb_vault_file_close(&z->reader);
        z->next++;
        return archive_write_finish_entry(z->archive) >= ARCHIVE_WARN ? FB_OK : fault(z, err);
    }
    z->at += n;
    return archive_write_data(z->archive, z->piece, n) == (la_ssize_t)n ? FB_OK : fault(z, err);
}

static enum fb_status step(struct zip *z, struct fb_error *err)
{
    if (!read_watch_is_allowed(z->watch)) {
        return fb_error_set(err, FB_RECALLED, "it was taken back meanwhile");
    }
    if (z->reader != NULL) {
        return feed_file(z, err);
    }
    if (z->next < z->count) {
        return begin_file(z, err);
    }
    z->is_over = true;
    return archive_write_close(z->archive) >= ARCHIVE_WARN ? FB_OK : fault(z, err);
}

static ssize_t zip_read(void *ctx, uint64_t offset, void *out, size_t len)
{
    struct zip *z = ctx;
    struct fb_error err = {0};
    enum fb_status s = FB_OK;
    (void)offset; /* from front to back */
    locale_t before = uselocale(z->names);
    while (s == FB_OK && z->out.len < len && !z->is_over) {
        s = step(z, &err);
    }
    (void)uselocale(before);
    if (s != FB_OK) {
        fb_log(FB_WARN, "a zip of parcel %s ends early: %s", read_watch_parcel(z->watch), err.text);
        return -1;
    }
    size_t n = z->out.len < len ? z->out.len : len;
    if (n > 0) {
        memcpy(out, z->out.ptr, n);
        fb_buf_consume(&z->out, n);
    }
    return (ssize_t)n;
}

/* Two files of one name would be one where they are unpacked; most systems do not tell large letters from small. */
static bool is_taken(const struct zip *z, const char *name)
{
    for (uint32_t i = 0; i < z->count; i++) {
        if (strcasecmp(z->files[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_file(struct zip *z, const struct fb_vault_file *from)
{
    char safe[READ_NAME_SIZE], name[READ_NAME_SIZE];
    read_name_safe(from->name, safe);
    memcpy(name, safe, sizeof name);
    for (unsigned n = 2; is_taken(z, name) && n < 100000; n++) {
        read_name_numbered(safe, n, name);
    }
    struct fb_vault_file *to = &z->files[z->count];
    *to = *from;
    to->name = fb_xstrdup(name);
    to->type = fb_xstrdup(from->type);
    z->count++;
}

static bool open_archive(struct zip *z)
{
    z->names = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    z->archive = archive_write_new();
    if (z->names == (locale_t)0 || z->archive == NULL) {
        return false;
    }
    locale_t before = uselocale(z->names);
    bool is_open = archive_write_set_format_zip(z->archive) == ARCHIVE_OK &&
                   archive_write_set_format_option(z->archive, "zip", "compression-level", "3") ==
                       ARCHIVE_OK &&
                   archive_write_set_bytes_per_block(z->archive, 0) == ARCHIVE_OK &&
                   archive_write_set_bytes_in_last_block(z->archive, 1) == ARCHIVE_OK &&
                   archive_write_open(z->archive, z, NULL, on_write, NULL) == ARCHIVE_OK;
    (void)uselocale(before);
    return is_open;
}

void read_send_zip(struct reader *r)
{
    struct fb_error err = {0};
    struct zip *z = fb_xcalloc(1, sizeof *z);
    fb_buf_init(&z->out, MAX_OUT);
    z->watch = read_watch_new(r);
    z->date_s = r->parcel.accepted_ms / 1000;
    z->files = fb_xcalloc(r->parcel.file_count + 1, sizeof *z->files);
    for (uint32_t i = 0; i < r->parcel.file_count; i++) {
        add_file(z, &r->parcel.files[i]);
    }
    if (!open_archive(z)) {
        zip_free(z);
        (void)fb_error_set(&err, FB_NO_SPACE, "a zip cannot be begun");
        reader_unavailable(r, &err);
        return;
    }
    r->visit->answer->stream = (struct fb_http_stream){
        .read = zip_read, .free = zip_free, .ctx = z, .size = FB_HTTP_UNKNOWN, .may_block = true};
    r->visit->answer->status = 200;
}
