/* SPDX-License-Identifier: Apache-2.0
 *
 * Committing to a bucket: all small messages that wait become one object, put with one request;
 * a large one becomes an object of its own, in parts, out of the temporary file that it waited in.
 * done(FB_OK) only after the store has said that it has them.
 *
 * While one put is under way the next batch gathers, as with files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/spool/commit.h"
#include "common/spool/remote.h"

/* What is not promised should not come back in a replay: the MTA keeps that mail and sends it
 * again.  When even this fails it is a duplicate, not a loss. */
static void take_back(struct fb_s3 *s3, const char *key)
{
    struct fb_error err = {0};
    if (fb_s3_delete(s3, key, &err) != FB_OK) {
        fb_log(FB_WARN, "%s was not promised, but may be in the bucket: %s", key, err.text);
    }
}

static size_t count_slices(const struct fb_spool_in *batch)
{
    size_t count = 0;
    for (const struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (fb_spool_in_is_small(in)) {
            count += 3; /* header, envelope, padding */
            for (const struct fb_spool_piece *p = in->first; p != NULL; p = p->next) {
                count++;
            }
        }
    }
    return count;
}

void fb_remote_commit_small(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    const struct fb_remote *remote = writer->spool->remote;
    struct fb_error err = {0};
    char key[FB_SPOOL_NAME_SIZE + 16];
    size_t count = count_slices(batch);
    size_t used = 0;
    if (count == 0) {
        return;
    }
    struct fb_slice *slices = fb_xcalloc(count, sizeof *slices);
    writer->offset = 0;
    uint64_t end = fb_spool_writer_place(writer, batch);
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        if (!fb_spool_in_is_small(in)) {
            continue;
        }
        struct fb_slice pad = fb_spool_writer_finish(writer, in, end);
        slices[used++] = fb_slice_of(in->header, FB_SPOOL_HEADER);
        for (const struct fb_spool_piece *p = in->first; p != NULL; p = p->next) {
            slices[used++] = fb_slice_of(p->bytes, p->len);
        }
        slices[used++] = fb_slice_of(in->envelope, (size_t)in->envelope_len + FB_TAG_SIZE);
        slices[used++] = pad;
    }
    fb_remote_name(remote, writer->name, false, ".seg", writer->segment);
    (void)snprintf(key, sizeof key, "segments/%s", writer->segment);
    enum fb_status s = fb_s3_put(fb_remote_s3(remote), key, slices, used, true, &err);
    if (s != FB_OK) {
        fb_log(FB_ERROR, "a batch could not be committed: %s", err.text);
        take_back(fb_remote_s3(remote), key);
        fb_spool_writer_fail_small(batch, s == FB_NO_SPACE ? FB_NO_SPACE : FB_IO);
    }
    free(slices);
}

void fb_remote_commit_large(struct fb_spool_writer *writer, struct fb_spool_in *batch)
{
    const struct fb_remote *remote = writer->spool->remote;
    for (struct fb_spool_in *in = batch; in != NULL; in = in->next) {
        struct fb_error err = {0};
        char name[FB_SPOOL_NAME_SIZE];
        char key[FB_SPOOL_NAME_SIZE + 16];
        if (in->fd < 0 || in->failed != FB_OK) {
            continue;
        }
        fb_spool_large_name(in, ".seg", name);
        (void)snprintf(key, sizeof key, "large/%s", name);
        enum fb_status s = fb_remote_put_fd(remote, key, in->fd, &err);
        if (s != FB_OK) {
            fb_log(FB_ERROR, "large message %s could not be committed: %s", in->msg_id, err.text);
            take_back(fb_remote_s3(remote), key);
            in->failed = s == FB_NO_SPACE ? FB_NO_SPACE : FB_IO;
        }
    }
}
