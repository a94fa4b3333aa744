/* SPDX-License-Identifier: Apache-2.0
 *
 * One file of the vault, sent while it is read.  A download may take hours: every few seconds it looks whether the
 * grant is still there, so that a recall ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/sealed/sealed.h"
#include "services/portal/read.h"

#define LOOK_EVERY_MS 2000

struct read_watch {
    struct reader_vault *home;
    char parcel_id[FB_PARCEL_ID_SIZE];
    uint32_t recipient;
    uint8_t secret_hash[FB_VAULT_HASH];
    int64_t looked_ms; /* monotonic */
    bool is_over;
};

struct read_watch *read_watch_new(const struct reader *r)
{
    struct read_watch *w = fb_xcalloc(1, sizeof *w);
    w->home = reader_vault_ref(r->home);
    memcpy(w->parcel_id, r->parcel_id, sizeof w->parcel_id);
    memcpy(w->secret_hash, r->secret_hash, sizeof w->secret_hash);
    w->recipient = r->recipient;
    w->looked_ms = fb_mono_ms();
    return w;
}

void read_watch_free(struct read_watch **watch)
{
    if (*watch != NULL) {
        reader_vault_unref(&(*watch)->home);
        free(*watch);
        *watch = NULL;
    }
}

struct fb_vault *read_watch_vault(const struct read_watch *w)
{
    return reader_vault_get(w->home);
}

const char *read_watch_parcel(const struct read_watch *w)
{
    return w->parcel_id;
}

static bool has_grant(const struct read_watch *w, const struct fb_vault_parcel *p)
{
    for (uint32_t i = 0; i < p->grant_count; i++) {
        const struct fb_vault_grant *g = &p->grants[i];
        if (g->recipient == w->recipient && !g->is_recalled &&
            memcmp(g->secret_hash, w->secret_hash, sizeof w->secret_hash) == 0) {
            return true;
        }
    }
    return false;
}

bool read_watch_is_allowed(struct read_watch *w)
{
    int64_t now_ms = fb_mono_ms();
    if (w->is_over || now_ms - w->looked_ms < LOOK_EVERY_MS) {
        return !w->is_over;
    }
    struct fb_vault_parcel p = {0};
    struct fb_error err = {0};
    w->looked_ms = now_ms;
    enum fb_status s = fb_vault_load(read_watch_vault(w), w->parcel_id, &p, &err);
    w->is_over = s != FB_OK || p.is_closed || !has_grant(w, &p) ||
                 (p.expires_ms > 0 && p.expires_ms <= fb_now_ms());
    fb_vault_parcel_deinit(&p);
    return !w->is_over;
}

/* ---- a file ---- */

struct sent_file {
    struct read_watch *watch;
    struct fb_vault_reader *reader;
};

static void sent_file_free(void *ctx)
{
    struct sent_file *f = ctx;
    fb_vault_file_close(&f->reader);
    read_watch_free(&f->watch);
    free(f);
}

static ssize_t sent_file_read(void *ctx, uint64_t offset, void *out, size_t len)
{
    struct sent_file *f = ctx;
    struct fb_error err = {0};
    size_t n = 0;
    size_t into = (size_t)(offset % FB_SEAL_CHUNK);
    if (into > 0 && len > FB_SEAL_CHUNK - into) {
        len = FB_SEAL_CHUNK - into; /* from the next read on pieces are whole */
    }
    if (!read_watch_is_allowed(f->watch)) {
        return -1;
    }
    if (fb_vault_file_read(f->reader, offset, out, len, &n, &err) != FB_OK || n == 0) {
        fb_log(FB_WARN, "a download of parcel %s ends early: %s", read_watch_parcel(f->watch),
               err.text);
        return -1;
    }
    return (ssize_t)n;
}

void read_send_file(struct reader *r, const struct fb_vault_file *file)
{
    struct fb_error err = {0};
    struct fb_vault_reader *reader = NULL;
    uint64_t size = 0;
    char tag[2 * FB_SHA1_SIZE + 1];
    enum fb_status s = fb_vault_file_open(r->vault, r->parcel_id, file->id, &reader, &size, &err);
    if (s == FB_OK && size != file->size) {
        s = fb_error_set(&err, FB_CORRUPT, "a file is not as large as the parcel says");
        fb_vault_file_close(&reader);
    }
    if (s != FB_OK) {
        reader_unavailable(r, &err);
        return;
    }
    struct sent_file *f = fb_xcalloc(1, sizeof *f);
    f->watch = read_watch_new(r);
    f->reader = reader;
    fb_hex(file->sha1, sizeof file->sha1, tag);
    fb_http_answer_header(r->visit->answer, "ETag", "\"%s\"", tag);
    r->visit->answer->stream = (struct fb_http_stream){.read = sent_file_read,
                                                       .free = sent_file_free,
                                                       .ctx = f,
                                                       .size = size,
                                                       .is_ranged = true,
                                                       .may_block = fb_vault_is_remote(r->vault)};
    r->visit->answer->status = 200;
}
