/* SPDX-License-Identifier: Apache-2.0
 *
 * The sent journal.  Entries of 64 bytes, appended:
 *
 * - 0 magic[4], 4 kind u8, zero[3], 8 branch u32, 12 recipient u32, 16 time in ms i64
 * - 24 msg id[26], zero[6], 56 first 8 bytes of the SHA-256 of the 56 before
 *
 * Committing: the first thread that comes becomes the leader, writes what waits, syncs once and
 * wakes the others; what came meanwhile is the next leader's.
 *
 * Forgetting is an entry too (kind 255), so that other processes free their memory.  It is written
 * minutes after the erasure, with somebody's commit: erasures are not synced, and if a crash could
 * undo one while the forgetting survived, the message would be sent again.
 */
#include "common/spool/journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spool/remote.h"
#include "proto/limits.h"

#define FORGET      255U
#define FORGET_MS   300000 /* the kernel writes dirty pages back within about 35 s */
#define ROTATE      ((uint64_t)16 << 20)
#define READ_WINDOW ((size_t)65536)
#define MAX_LAG_MS  60000

static const uint8_t magic[4] = {'F', 'B', 'J', '1'};

static void encode(const struct fb_journal_entry *entry, uint8_t out[FB_JOURNAL_ENTRY])
{
    uint8_t digest[FB_SHA256_SIZE];
    memset(out, 0, FB_JOURNAL_ENTRY);
    memcpy(out, magic, sizeof magic);
    out[4] = (uint8_t)entry->kind;
    fb_put32(out + 8, entry->branch);
    fb_put32(out + 12, entry->recipient);
    fb_put64(out + 16, (uint64_t)fb_now_ms());
    memcpy(out + 24, entry->msg_id, FB_ID_SIZE - 1);
    fb_sha256(out, 56, digest);
    memcpy(out + 56, digest, 8);
}

bool fb_journal_decode(const uint8_t in[FB_JOURNAL_ENTRY], struct fb_journal_entry *entry_r)
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_journal_entry entry = {
        .kind = in[4], .branch = fb_get32(in + 8), .recipient = fb_get32(in + 12)};
    if (memcmp(in, magic, sizeof magic) != 0) {
        return false;
    }
    fb_sha256(in, 56, digest);
    memcpy(entry.msg_id, in + 24, FB_ID_SIZE - 1);
    *entry_r = entry;
    return memcmp(digest, in + 56, 8) == 0 && fb_id_is_valid(entry.msg_id) &&
           entry.recipient < FB_MAX_RECIPIENTS &&
           ((entry.kind >= 1 && entry.kind <= FB_JOURNAL_KINDS) || entry.kind == FORGET);
}

bool fb_journal_is_newer(const uint8_t in[FB_JOURNAL_ENTRY])
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(in, 56, digest); /* entries of every version are whole in the same way */
    return fb_seal_is_newer(in, magic, sizeof magic) && memcmp(digest, in + 56, 8) == 0;
}

/* ---- reading ---- */

/* Calls each for the good entries from *offset on and moves it behind the last of them: what
 * follows may be an entry that is just being written. */
static enum fb_status read_entries(int fd, uint64_t *offset,
                                   bool (*each)(void *ctx, const struct fb_journal_entry *entry),
                                   void *ctx, struct fb_error *err)
{
    uint64_t at = *offset;
    uint8_t *window = fb_alloc_bounded(READ_WINDOW, READ_WINDOW);
    if (window == NULL) {
        return fb_error_set(err, FB_NO_SPACE, "no memory to read a journal");
    }
    enum fb_status status = FB_OK;
    bool goes_on = true;
    while (goes_on) {
        size_t got = 0;
        int e = fb_fs_read_at(fd, window, READ_WINDOW, at, &got);
        if (e != 0) {
            status = fb_error_errno(err, FB_IO, e, "read journal");
            break;
        }
        for (size_t i = 0; i + FB_JOURNAL_ENTRY <= got && goes_on; i += FB_JOURNAL_ENTRY) {
            struct fb_journal_entry entry;
            if (fb_journal_decode(window + i, &entry)) {
                *offset = at + i + FB_JOURNAL_ENTRY;
                goes_on = each(ctx, &entry);
            } else if (fb_journal_is_newer(window + i)) { /* what it says must not be passed over */
                status = fb_seal_newer(err, "the sent journal");
                goes_on = false;
            }
        }
        at += got - got % FB_JOURNAL_ENTRY;
        goes_on = goes_on && got == READ_WINDOW;
    }
    free(window);
    return status;
}

bool fb_journal_add(void *ctx, const struct fb_journal_entry *entry)
{
    struct fb_journal_index *index = ctx;
    if (entry->kind == FORGET) {
        fb_journal_index_remove(index, entry->msg_id);
    } else {
        fb_journal_index_add(index, entry->msg_id, entry->kind, entry->recipient);
    }
    return true;
}

static enum fb_status read_tail(struct fb_journal *journal, struct fb_journal_tail *tail,
                                struct fb_error *err)
{
    struct stat st;
    int dir_fd = journal->spool->journal_fd;
    if (fstatat(dir_fd, tail->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? FB_OK : fb_error_errno(err, FB_IO, errno, "stat %s", tail->name);
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size <= tail->offset) {
        return FB_OK;
    }
    int fd = -1;
    enum fb_status status = fb_fs_file_open(dir_fd, tail->name, O_RDONLY, &fd, NULL, err);
    if (status == FB_NOT_FOUND) {
        return FB_OK;
    }
    if (status == FB_OK) {
        status = read_entries(fd, &tail->offset, fb_journal_add, journal->index, err);
        (void)close(fd);
    }
    return status;
}

/* Lists the files anew and keeps the places in those that are known; both lists are sorted. */
static enum fb_status read_tails(struct fb_journal *journal, struct fb_error *err)
{
    struct fb_fs_names names = {0};
    enum fb_status status = fb_fs_names_read(journal->spool->journal_fd, ".jnl", &names, err);
    if (status != FB_OK) {
        return status;
    }
    struct fb_journal_tail *tails = fb_xcalloc(names.count, sizeof *tails);
    size_t count = 0;
    size_t old = 0;
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.names[i];
        if (!fb_spool_file_name_is_valid(name, ".jnl")) {
            continue;
        }
        while (old < journal->tail_count && strcmp(journal->tails[old].name, name) < 0) {
            old++;
        }
        struct fb_journal_tail *tail = &tails[count++];
        memcpy(tail->name, name, strlen(name) + 1);
        if (old < journal->tail_count && strcmp(journal->tails[old].name, name) == 0) {
            tail->offset = journal->tails[old].offset;
        }
    }
    free(journal->tails);
    journal->tails = tails;
    journal->tail_count = count;
    fb_fs_names_free(&names);
    for (size_t i = 0; i < count && status == FB_OK; i++) {
        status = read_tail(journal, &tails[i], err);
    }
    return status;
}

enum fb_status fb_journal_lookup(struct fb_journal *journal, const char *msg_id,
                                 enum fb_sent_kind kind, const uint32_t *recipients, size_t count,
                                 bool *has_r, struct fb_error *err)
{
    if (!fb_id_is_valid(msg_id) || (unsigned)kind < 1 || (unsigned)kind > FB_JOURNAL_KINDS) {
        return fb_error_set(err, FB_INVALID, "journal: not an id or kind");
    }
    int64_t called_ms = journal->spool->remote != NULL ? fb_mono_ms() : 0;
    fb_spool_lock(&journal->index_lock);
    enum fb_status status =
        journal->spool->remote != NULL
            ? fb_journal_remote_read(journal, msg_id, (unsigned)kind, called_ms, err)
            : read_tails(journal, err);
    for (size_t i = 0; i < count && status == FB_OK; i++) {
        has_r[i] = fb_journal_index_has(journal->index, msg_id, (unsigned)kind, recipients[i]);
    }
    fb_spool_unlock(&journal->index_lock);
    return status;
}

/* ---- writing ---- */

/* Entries for what was forgotten long enough ago; the lock is held. */
static void take_forgotten(struct fb_journal *journal, struct fb_buf *out)
{
    int64_t now = fb_mono_ms();
    struct fb_remote *remote = journal->spool->remote;
    if (remote != NULL && fb_remote_erase_lag_ms(remote) > MAX_LAG_MS) {
        return; /* the erasures are not written down yet */
    }
    for (size_t i = 0; i < FB_JOURNAL_MAX_FORGOTTEN; i++) {
        struct forgotten *f = journal->forgotten;
        if (f == NULL || f->due_ms > now) {
            break;
        }
        struct fb_journal_entry entry = {.kind = FORGET};
        uint8_t bytes[FB_JOURNAL_ENTRY];
        memcpy(entry.msg_id, f->msg_id, sizeof entry.msg_id);
        encode(&entry, bytes);
        if (fb_buf_add(out, bytes, sizeof bytes) != FB_OK) {
            break; /* the next group takes it */
        }
        journal->forgotten = f->next;
        if (f->next == NULL) {
            journal->forgotten_end = &journal->forgotten;
        }
        free(f);
    }
}

static int write_group(struct fb_journal *journal, const struct fb_buf *group)
{
    int dir_fd = journal->spool->journal_fd;
    int e = fb_fs_write_at(journal->fd, group->ptr, group->len, journal->offset);
    if (e == 0 && fdatasync(journal->fd) != 0) {
        e = errno;
    }
    if (e == 0 && journal->is_new && fsync(dir_fd) != 0) {
        e = errno;
    }
    if (e != 0) {
        /* Never sync this file again: the kernel may have dropped its pages.  What of the group
         * survives in it tells the truth all the same: those mails were sent. */
        if (ftruncate(journal->fd, (off_t)journal->offset) != 0) {
            errno = 0;
        }
        fb_spool_log_close(dir_fd, journal->file, &journal->fd);
        return e;
    }
    journal->is_new = false;
    journal->offset += group->len;
    if (journal->offset >= ROTATE) {
        fb_spool_log_close(dir_fd, journal->file, &journal->fd);
    }
    return 0;
}

static enum fb_status commit_group(struct fb_journal *journal, const struct fb_buf *group,
                                   struct fb_error *err)
{
    if (journal->spool->remote != NULL) {
        return fb_journal_remote_commit(journal, group, err);
    }
    if (journal->fd < 0) {
        enum fb_status status = fb_spool_log_new(journal->spool->journal_fd, journal->writer,
                                                 ".jnl", ROTATE, journal->file, &journal->fd, err);
        if (status != FB_OK) {
            return status;
        }
        journal->is_new = true;
        journal->offset = 0;
    }
    int e = write_group(journal, group);
    return e == 0 ? FB_OK : fb_error_errno(err, fb_fs_errno_status(e), e, "write the sent journal");
}

/* Commits all that waits.  The lock is held at the call and at the return, not between. */
static void lead(struct fb_journal *journal)
{
    struct fb_buf group;
    struct fb_error err = {0};
    enum fb_status status = FB_OK;
    struct waiter **end = &journal->queue;
    fb_buf_init(&group, FB_JOURNAL_MAX_GROUP);
    while (*end != NULL && status == FB_OK) {
        status = fb_buf_add(&group, (*end)->entries.ptr, (*end)->entries.len);
        if (status == FB_OK) {
            end = &(*end)->next;
        }
    }
    /* What does not fit waits for the next leader; one alone always fits, unless memory is out. */
    bool is_any = end != &journal->queue;
    if (!is_any) {
        end = &(*end)->next;
        (void)fb_error_set(&err, status, "no memory for a group of the sent journal");
    }
    struct waiter *first = journal->queue;
    struct waiter *rest = *end;
    *end = NULL;
    journal->queue = rest;
    if (rest == NULL) {
        journal->queue_end = &journal->queue;
    }
    if (is_any) {
        take_forgotten(journal, &group);
        fb_spool_unlock(&journal->lock);
        status = commit_group(journal, &group, &err);
        fb_spool_lock(&journal->lock);
    }
    for (struct waiter *w = first; w != NULL;) {
        struct waiter *next = w->next; /* w is gone as soon as its thread sees is_done */
        w->status = status;
        w->err = err;
        w->is_done = true;
        w = next;
    }
    fb_buf_deinit(&group);
}

enum fb_status fb_journal_commit(struct fb_journal *journal, const char *msg_id, uint32_t branch,
                                 enum fb_sent_kind kind, const uint32_t *recipients, size_t count,
                                 struct fb_error *err)
{
    struct waiter w = {0};
    enum fb_status status = FB_OK;
    if (!fb_id_is_valid(msg_id) || (unsigned)kind < 1 || (unsigned)kind > FB_JOURNAL_KINDS ||
        count > FB_MAX_RECIPIENTS) {
        return fb_error_set(err, FB_INVALID, "journal: not an id or kind");
    }
    if (count == 0) {
        return FB_OK;
    }
    fb_buf_init(&w.entries, count * FB_JOURNAL_ENTRY);
    for (size_t i = 0; i < count && status == FB_OK; i++) {
        struct fb_journal_entry entry = {
            .kind = (unsigned)kind, .branch = branch, .recipient = recipients[i]};
        uint8_t bytes[FB_JOURNAL_ENTRY];
        if (recipients[i] >= FB_MAX_RECIPIENTS) {
            status = fb_error_set(err, FB_INVALID, "journal: no recipient %u", recipients[i]);
            break;
        }
        memcpy(entry.msg_id, msg_id, sizeof entry.msg_id);
        encode(&entry, bytes);
        status = fb_buf_add(&w.entries, bytes, sizeof bytes);
        if (status != FB_OK) {
            status = fb_error_set(err, status, "no memory for the sent journal");
        }
    }
    if (status == FB_OK) {
        fb_spool_lock(&journal->lock);
        *journal->queue_end = &w;
        journal->queue_end = &w.next;
        while (!w.is_done) {
            if (journal->is_led) {
                /* No time-out: w is in the leader's hands, and the leader always wakes us. */
                FB_ASSERT(pthread_cond_wait(&journal->done, &journal->lock) == 0);
            } else {
                journal->is_led = true;
                lead(journal);
                journal->is_led = false;
                FB_ASSERT(pthread_cond_broadcast(&journal->done) == 0);
            }
        }
        fb_spool_unlock(&journal->lock);
        status = w.status;
        if (status != FB_OK) {
            (void)fb_error_set(err, status, "%s", w.err.text);
        }
    }
    fb_buf_deinit(&w.entries);
    return status;
}

void fb_journal_forget(struct fb_journal *journal, const char *msg_id)
{
    if (!fb_id_is_valid(msg_id)) {
        return;
    }
    struct forgotten *f = fb_xcalloc(1, sizeof *f);
    memcpy(f->msg_id, msg_id, sizeof f->msg_id);
    f->due_ms = fb_mono_ms() + FORGET_MS;
    fb_spool_lock(&journal->lock);
    *journal->forgotten_end = f;
    journal->forgotten_end = &f->next;
    fb_spool_unlock(&journal->lock);
}

void fb_journal_writer_name(const char *prefix, char name_r[FB_JOURNAL_WRITER])
{
    char host[200] = "host";
    (void)gethostname(host, sizeof host - 1);
    for (char *p = host; *p != '\0'; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-')) {
            *p = '-';
        }
    }
    (void)snprintf(name_r, FB_JOURNAL_WRITER, "%.20s%.40s-%d", prefix, host, (int)getpid());
}

enum fb_status fb_journal_open(struct fb_spool *spool, const char *writer_name,
                               struct fb_journal **journal_r, struct fb_error *err)
{
    if (!fb_spool_writer_name_is_valid(writer_name)) {
        return fb_error_set(err, FB_CONFIG,
                            "the writer's name must be 1 to 48 of A-Z a-z 0-9 . _ -");
    }
    struct fb_journal *journal = fb_xcalloc(1, sizeof *journal);
    journal->spool = spool;
    journal->fd = -1;
    journal->queue_end = &journal->queue;
    journal->forgotten_end = &journal->forgotten;
    journal->index = fb_journal_index_new();
    memcpy(journal->writer, writer_name, strlen(writer_name) + 1);
    FB_ASSERT(pthread_mutex_init(&journal->lock, NULL) == 0);
    FB_ASSERT(pthread_mutex_init(&journal->index_lock, NULL) == 0);
    FB_ASSERT(pthread_cond_init(&journal->done, NULL) == 0);
    enum fb_status status = spool->remote != NULL
                                ? fb_journal_remote_read(journal, NULL, 0, fb_mono_ms(), err)
                                : read_tails(journal, err);
    if (status != FB_OK) {
        (void)fb_error_prefix(err, "open the sent journal");
        fb_journal_close(&journal);
        return status;
    }
    *journal_r = journal;
    return FB_OK;
}

void fb_journal_close(struct fb_journal **journal_ptr)
{
    struct fb_journal *journal = *journal_ptr;
    if (journal == NULL) {
        return;
    }
    fb_spool_log_close(journal->spool->journal_fd, journal->file, &journal->fd);
    while (journal->forgotten != NULL) {
        struct forgotten *f = journal->forgotten;
        journal->forgotten = f->next;
        free(f);
    }
    fb_journal_index_free(&journal->index);
    free(journal->tails);
    FB_ASSERT(pthread_cond_destroy(&journal->done) == 0);
    FB_ASSERT(pthread_mutex_destroy(&journal->index_lock) == 0);
    FB_ASSERT(pthread_mutex_destroy(&journal->lock) == 0);
    free(journal);
    *journal_ptr = NULL;
}

/* ---- tidying ---- */

/* Until one of a live message is found (ctx is a struct fb_journal_live). */
static bool look_for_live(void *ctx, const struct fb_journal_entry *entry)
{
    struct fb_journal_live *search = ctx;
    search->is_found = fb_spool_ids_has(search->live, entry->msg_id);
    return !search->is_found;
}

static enum fb_status tidy_file(const struct fb_spool *spool, const char *name,
                                const struct fb_spool_ids *live, int64_t keep_ms, bool *is_synced,
                                struct fb_error *err)
{
    struct fb_journal_live search = {.live = live};
    struct stat st;
    uint64_t offset = 0;
    int fd = -1;
    enum fb_status status = fb_fs_file_open(spool->journal_fd, name, O_RDWR, &fd, NULL, err);
    if (status != FB_OK) {
        return status == FB_NOT_FOUND || status == FB_CORRUPT ? FB_OK : status;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
        fb_now_ms() - (int64_t)st.st_mtim.tv_sec * 1000 > keep_ms) {
        status = read_entries(fd, &offset, look_for_live, &search, err);
        if (status == FB_OK && !search.is_found) {
            /* The erasures that the scan saw must be on disk before the proof of sending goes. */
            if (!*is_synced && syncfs(spool->root_fd) != 0) {
                status = fb_error_errno(err, FB_IO, errno, "sync");
            } else if (unlinkat(spool->journal_fd, name, 0) != 0 && errno != ENOENT) {
                status = fb_error_errno(err, FB_IO, errno, "remove %s", name);
            }
            *is_synced = true;
        }
    }
    (void)close(fd);
    return status;
}

enum fb_status fb_journal_tidy(struct fb_spool *spool, const struct fb_spool_ids *live,
                               int64_t keep_ms, struct fb_error *err)
{
    struct fb_fs_names names = {0};
    bool is_synced = false;
    enum fb_status status = fb_fs_names_read(spool->journal_fd, ".jnl", &names, err);
    for (size_t i = 0; i < names.count && status == FB_OK; i++) {
        status = tidy_file(spool, names.names[i], live, keep_ms, &is_synced, err);
    }
    fb_fs_names_free(&names);
    return status;
}
