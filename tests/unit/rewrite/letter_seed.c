/* SPDX-License-Identifier: Apache-2.0
 *
 * Letters and what they speak of, for the tests of the rewrite service:
 *
 *   letter_seed REDIS letter KIND MSG BRANCH [RECALL]   adds the job of a letter
 *   letter_seed REDIS recall MSG [RECIPIENT...]         recalls; prints the recall's id
 *   letter_seed REDIS revoked MSG                       ends the revoke jobs of the message as revoke
 *                                                       does: every grant recalled
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ledger/ledger.h"

#define CONSUMER "seed"

static struct fb_error err;

static void must(enum fb_status s, const char *what)
{
    if (s != FB_OK) {
        (void)fprintf(stderr, "letter_seed: %s: %s (%s)\n", what, err.text, fb_status_name(s));
        exit(1);
    }
}

static void add_letter(struct fb_redis *redis, char **args, int count)
{
    struct fb_job *about = fb_xcalloc(1, sizeof *about);
    struct fb_job *job = fb_xcalloc(1, sizeof *job);
    enum fb_letter letter = FB_LETTER_NONE;
    for (int i = FB_LETTER_RECEIPT; i <= FB_LETTER_UNOPENED; i++) {
        letter =
            strcmp(args[0], fb_letter_name((enum fb_letter)i)) == 0 ? (enum fb_letter)i : letter;
    }
    (void)snprintf(about->msg_id, sizeof about->msg_id, "%s", args[1]);
    if (count > 3) {
        (void)snprintf(about->recall_id, sizeof about->recall_id, "%s", args[3]);
    }
    fb_trace_new(about->trace);
    fb_job_letter(letter, about, (uint32_t)strtoul(args[2], NULL, 10), job);
    must(fb_queue_add(redis, job, NULL, &err), "letter");
    free(job);
    free(about);
}

static void recall(struct fb_redis *redis, char **args, int count)
{
    uint32_t recipients[16];
    struct fb_recall_request q = {.recipients = recipients,
                                  .actor = "a@example.jp",
                                  .source = "portal",
                                  .reason = "wrong <recipient>"};
    for (int i = 1; i < count && q.count < 16; i++) {
        recipients[q.count++] = (uint32_t)strtoul(args[i], NULL, 10);
    }
    must(fb_ledger_recall(redis, args[0], &q, NULL, &err), "recall");
    (void)printf("%s\n", q.id);
}

static void end_revoke(struct fb_redis *redis, const struct fb_claim *claim)
{
    struct fb_ledger_message m = {0};
    struct fb_ops *ops = fb_ops_new();
    must(fb_ledger_get(redis, claim->job.msg_id, &m, &err), "message");
    for (size_t i = 0; i < m.recipient_count; i++) {
        const struct fb_ledger_recipient *r = &m.recipients[i];
        bool is_open = r->grant_state[0] != '\0' && strcmp(r->grant_state, "recalled") != 0;
        if (r->is_recalled && r->branch < m.branch_count && is_open) {
            fb_ledger_grant(redis, ops, m.branches[r->branch].parcel_id, (uint32_t)i,
                            r->grant_state, "recalled", r->grant_id, "", "seed");
        }
    }
    fb_ledger_recall_job_done(redis, ops, &claim->job);
    must(fb_queue_advance(redis, CONSUMER, claim, NULL, 0, ops, &err), "advance");
    fb_ops_free(&ops);
    fb_ledger_message_deinit(&m);
}

static void revoke(struct fb_redis *redis, const char *msg_id)
{
    struct fb_claim *claim = fb_xcalloc(1, sizeof *claim);
    size_t count = 1;
    must(fb_queue_prepare(redis, &err), "groups");
    while (count > 0) {
        must(fb_queue_read(redis, FB_STAGE_REVOKE, fb_redis_shard(redis, msg_id), CONSUMER, 1, 0,
                           claim, &count, &err),
             "read");
        if (count > 0) {
            end_revoke(redis, claim);
        }
    }
    free(claim);
}

int main(int argc, char **argv)
{
    struct fb_config config = {0};
    struct fb_redis *redis = NULL;
    if (argc < 4) {
        (void)fprintf(stderr, "letter_seed REDIS letter|recall|revoked ...\n");
        return 2;
    }
    config.redis.url = argv[1];
    config.redis.shards = 1;
    must(fb_redis_new(&config, 5000, &redis, &err), "redis");
    if (strcmp(argv[2], "letter") == 0 && argc > 5) {
        add_letter(redis, argv + 3, argc - 3);
    } else if (strcmp(argv[2], "recall") == 0) {
        recall(redis, argv + 3, argc - 3);
    } else {
        revoke(redis, argv[3]);
    }
    fb_redis_free(&redis);
    return 0;
}
