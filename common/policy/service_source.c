/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the policy's source: a thread looks once a second whether Redis (by version) or the file (by its inode, size
 * and time) has changed, and takes over what parses.  The last good document is kept in policy.cache, so that a wiped
 * Redis or a broken file changes nothing; without any policy the services hold mail.
 */
#include "common/policy/service_source.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/alarm.h"
#include "common/log.h"
#include "common/metrics.h"

#define POLL_S      1
#define SETTLE_MS   2000 /* a file that changed so lately may be only half written */
#define REDIS_WAIT  3000
#define UNKNOWN_MS  15000 /* without any policy for so long: an alarm */
#define CACHE_NAME  "last-good.yaml"
#define FILE_PREFIX "file:"

struct fb_policy_follow {
    const struct fb_config *config;
    struct fb_redis *redis; /* NULL: the source is a file */
    pthread_t thread;
    pthread_mutex_t lock; /* guards policy and is_stopping */
    pthread_cond_t wake;
    struct fb_policy *policy;
    bool is_stopping;
    /* only the thread (before it starts: _new) */
    char seen_version[65]; /* what the source said last, good or bad */
    struct stat seen_stat;
    bool has_complained;
    int64_t started_ms; /* monotonic */
};

/* ---- the last good document on disk ---- */

static enum fb_status write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR) {
            return FB_IO;
        }
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return FB_OK;
}

static bool make_durable(int fd, const char *temporary, const char *path, const char *folder)
{
    bool is_written = fsync(fd) == 0;
    is_written = close(fd) == 0 && is_written && rename(temporary, path) == 0;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        is_written = fsync(dir) == 0 && is_written;
        (void)close(dir);
    }
    return is_written;
}

static void keep_on_disk(const struct fb_policy_follow *f, const struct fb_policy *policy)
{
    const char *folder = f->config->policy.cache;
    char path[1024], temporary[1100];
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        fb_log(FB_WARN, "the last good policy cannot be kept in policy.cache: %s", strerror(errno));
        return;
    }
    int n = snprintf(path, sizeof path, "%s/" CACHE_NAME, folder);
    if (n < 0 || (size_t)n >= sizeof path) {
        fb_log(FB_WARN, "the last good policy cannot be kept: policy.cache is too long a path");
        return;
    }
    /* Several services, each perhaps process 1 of its container, share the folder. */
    (void)snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        fb_log(FB_WARN, "the last good policy cannot be kept in policy.cache: %s", strerror(errno));
        return;
    }
    if (write_all(fd, policy->document, policy->document_len) != FB_OK) {
        (void)close(fd);
        (void)unlink(temporary);
        fb_log(FB_WARN, "the last good policy cannot be kept in policy.cache: %s", strerror(errno));
    } else if (!make_durable(fd, temporary, path, folder)) {
        fb_log(FB_WARN, "the last good policy may not survive a crash of this machine: %s",
               strerror(errno));
    }
}

/* ---- taking a document over ---- */

static void take_over(struct fb_policy_follow *f, struct fb_policy *policy, const char *from,
                      bool is_kept)
{
    struct fb_policy *old = NULL;
    bool is_new = f->policy == NULL || strcmp(f->policy->version, policy->version) != 0;
    if (is_new && is_kept) {
        keep_on_disk(f, policy);
    }
    if (is_new) {
        fb_log(FB_INFO, "policy %.12s of %s is in force", policy->version, from);
    }
    (void)pthread_mutex_lock(&f->lock);
    old = f->policy;
    f->policy = policy;
    (void)pthread_mutex_unlock(&f->lock);
    fb_policy_unref(&old);
    fb_metric_set("fumibako_policy_known", NULL, 1);
    fb_alarm_clear(FB_ALARM_POLICY, "");
    f->has_complained = false;
}

static void take_document(struct fb_policy_follow *f, struct fb_slice document, const char *from,
                          bool is_kept)
{
    struct fb_policy *policy = NULL;
    struct fb_policy_findings findings;
    enum fb_status s = fb_policy_parse(document, &policy, &findings);
    if (s == FB_OK) {
        take_over(f, policy, from, is_kept);
    } else {
        const struct fb_policy_finding *first = NULL;
        for (size_t i = 0; i < findings.count && first == NULL; i++) {
            first = findings.items[i].is_error ? &findings.items[i] : NULL;
        }
        fb_log(FB_ERROR, "the policy of %s is not taken, %s: line %d: %s", from,
               f->policy != NULL ? "the last good one stays in force" : "mail is held",
               first != NULL ? first->line : 0, first != NULL ? first->text : fb_status_name(s));
    }
    fb_policy_findings_deinit(&findings);
}

static void complain(struct fb_policy_follow *f, const char *what)
{
    if (!f->has_complained) {
        fb_log(FB_WARN, "%s; %s", what,
               f->policy != NULL ? "the last good policy stays in force" : "mail is held");
        f->has_complained = true;
    }
}

/* ---- the two sources ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim) == 0;
}

/* Half a file may be a good document with half the rules.  A time in the future says nothing. */
static bool is_settled(const struct stat *st)
{
    int64_t age_ms =
        fb_now_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
    return age_ms < 0 || age_ms >= SETTLE_MS;
}

static void look_at_file(struct fb_policy_follow *f)
{
    const char *path = f->config->policy.source + strlen(FILE_PREFIX);
    struct stat st, after;
    struct fb_buf document = {0};
    struct fb_error err = {0};
    if (stat(path, &st) != 0) {
        (void)fb_error_errno(&err, FB_NOT_FOUND, errno, "policy file %s", path);
        complain(f, err.text);
        return;
    }
    if (is_same(&st, &f->seen_stat)) {
        f->has_complained = false; /* the source is back: its next loss is told again */
        return;
    }
    if (f->policy != NULL && !is_settled(&st)) {
        return; /* the policy in force stays until the writer is done */
    }
    if (fb_read_file(path, FB_POLICY_MAX, &document, &err) != FB_OK) {
        complain(f, err.text);
        return;
    }
    if (stat(path, &after) == 0 && is_same(&st, &after)) { /* else it was written while we read */
        f->seen_stat = st;
        take_document(f, fb_slice_buf(&document), path, true);
    }
    fb_buf_deinit(&document);
}

static void look_at_document(struct fb_policy_follow *f)
{
    struct redisReply *reply = NULL;
    struct fb_error err = {0};
    if (fb_redis_call(f->redis, &reply, &err, "HMGET", FB_POLICY_KEY, "document", "version",
                      NULL) != FB_OK) {
        complain(f, err.text);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        (void)snprintf(f->seen_version, sizeof f->seen_version, "%.64s", reply->element[1]->str);
        take_document(f, fb_slice_of(reply->element[0]->str, reply->element[0]->len), "Redis",
                      true);
    }
    freeReplyObject(reply);
}

static void look_at_redis(struct fb_policy_follow *f)
{
    struct redisReply *reply = NULL;
    struct fb_error err = {0};
    if (fb_redis_call(f->redis, &reply, &err, "HGET", FB_POLICY_KEY, "version", NULL) != FB_OK) {
        complain(f, err.text);
        return;
    }
    bool is_there = reply->type == REDIS_REPLY_STRING;
    bool is_seen = is_there && strcmp(reply->str, f->seen_version) == 0;
    freeReplyObject(reply);
    if (!is_there) {
        complain(f, "Redis holds no policy; apply one with `fumibako policy apply FILE`");
    } else if (!is_seen) {
        look_at_document(f);
    } else {
        f->has_complained = false; /* the source is back: its next loss is told again */
    }
}

static void look(struct fb_policy_follow *f)
{
    if (f->redis != NULL) {
        look_at_redis(f);
    } else {
        look_at_file(f);
    }
}

static void look_at_cache(struct fb_policy_follow *f)
{
    char path[1024];
    struct fb_buf document = {0};
    struct fb_error err = {0};
    int n = snprintf(path, sizeof path, "%s/" CACHE_NAME, f->config->policy.cache);
    if (n > 0 && (size_t)n < sizeof path &&
        fb_read_file(path, FB_POLICY_MAX, &document, &err) == FB_OK) {
        take_document(f, fb_slice_buf(&document), "the cache", false);
        fb_buf_deinit(&document);
    }
}

/* ---- life ---- */

/* Not at once: what was just started may not have read it yet. */
static void tell_unknown(struct fb_policy_follow *f)
{
    if (f->policy == NULL && fb_mono_ms() - f->started_ms >= UNKNOWN_MS) {
        fb_alarm_raise(FB_ALARM_POLICY, "",
                       "no policy is known, mail waits: `fumibako policy apply FILE`, or look at "
                       "policy.source");
    }
}

static void *follow(void *ctx)
{
    struct fb_policy_follow *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    while (!f->is_stopping) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += POLL_S;
        (void)pthread_cond_timedwait(&f->wake, &f->lock, &until);
        if (!f->is_stopping) {
            (void)pthread_mutex_unlock(&f->lock);
            look(f);
            tell_unknown(f);
            (void)pthread_mutex_lock(&f->lock);
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

static bool start(struct fb_policy_follow *f)
{
    pthread_condattr_t attr;
    bool is_started = pthread_condattr_init(&attr) == 0 &&
                      pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                      pthread_cond_init(&f->wake, &attr) == 0 &&
                      pthread_mutex_init(&f->lock, NULL) == 0;
    FB_ASSERT(is_started); /* these cannot fail on Linux with such attributes */
    (void)pthread_condattr_destroy(&attr);
    look(f);
    if (f->policy == NULL) {
        look_at_cache(f);
    }
    return pthread_create(&f->thread, NULL, follow, f) == 0;
}

enum fb_status fb_policy_follow_new(const struct fb_config *config,
                                    struct fb_policy_follow **follow_r, struct fb_error *err)
{
    struct fb_policy_follow *f = fb_xcalloc(1, sizeof *f);
    f->config = config;
    f->started_ms = fb_mono_ms();
    fb_metric_set("fumibako_policy_known", NULL, 0);
    if (strncmp(config->policy.source, FILE_PREFIX, strlen(FILE_PREFIX)) != 0) {
        enum fb_status s = fb_redis_new(config, REDIS_WAIT, &f->redis, err);
        if (s != FB_OK) {
            free(f);
            return s;
        }
    }
    if (!start(f)) {
        fb_policy_unref(&f->policy);
        fb_redis_free(&f->redis);
        free(f);
        return fb_error_set(err, FB_AGAIN, "a thread for the policy cannot be started");
    }
    *follow_r = f;
    return FB_OK;
}

void fb_policy_follow_free(struct fb_policy_follow **follow)
{
    struct fb_policy_follow *f = *follow;
    if (f == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    f->is_stopping = true;
    (void)pthread_cond_signal(&f->wake);
    (void)pthread_mutex_unlock(&f->lock);
    (void)pthread_join(f->thread, NULL);
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->lock);
    fb_policy_unref(&f->policy);
    fb_redis_free(&f->redis);
    free(f);
    *follow = NULL;
}

struct fb_policy *fb_policy_follow_get(struct fb_policy_follow *follow)
{
    (void)pthread_mutex_lock(&follow->lock);
    struct fb_policy *policy = follow->policy != NULL ? fb_policy_ref(follow->policy) : NULL;
    (void)pthread_mutex_unlock(&follow->lock);
    return policy;
}
