/* SPDX-License-Identifier: Apache-2.0
 *
 * The sent journal in a bucket: each group commit is an object of its own, which never changes.
 * Their names begin with the store's time, so that a reader lists only what is new, and a little of
 * what is old: clocks differ, and a put may take a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/spool/journal_internal.h"
#include "common/spool/remote.h"

#define FRESH_MS   1000
#define MAX_ROUNDS 20U

static bool gather(void *ctx, struct fb_slice bytes)
{
    return fb_buf_add_slice(ctx, bytes) == FB_OK;
}

enum fb_status fb_journal_remote_get(const struct fb_spool *spool, const char *key,
                                     struct fb_buf *bytes, struct fb_error *err)
{
    fb_buf_init(bytes, FB_JOURNAL_MAX_GROUP + FB_JOURNAL_MAX_FORGOTTEN * FB_JOURNAL_ENTRY);
    return fb_s3_read(fb_remote_s3(spool->remote), key, gather, bytes, NULL, err);
}

static enum fb_status read_object(const struct fb_spool *spool, const char *key,
                                  bool (*each)(void *ctx, const struct fb_journal_entry *entry),
                                  void *ctx, struct fb_error *err)
{
    struct fb_buf bytes;
    enum fb_status status = fb_journal_remote_get(spool, key, &bytes, err);
    bool goes_on = true;
    for (size_t i = 0; status == FB_OK && goes_on && i + FB_JOURNAL_ENTRY <= bytes.len;
         i += FB_JOURNAL_ENTRY) {
        struct fb_journal_entry entry;
        if (fb_journal_decode(bytes.ptr + i, &entry)) {
            goes_on = each(ctx, &entry);
        } else if (fb_journal_is_newer(bytes.ptr + i)) {
            status = fb_seal_newer(err, "the sent journal");
        }
    }
    fb_buf_deinit(&bytes);
    return status;
}

static int by_tail(const void *a, const void *b)
{
    return strcmp(a, ((const struct fb_journal_tail *)b)->name);
}

/* In its place: the names of several writers come a little out of order. */
static void note_read(struct fb_journal *journal, const char *name)
{
    struct fb_journal_tail *grown =
        realloc(journal->tails, (journal->tail_count + 1) * sizeof *grown);
    FB_ASSERT(grown != NULL);
    journal->tails = grown;
    size_t at = journal->tail_count++;
    while (at > 0 && strcmp(grown[at - 1].name, name) > 0) {
        grown[at] = grown[at - 1];
        at--;
    }
    memset(&grown[at], 0, sizeof grown[at]);
    memcpy(grown[at].name, name, strlen(name) + 1);
}

static enum fb_status on_object(void *ctx, const struct fb_s3_entry *object, struct fb_error *err)
{
    struct fb_journal *journal = ctx;
    const char *name = object->key + strlen("journal/");
    if (!fb_spool_file_name_is_valid(name, ".jnl") ||
        (journal->tail_count > 0 && bsearch(name, journal->tails, journal->tail_count,
                                            sizeof *journal->tails, by_tail) != NULL)) {
        return FB_OK;
    }
    enum fb_status status =
        read_object(journal->spool, object->key, fb_journal_add, journal->index, err);
    if (status ==
        FB_NOT_FOUND) { /* tidied since the listing, or merged: where, the next one says */
        journal->has_moved = true;
        return FB_OK;
    }
    if (status == FB_OK) {
        note_read(journal, name);
    }
    return status;
}

/* A listing costs a round trip and money, and rewrite asks about several kinds of one message in a
 * row: these share one.  So do questions of many threads that waited for each other.  The same
 * question again is a new one. */
static bool is_fresh(struct fb_journal *journal, const char *msg_id, unsigned kind,
                     int64_t called_ms)
{
    bool is_same = msg_id != NULL && strcmp(journal->read_for, msg_id) == 0 &&
                   (journal->read_kinds >> kind & 1U) == 0 && journal->read_ms != 0 &&
                   called_ms - journal->read_ms < FRESH_MS;
    if (is_same || (journal->read_ms != 0 && journal->read_ms > called_ms)) {
        journal->read_kinds |= is_same ? 1U << kind : 0;
        return true;
    }
    return false;
}

enum fb_status fb_journal_remote_read(struct fb_journal *journal, const char *msg_id, unsigned kind,
                                      int64_t called_ms, struct fb_error *err)
{
    char after[FB_SPOOL_NAME_SIZE] = "";
    int64_t begun = fb_mono_ms();
    if (is_fresh(journal, msg_id, kind, called_ms)) {
        return FB_OK;
    }
    if (journal->tail_count > 0) {
        const char *newest = journal->tails[journal->tail_count - 1].name;
        long long ms = strtoll(newest, NULL, 10) - FB_JOURNAL_LOOK_BACK_MS;
        (void)snprintf(after, sizeof after, "journal/%013lld", ms > 0 ? ms : 0);
    }
    enum fb_status status = FB_OK;
    unsigned rounds = 0;
    do {
        journal->has_moved = false;
        status = fb_remote_each(journal->spool->remote, "journal/", after[0] != '\0' ? after : NULL,
                                on_object, journal, err);
    } while (status == FB_OK && journal->has_moved && ++rounds < MAX_ROUNDS);
    if (status == FB_OK && journal->has_moved) {
        status = fb_error_set(err, FB_AGAIN, "the sent journal moves while it is read");
    }
    size_t old = 0;
    while (status == FB_OK && old < journal->tail_count && after[0] != '\0' &&
           strcmp(journal->tails[old].name, after + strlen("journal/")) < 0) {
        old++; /* not listed any more */
    }
    if (old > 0) {
        journal->tail_count -= old;
        memmove(journal->tails, journal->tails + old, journal->tail_count * sizeof *journal->tails);
    }
    journal->read_ms = status == FB_OK ? begun : 0;
    journal->read_kinds = 1U << kind;
    memcpy(journal->read_for, msg_id != NULL ? msg_id : "", msg_id != NULL ? FB_ID_SIZE : 1);
    return status;
}

enum fb_status fb_journal_remote_commit(struct fb_journal *journal, const struct fb_buf *group,
                                        struct fb_error *err)
{
    char key[FB_SPOOL_NAME_SIZE + 16];
    char name[FB_SPOOL_NAME_SIZE];
    struct fb_slice bytes = fb_slice_buf(group);
    fb_remote_name(journal->spool->remote, journal->writer, true, ".jnl", name);
    (void)snprintf(key, sizeof key, "journal/%s", name);
    enum fb_status status =
        fb_s3_put(fb_remote_s3(journal->spool->remote), key, &bytes, 1, false, err);
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "write the sent journal");
        return status == FB_NO_SPACE ? FB_NO_SPACE : FB_IO;
    }
    fb_spool_lock(&journal->index_lock);
    for (size_t i = 0; i + FB_JOURNAL_ENTRY <= bytes.len; i += FB_JOURNAL_ENTRY) {
        struct fb_journal_entry entry;
        if (fb_journal_decode(bytes.ptr + i, &entry)) {
            (void)fb_journal_add(journal->index, &entry);
        }
    }
    note_read(journal, name);
    fb_spool_unlock(&journal->index_lock);
    return FB_OK;
}
