/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/alarm_mail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "services/rewrite/smtp_client.h"

#define LOOK_MS          2000
#define STEP_MS          100
#define REDIS_TIMEOUT_MS 5000
#define SMTP_WAIT_MS     20000 /* a drain waits for it */

struct alarm_mail {
    const struct fb_config *config;
    struct fb_redis *redis;
    struct smtp_client *client;
    pthread_t thread;
    atomic_bool is_stopping;
};

static enum fb_status hand_over(struct alarm_mail *a, struct content *content, struct fb_error *err)
{
    bool is_unknown = false;
    struct smtp_recipient to = {.address = a->config->rewrite.postmaster, .notify = "NEVER"};
    struct smtp_mail mail = {.reverse_path = "",
                             .recipients = &to,
                             .recipient_count = 1,
                             .content = {.ctx = content,
                                         .read = content_read,
                                         .size = content_size(content),
                                         .has_8bit = content->has_8bit}};
    content_rewind(content);
    enum fb_status s = smtp_client_send(a->client, &mail, &is_unknown, err);
    if (s == FB_OK && to.code / 100 != 2) {
        s = fb_error_set(err, FB_AGAIN, "%d %s", to.code, to.enhanced);
    }
    return is_unknown ? FB_OK : s; /* it may have arrived: not once more */
}

static void tell(struct alarm_mail *a, enum fb_alarm kind, const struct fb_alarm_entry *list,
                 size_t count)
{
    struct fb_error err = {0};
    struct content content;
    int64_t news_ms = 0;
    bool may = false;
    for (size_t i = 0; i < count; i++) {
        news_ms = list[i].kind == kind && list[i].news_ms > news_ms ? list[i].news_ms : news_ms;
    }
    if (news_ms == 0 || fb_alarm_tell(a->redis, kind, news_ms, &may, &err) != FB_OK || !may) {
        return;
    }
    content_init(&content, NULL);
    enum fb_status s = compose_alarm(kind, list, count, a->config->rewrite.postmaster,
                                     a->config->rewrite.key, &content, &err);
    if (s == FB_OK) {
        s = hand_over(a, &content, &err);
    }
    content_deinit(&content);
    if (s != FB_OK) {
        fb_alarm_untell(a->redis, kind); /* it is on still when the relay is back */
        fb_log(FB_DEBUG, "the postmaster cannot be told of an alarm (%s): %s", fb_alarm_name(kind),
               err.text);
    }
}

static void look(struct alarm_mail *a)
{
    struct fb_error err = {0};
    struct fb_alarm_entry *list = NULL;
    size_t count = 0;
    if (fb_alarm_list(a->redis, &list, &count, &err) != FB_OK) {
        return; /* Redis is away: the workers say so */
    }
    for (int kind = 0; kind < FB_ALARM_COUNT && !atomic_load(&a->is_stopping); kind++) {
        tell(a, (enum fb_alarm)kind, list, count);
    }
    free(list);
}

static void *run(void *arg)
{
    struct alarm_mail *a = arg;
    int64_t next_ms = fb_mono_ms() + LOOK_MS;
    while (!atomic_load(&a->is_stopping)) {
        if (fb_mono_ms() >= next_ms) {
            look(a);
            next_ms = fb_mono_ms() + LOOK_MS;
        }
        (void)nanosleep(&(struct timespec){0, STEP_MS * 1000000L}, NULL);
    }
    return NULL;
}

enum fb_status alarm_mail_new(const struct fb_config *config, const char *helo,
                              struct alarm_mail **mail_r, struct fb_error *err)
{
    *mail_r = NULL;
    if (strcmp(config->rewrite.alarm_mail, "on") != 0) {
        return FB_OK;
    }
    struct alarm_mail *a = fb_xcalloc(1, sizeof *a);
    a->config = config;
    enum fb_status s = fb_redis_new(config, REDIS_TIMEOUT_MS, &a->redis, err);
    if (s == FB_OK) {
        s = smtp_client_new(config->rewrite.relay, helo, &a->client, err);
    }
    if (s == FB_OK) {
        smtp_client_cap_waits(a->client, SMTP_WAIT_MS);
        int e = pthread_create(&a->thread, NULL, run, a);
        s = e == 0 ? FB_OK : fb_error_errno(err, FB_AGAIN, e, "start the thread for alarms");
    }
    if (s != FB_OK) {
        smtp_client_free(&a->client);
        fb_redis_free(&a->redis);
        free(a);
        return s;
    }
    *mail_r = a;
    return FB_OK;
}

void alarm_mail_free(struct alarm_mail **mail)
{
    struct alarm_mail *a = *mail;
    if (a == NULL) {
        return;
    }
    atomic_store(&a->is_stopping, true);
    (void)pthread_join(a->thread, NULL);
    smtp_client_free(&a->client);
    fb_redis_free(&a->redis);
    free(a);
    *mail = NULL;
}
