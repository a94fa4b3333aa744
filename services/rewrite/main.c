/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako-rewrite: composes notices, hands mail back to the MTA, remembers what was sent. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/confine.h"
#include "common/service.h"
#include "services/rewrite/alarm_mail.h"
#include "services/rewrite/handle.h"
#include "services/rewrite/preview.h"
#include "services/rewrite/smtp_client.h"

#define METRICS_PORT 9104

static enum fb_status check(const struct fb_config *config, struct fb_error *err)
{
    if (config->rewrite.key == NULL) {
        return fb_error_set(
            err, FB_CONFIG,
            "rewrite.key: missing; give rewrite.key_file with at least 32 random characters");
    }
    struct smtp_client *client = NULL; /* connects to nothing yet */
    enum fb_status s = smtp_client_new(config->rewrite.relay, "check", &client, err);
    smtp_client_free(&client);
    return s;
}

static enum fb_status init(const struct fb_config *config, void **ctx_r, struct fb_error *err)
{
    struct rewrite_service *s = fb_xcalloc(1, sizeof *s);
    char name[FB_JOURNAL_WRITER];
    s->config = config;
    fb_journal_writer_name("", name);
    if (config->rewrite.helo != NULL) {
        (void)snprintf(s->helo, sizeof s->helo, "%s", config->rewrite.helo);
    } else if (gethostname(s->helo, sizeof s->helo - 1) != 0) {
        (void)snprintf(s->helo, sizeof s->helo, "localhost");
    }
    enum fb_status st = fb_spool_open(config->spool.url, config->spool.key_file, &s->spool, err);
    if (st == FB_OK) {
        st = fb_journal_open(s->spool, name, &s->journal, err);
    }
    if (st == FB_OK) {
        st = fb_policy_follow_new(config, &s->policy, err);
    }
    if (st == FB_OK) {
        st = linger_new(config, s->spool, s->journal, &s->linger, err);
    }
    if (st != FB_OK) {
        fb_policy_follow_free(&s->policy);
        fb_journal_close(&s->journal);
        fb_spool_close(&s->spool);
        free(s);
        return st;
    }
    *ctx_r = s;
    return FB_OK;
}

static enum fb_status run(void *ctx, struct fb_error *err)
{
    struct rewrite_service *s = ctx;
    const struct fb_worker_config worker = {
        .stage = FB_STAGE_REWRITE,
        .threads = (int)s->config->rewrite.concurrency,
        .heartbeat_ms = 10000,
        .max_deliveries = 3,
        .ctx = s,
        .thread_init = rewrite_thread_init,
        .thread_deinit = rewrite_thread_deinit,
        .handle = rewrite_handle,
        .before_bury = rewrite_before_bury,
        .message_done = rewrite_message_done,
    };
    struct alarm_mail *alarms = NULL;
    enum fb_status st = alarm_mail_new(s->config, s->helo, &alarms, err);
    if (st == FB_OK) {
        st = fb_worker_run(s->config, &worker, err);
    }
    alarm_mail_free(&alarms);
    return st;
}

static void deinit(void *ctx)
{
    struct rewrite_service *s = ctx;
    linger_free(&s->linger);
    fb_policy_follow_free(&s->policy);
    fb_journal_close(&s->journal);
    fb_spool_close(&s->spool);
    free(s);
}

static const struct fb_counters counters[] = {
    {"fumibako_relayed_total", {{"code", "2xx|4xx|5xx"}}},
    {"fumibako_letters_total",
     {{"letter", "receipt|held|recall|unopened|code|delayed"},
      {"outcome", "sent|not needed|refused|failed"}}},
    {NULL, {{NULL, NULL}}}};

int main(int argc, char **argv)
{
    if (preview_is_asked(argc, argv)) { /* the console's page of notice texts */
        return preview_main(argc, argv);
    }
    const struct fb_service service = {.name = "rewrite",
                                       .metrics_port = METRICS_PORT,
                                       .counters = counters,
                                       .uses = FB_USES_SPOOL | FB_USES_POLICY |
                                               FB_USES_NAMED_FILES | FB_USES_RELAY |
                                               FB_USES_SIGNING_KEY,
                                       .check = check,
                                       .init = init,
                                       .run = run,
                                       .deinit = deinit};
    return fb_service_main(&service, argc, argv);
}
