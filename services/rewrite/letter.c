/* SPDX-License-Identifier: Apache-2.0 */
#include "services/rewrite/letter.h"

#include <stdio.h>
#include <string.h>

#include "common/ledger/late.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/rewrite/compose.h"
#include "services/rewrite/delay.h"
#include "services/rewrite/letter_gather.h"
#include "services/rewrite/relay_watch.h"

void letter_count(const char *name, const char *outcome)
{
    char labels[80];
    (void)snprintf(labels, sizeof labels, "letter=\"%s\",outcome=\"%s\"", name, outcome);
    fb_metric_add("fumibako_letters_total", labels, 1);
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) {
            return false;
        }
    }
    return true;
}

enum fb_status letter_hand_over(const char *to, const char *name, struct smtp_client *client,
                                struct content *content, struct fb_error *err)
{
    bool is_unknown = false;
    struct smtp_recipient sender = {.address = to, .notify = "NEVER"};
    struct smtp_mail mail = {.reverse_path = "",
                             .is_smtputf8 = !is_ascii(to),
                             .recipients = &sender,
                             .recipient_count = 1,
                             .content = {.ctx = content,
                                         .read = content_read,
                                         .size = content_size(content),
                                         .has_8bit = content->has_8bit}};
    content_rewind(content);
    enum fb_status s = smtp_client_send(client, &mail, &is_unknown, err);
    relay_watch(s, err);
    if (is_unknown) {
        fb_log(FB_WARN,
               "the connection was lost between the end of a letter and the relay's reply: "
               "it may arrive twice");
    }
    if (s != FB_OK) {
        return s;
    }
    char label[32];
    (void)snprintf(label, sizeof label, "code=\"%dxx\"", sender.code / 100);
    fb_metric_add("fumibako_relayed_total", label, 1);
    if (sender.code / 100 == 4) {
        return fb_error_set(err, FB_AGAIN, "the relay puts the letter off: %d %s", sender.code,
                            sender.enhanced);
    }
    bool is_taken = sender.code / 100 == 2;
    letter_count(name, is_taken ? "sent" : "refused");
    if (!is_taken) { /* a report about it would be a loop */
        fb_log(FB_ERROR, "the relay refuses a letter to the %s (%s): %d %s",
               strcmp(name, fb_letter_name(FB_LETTER_CODE)) == 0 ? "reader" : "sender", name,
               sender.code, sender.enhanced);
    }
    return FB_OK;
}

static enum fb_status send_letter(struct letter *l, struct smtp_client *client,
                                  struct fb_error *err)
{
    struct content content;
    content_init(&content, NULL); /* nothing of the spooled mail is in it */
    enum fb_status s =
        compose_letter(&l->facts, l->job, l->service->config->rewrite.key, &content, err);
    if (s == FB_OK) {
        s = letter_hand_over(l->facts.sender, fb_letter_name(l->job->letter), client, &content,
                             err);
    }
    content_deinit(&content);
    return s;
}

/* The branch that the letter speaks of is not held (any more): it may be late. */
static enum fb_status send_delay(struct letter *l, struct smtp_client *client,
                                 struct fb_outcome *out, struct fb_error *err)
{
    struct delay d;
    enum fb_status s = delay_compose(l->service, l->redis, l->job, &d, err);
    if (s == FB_OK && !d.is_wanted) {
        letter_count(fb_letter_name(l->job->letter), "not needed");
    } else if (s == FB_OK && !fb_address_is_writable(d.envelope.reverse_path)) {
        s = fb_error_set(err, FB_INVALID, "the sender's address cannot be written to");
    } else if (s == FB_OK) {
        s = letter_hand_over(d.envelope.reverse_path, "delayed", client, &d.content, err);
    }
    if (s == FB_OK && d.is_wanted) {
        out->ops = fb_ops_new();
        fb_ledger_late_sent(l->redis, out->ops, l->job);
    }
    delay_release(&d);
    return s;
}

static enum fb_status work(struct letter *l, struct smtp_client *client, struct fb_outcome *out,
                           struct fb_error *err)
{
    bool is_wanted = false;
    enum fb_status s = letter_gather(l, &is_wanted, err);
    if (s != FB_OK) {
        return s;
    }
    if (l->is_early) { /* its final letter was decided on, and something changed: it is due again */
        out->ops = fb_ops_new();
        fb_ledger_recall_reopen(l->redis, out->ops, l->job);
    }
    if (!is_wanted && l->job->letter == FB_LETTER_HELD) {
        return send_delay(l, client, out, err);
    }
    if (!is_wanted) {
        letter_count(fb_letter_name(l->job->letter), "not needed");
        return FB_OK;
    }
    if (!fb_address_is_writable(l->facts.sender)) {
        return fb_error_set(err, FB_INVALID, "the sender's address cannot be written to");
    }
    s = send_letter(l, client, err);
    if (s == FB_OK && l->job->letter == FB_LETTER_RECALL) {
        const char *what = l->facts.is_final ? "final" : "interim";
        out->ops = out->ops != NULL ? out->ops : fb_ops_new();
        fb_ledger_recall_sent(l->redis, out->ops, l->job->msg_id, l->job->recall_id, what);
        if (l->is_news) {
            fb_ledger_recall_told(l->redis, out->ops, l->job->msg_id, l->job->recall_id, what);
        }
    }
    return s;
}

void letter_handle(struct rewrite_service *service, void *thread, struct fb_redis *redis,
                   const struct fb_claim *claim, struct fb_outcome *out)
{
    struct fb_error err = {0};
    struct fb_policy *policy = fb_policy_follow_get(service->policy);
    struct letter l = {.service = service, .redis = redis, .job = &claim->job, .policy = policy};
    enum fb_status s = policy != NULL
                           ? work(&l, thread, out, &err)
                           : fb_error_set(&err, FB_CONFIG,
                                          "no policy is known; apply one with `fumibako policy "
                                          "apply`");
    letter_release(&l);
    fb_policy_unref(&policy);
    if (s != FB_OK && fb_status_class(s) == FB_CLASS_RETRY) {
        out->kind = FB_OUTCOME_RETRY;
        out->reason = err;
        return;
    }
    out->kind = FB_OUTCOME_FINISH;
    if (s == FB_LOST) {
        out->kind = FB_OUTCOME_DROP;
    } else if (s != FB_OK) { /* a letter is never held: it would be one more mail to decide about */
        letter_count(fb_letter_name(claim->job.letter), "failed");
        fb_log(FB_ERROR, "a letter to the sender (%s) cannot be made and is given up: %s",
               fb_letter_name(claim->job.letter), err.text);
    }
}
