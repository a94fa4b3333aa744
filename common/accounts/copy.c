/* SPDX-License-Identifier: Apache-2.0
 *
 * The copy of the accounts in a file: {"fumibako": "accounts", "accounts": [...]}, mode 0600, replaced as a whole.  It
 * brings back what Redis lost (all of it, or the last writes at a fail-over).  Each console keeps its own; of two
 * versions of an account the one that was changed later stays, whichever side has it, so that the order in which
 * consoles come back does not matter. */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/accounts/store.h"
#include "common/fs.h"

#define MAX_FILE (64U << 20)
#define KEEP_MS  INT64_C(34560000000) /* marks of removed accounts: 400 days */
#define WHOLE_MS 60000                /* all are compared so often, whatever the counter says */

struct fb_accounts_copy {
    char *path;
    struct fb_accounts kept; /* what the file has */
    char seen[24];           /* counter of the changes at the last look */
    int64_t whole_ms;
};

/* KEYS users handles changes  ARGV name changed text handle: {1 = put back} */
static struct fb_script restore = {
    "account restore",
    "local old = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "local was = old and cjson.decode(old) or nil\n"
    "if was and was.changed >= tonumber(ARGV[2]) then return {0} end\n"
    "if was then redis.call('HDEL', KEYS[2], was.handle) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
    "if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], ARGV[4], ARGV[1]) end\n"
    "redis.call('INCR', KEYS[3])\n"
    "return {1}\n",
    ""};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    fb_redis_script_prepare(&restore);
}

/* ---- the file ---- */

static enum fb_status take_file(struct fb_accounts_copy *c, const json_t *root,
                                struct fb_error *err)
{
    const json_t *list = json_object_get(root, "accounts");
    size_t count = json_array_size(list);
    const char *kind = json_string_value(json_object_get(root, "fumibako"));
    if (kind == NULL || strcmp(kind, "accounts") != 0 || !json_is_array(list) ||
        count > 2 * FB_ACCOUNTS_MAX) {
        return fb_error_set(err, FB_CONFIG, "console.users_file: %s is no file of accounts",
                            c->path);
    }
    enum fb_status s = FB_OK;
    c->kept.items = fb_xcalloc(count + 1, sizeof(struct fb_account *));
    for (size_t i = 0; i < count && s == FB_OK; i++) {
        char *text = json_dumps(json_array_get(list, i), JSON_COMPACT | JSON_ENCODE_ANY);
        s = fb_account_decode(fb_slice_str(text), &c->kept.items[i], err);
        if (s == FB_OK) {
            c->kept.count++;
        } else {
            (void)fb_error_set(err, FB_CONFIG, "console.users_file: %s: account %zu cannot be read",
                               c->path, i + 1);
            s = FB_CONFIG;
        }
        free(text);
    }
    return s;
}

static enum fb_status load(struct fb_accounts_copy *c, struct fb_error *err)
{
    struct fb_buf text;
    fb_buf_init(&text, MAX_FILE);
    enum fb_status s = fb_read_secret(c->path, MAX_FILE, &text, err);
    if (s == FB_NOT_FOUND || (s == FB_OK && text.len == 0)) {
        fb_buf_deinit(&text);
        return FB_OK; /* the first start */
    }
    if (s == FB_OK) {
        json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
        s = take_file(c, root, err);
        json_decref(root);
    }
    if (text.ptr != NULL) {
        fb_wipe(text.ptr, text.len);
    }
    fb_buf_deinit(&text);
    return s;
}

static enum fb_status make_text(const struct fb_accounts *list, struct fb_buf *out)
{
    enum fb_status s = fb_buf_add_str(out, "{\"fumibako\": \"accounts\", \"accounts\": [");
    for (size_t i = 0; i < list->count && s == FB_OK; i++) {
        s = fb_buf_add_str(out, i == 0 ? "\n" : ",\n");
        if (s == FB_OK) {
            s = fb_account_encode(list->items[i], out);
        }
    }
    return s == FB_OK ? fb_buf_add_str(out, "\n]}\n") : s;
}

static enum fb_status write_in(int dir, const char *name, struct fb_slice text,
                               struct fb_error *err)
{
    char temp[FB_FS_NAME_SIZE];
    int fd = -1;
    enum fb_status s = fb_fs_temp_new(dir, true, temp, &fd, err);
    if (s != FB_OK) {
        return s;
    }
    int errnum = fb_fs_write_at(fd, text.ptr, text.len, 0);
    if (errnum == 0 && (fsync(fd) != 0 || renameat(dir, temp, dir, name) != 0 || fsync(dir) != 0)) {
        errnum = errno;
    }
    (void)close(fd);
    if (errnum != 0) {
        (void)unlinkat(dir, temp, 0);
        return fb_error_errno(err, fb_fs_errno_status(errnum), errnum, "write %s", name);
    }
    return FB_OK;
}

static enum fb_status save(const struct fb_accounts_copy *c, const struct fb_accounts *list,
                           struct fb_error *err)
{
    struct fb_buf text;
    char *folder = fb_xstrdup(c->path);
    char *slash = strrchr(folder, '/');
    const char *name = slash != NULL ? slash + 1 : c->path;
    if (slash != NULL) {
        *slash = '\0';
    }
    const char *where = slash == NULL ? "." : folder[0] == '\0' ? "/" : folder;
    fb_buf_init(&text, MAX_FILE);
    enum fb_status s = make_text(list, &text);
    int dir = s == FB_OK ? open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (s == FB_OK && dir < 0) {
        s = fb_error_errno(err, FB_IO, errno, "open %s", where);
    }
    if (dir >= 0) {
        s = write_in(dir, name, fb_slice_buf(&text), err);
        (void)close(dir);
    }
    if (text.ptr != NULL) {
        fb_wipe(text.ptr, text.len);
    }
    fb_buf_deinit(&text);
    free(folder);
    return s == FB_OK ? s : fb_error_prefix(err, "console.users_file %s", c->path);
}

enum fb_status fb_accounts_copy_new(const char *path, struct fb_accounts_copy **copy_r,
                                    struct fb_error *err)
{
    struct fb_accounts_copy *c = fb_xcalloc(1, sizeof *c);
    enum fb_status s = FB_OK;
    (void)pthread_once(&once, prepare);
    if (path != NULL) {
        c->path = fb_xstrdup(path);
        s = load(c, err);
    }
    if (s != FB_OK) {
        fb_accounts_copy_free(&c);
        return s;
    }
    *copy_r = c;
    return FB_OK;
}

void fb_accounts_copy_free(struct fb_accounts_copy **copy)
{
    if (*copy != NULL) {
        fb_accounts_deinit(&(*copy)->kept);
        free((*copy)->path);
        free(*copy);
        *copy = NULL;
    }
}

/* ---- the two sides ---- */

static const struct fb_account *find(const struct fb_accounts *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i]->name, name) == 0) {
            return list->items[i];
        }
    }
    return NULL;
}

static enum fb_status put_back(struct fb_redis *r, const struct fb_account *a, struct fb_error *err)
{
    static const char *const keys[] = {ACCOUNTS_USERS, ACCOUNTS_HANDLES, ACCOUNTS_CHANGES};
    char changed[24];
    redisReply *reply = NULL;
    struct fb_buf text;
    fb_buf_init(&text, ACCOUNTS_TEXT);
    (void)snprintf(changed, sizeof changed, "%lld", (long long)a->changed_ms);
    enum fb_status s = fb_account_encode(a, &text);
    if (s == FB_OK) {
        const char *const args[] = {a->name, changed, fb_buf_str(&text),
                                    a->is_removed ? "" : a->handle};
        s = fb_accounts_script(r, &restore, 3, keys, 4, args, 1, &reply, err);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    fb_buf_deinit(&text);
    return s;
}

static bool is_same(const struct fb_accounts *a, const struct fb_accounts *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        const struct fb_account *other = find(b, a->items[i]->name);
        same = other != NULL && other->changed_ms == a->items[i]->changed_ms;
    }
    return same;
}

/* Marks that are old enough go, on both sides. */
static enum fb_status forget(struct fb_redis *r, struct fb_accounts *list, int64_t now_ms,
                             struct fb_error *err)
{
    enum fb_status s = FB_OK;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct fb_account *a = list->items[i];
        if (s == FB_OK && a->is_removed && a->changed_ms < now_ms - KEEP_MS) {
            redisReply *reply = NULL;
            s = fb_redis_call(r, &reply, err, "HDEL", ACCOUNTS_USERS, a->name, NULL);
            if (reply != NULL) {
                freeReplyObject(reply);
            }
            fb_account_free(&a);
        } else {
            list->items[kept++] = a;
        }
    }
    list->count = kept;
    return s;
}

static enum fb_status compare(struct fb_accounts_copy *c, struct fb_redis *r, int64_t now_ms,
                              struct fb_error *err)
{
    struct fb_accounts there;
    enum fb_status s = fb_accounts_list(r, true, &there, err);
    if (s != FB_OK) {
        return s;
    }
    bool is_behind = false;
    for (size_t i = 0; i < c->kept.count && s == FB_OK; i++) {
        const struct fb_account *mine = c->kept.items[i];
        const struct fb_account *theirs = find(&there, mine->name);
        bool is_gone = mine->is_removed && mine->changed_ms < now_ms - KEEP_MS;
        if (!is_gone && (theirs == NULL || theirs->changed_ms < mine->changed_ms)) {
            s = put_back(r, mine, err);
            is_behind = true;
        }
    }
    if (s == FB_OK && is_behind) {
        fb_accounts_deinit(&there);
        s = fb_accounts_list(r, true, &there, err);
    }
    if (s == FB_OK) {
        s = forget(r, &there, now_ms, err);
    }
    if (s == FB_OK && !is_same(&there, &c->kept)) {
        s = save(c, &there, err);
    }
    if (s == FB_OK) { /* what the file has now */
        struct fb_accounts old = c->kept;
        c->kept = there;
        there = old;
    }
    fb_accounts_deinit(&there);
    return s;
}

enum fb_status fb_accounts_copy_sync(struct fb_accounts_copy *copy, struct fb_redis *r,
                                     int64_t now_ms, struct fb_error *err)
{
    char seen[24] = "none";
    redisReply *reply = NULL;
    if (copy->path == NULL) {
        return FB_OK;
    }
    enum fb_status s = fb_redis_call(r, &reply, err, "GET", ACCOUNTS_CHANGES, NULL);
    if (s != FB_OK) {
        return s;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        (void)snprintf(seen, sizeof seen, "%s", reply->str);
    }
    freeReplyObject(reply);
    if (strcmp(seen, copy->seen) == 0 && now_ms - copy->whole_ms < WHOLE_MS) {
        return FB_OK;
    }
    s = compare(copy, r, now_ms, err);
    if (s == FB_OK) {
        memcpy(copy->seen, seen, sizeof seen);
        copy->whole_ms = now_ms;
    }
    return s;
}
