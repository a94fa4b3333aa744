/* SPDX-License-Identifier: Apache-2.0
 *
 * A page as an image, painted by the sandboxed child (painter.h).  With the mark where the parcel may not be
 * downloaded, or its definition wants one: whose view it is, and of when, stands in the image itself. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "services/portal/painter.h"
#include "services/portal/read.h"

#define JAPAN_S (9 * 3600)

bool read_is_marked(const struct reader *r)
{
    return !r->parcel.can_download || r->parcel.is_watermarked;
}

/* To the second, with its zone: a page that turns up elsewhere is found in the history by it. */
void read_mark(const struct reader *r, int64_t now_ms, char *out_r, size_t size)
{
    char when[32] = "";
    struct tm tm = {0};
    time_t seconds = (time_t)(now_ms / 1000) + JAPAN_S;
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        when[0] = '\0';
    }
    bool is_text = form_is_utf8(r->session.address);
    (void)snprintf(out_r, size, "%s  %s JST", is_text ? r->session.address : r->grant_tag, when);
}

static enum fb_status read_vault(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                                 struct fb_error *err)
{
    return fb_vault_file_read(ctx, offset, out, len, read_r, err);
}

enum fb_status read_paint(struct reader *r, const struct fb_vault_file *file, uint32_t page,
                          struct painter_answer *answer_r, struct fb_buf *png, struct fb_error *err)
{
    char mark[PAINTER_MAX_MARK + 1] = "";
    struct painter_job job = {.page = page, .mark = mark, .read = read_vault};
    struct fb_vault_reader *reader = NULL;
    if (!painter_knows(file->type, &job.kind)) {
        return fb_error_set(err, FB_INVALID, "files of this type are not painted");
    }
    if (read_is_marked(r)) {
        read_mark(r, fb_now_ms(), mark, sizeof mark);
    }
    enum fb_status s =
        fb_vault_file_open(r->vault, r->parcel_id, file->id, &reader, &job.size, err);
    if (s == FB_OK) {
        job.ctx = reader;
        s = painter_paint(&job, answer_r, png, err);
        fb_vault_file_close(&reader);
    }
    return s;
}

/* "<file>/<n>.png", n from 1 without leading zeros. */
static const struct fb_vault_file *parse(const struct reader *r, uint32_t *page_r)
{
    size_t slash = strcspn(r->rest, "/");
    const char *at = r->rest + slash;
    uint32_t n = 0;
    if (*at++ != '/' || *at < '1' || *at > '9') {
        return NULL;
    }
    for (; *at >= '0' && *at <= '9' && n <= PAINTER_MAX_PAGES; at++) {
        n = n * 10 + (uint32_t)(*at - '0');
    }
    *page_r = n;
    return strcmp(at, ".png") == 0 && n <= PAINTER_MAX_PAGES ? read_find(r, r->rest, slash) : NULL;
}

void read_image(struct reader *r)
{
    struct fb_error err = {0};
    struct painter_answer answer;
    uint32_t page = 0;
    const struct fb_vault_file *file = parse(r, &page);
    if (file == NULL) {
        reader_not_found(r);
        return;
    }
    enum fb_status s = read_paint(r, file, page, &answer, &r->visit->answer->body, &err);
    if (s == FB_OK) {
        read_content_headers(r, "image/png");
        r->visit->answer->status = 200;
        return;
    }
    fb_buf_clear(&r->visit->answer->body);
    if (s == FB_INVALID) {
        reader_not_found(r); /* there is no such page, or it cannot be painted */
        return;
    }
    fb_log(FB_WARN, "a page of parcel %s was not painted: %s", r->parcel_id, err.text);
    page_error(r->visit, s == FB_AGAIN ? PAGE_UNAVAILABLE : PAGE_READ_BROKEN);
}
