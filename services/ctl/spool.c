/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako spool list|replay, fumibako ledger rebuild */
#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/ledger/rebuild.h"
#include "common/ledger/replay.h"
#include "services/ctl/ctl.h"

struct listing {
    const struct ctl *c;
    json_t *list;
    int64_t count;
    uint64_t bytes;
};

static bool list_one(void *ctx, const struct fb_spool_entry *e)
{
    struct listing *l = ctx;
    char when[32];
    l->count++;
    l->bytes += e->size;
    if (l->count > l->c->limit) {
        return true; /* counted, not shown */
    }
    ctl_time(e->created_ms, when);
    if (l->c->is_json) {
        (void)json_array_append_new(l->list, json_pack("{s:s,s:o,s:I,s:s}", "id", e->msg_id,
                                                       "accepted", ctl_json_time(e->created_ms),
                                                       "size", (json_int_t)e->size, "ref", e->ref));
    } else {
        (void)printf("%s  %s  %10llu bytes  %s\n", e->msg_id, when, (unsigned long long)e->size,
                     e->ref);
    }
    return true;
}

int ctl_spool_list(struct ctl *c)
{
    int code = 0;
    uint64_t damaged = 0;
    struct fb_error err = {0};
    struct listing l = {.c = c, .list = json_array()};
    if (!ctl_need_spool(c, &code)) {
        json_decref(l.list);
        return code;
    }
    if (fb_spool_scan(c->spool, list_one, &l, &damaged, &err) != FB_OK) {
        json_decref(l.list);
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:o,s:I,s:I,s:I}", "messages", l.list, "count",
                                 (json_int_t)l.count, "bytes", (json_int_t)l.bytes, "damaged",
                                 (json_int_t)damaged));
    } else {
        json_decref(l.list);
        (void)printf("%lld messages in flight, %llu bytes, %llu damaged records\n",
                     (long long)l.count, (unsigned long long)l.bytes, (unsigned long long)damaged);
    }
    return 0;
}

/* Replay is the first half of a rebuild, too. */
static bool replay(struct ctl *c, struct fb_replay_result *r, int *code_r)
{
    struct fb_error err = {0};
    struct fb_journal *journal = NULL;
    int64_t now = 0;
    uint8_t key[32];
    struct fb_pace pace;
    if (!ctl_need_spool(c, code_r) || !ctl_need_redis(c, code_r)) {
        return false;
    }
    /* An empty spool asks nothing of Redis, and its absence must not look like success. */
    if (fb_redis_time(c->redis, &now, &err) != FB_OK) {
        *code_r = ctl_fail(c, &err);
        return false;
    }
    fb_spool_derive_key(c->spool, FB_PACE_PURPOSE, key);
    fb_pace_init(&pace, c->config, key, fb_redis_shard_count(c->redis));
    fb_wipe(key, sizeof key);
    const struct fb_replay replay = {.spool = c->spool,
                                     .redis = c->redis,
                                     .ledger_ttl_ms = c->config->retention.ledger_ms,
                                     .pace = &pace,
                                     .journal = &journal};
    enum fb_status s = fb_replay(&replay, r, &err);
    fb_journal_close(&journal);
    fb_pace_deinit(&pace);
    if (s != FB_OK) {
        *code_r = ctl_fail(c, &err);
        return false;
    }
    r->damaged += r->failed; /* either way not enqueued, and named in the log */
    return true;
}

static void warn_damaged(const struct ctl *c, uint64_t count, const char *what)
{
    if (count > 0 && !c->is_json) {
        (void)fprintf(
            stderr,
            "fumibako: %llu %s cannot be read; the lines above name them. Is the right key in "
            "spool.key_file? Restore them from a backup, or accept the loss.\n",
            (unsigned long long)count, what);
    }
}

/* Into the audit, when something was put back. */
static bool note(struct ctl *c, const char *action, const struct fb_replay_result *r,
                 const struct fb_rebuild_result *rebuilt, int *code_r)
{
    struct fb_error err = {0};
    uint64_t restored = rebuilt != NULL ? rebuilt->restored : 0;
    if (r->enqueued + restored == 0) {
        return true;
    }
    json_t *after = json_pack("{s:I,s:I}", "enqueued", (json_int_t)r->enqueued, "restored",
                              (json_int_t)restored);
    enum fb_status s = ctl_audit(c, action, "spool", NULL, after, &err);
    json_decref(after);
    if (s != FB_OK) {
        *code_r = ctl_fail(c, &err);
    }
    return s == FB_OK;
}

int ctl_spool_replay(struct ctl *c)
{
    int code = 0;
    struct fb_replay_result r = {0};
    if (!replay(c, &r, &code)) {
        return code;
    }
    if (!note(c, "spool.replay", &r, NULL, &code)) {
        return code;
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:I,s:I,s:I}", "enqueued", (json_int_t)r.enqueued, "known",
                                 (json_int_t)r.known, "damaged", (json_int_t)r.damaged));
    } else {
        (void)printf("%llu enqueued again, %llu were known, %llu damaged\n",
                     (unsigned long long)r.enqueued, (unsigned long long)r.known,
                     (unsigned long long)r.damaged);
    }
    warn_damaged(c, r.damaged, "messages in the spool");
    return r.damaged > 0 ? FB_EXIT_FAILED : 0;
}

int ctl_ledger_rebuild(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_replay_result first = {0};
    struct fb_rebuild_result r = {0};
    if (!replay(c, &first, &code)) {
        return code;
    }
    if (fb_ledger_rebuild(c->spool, c->redis, c->config->retention.ledger_ms,
                          c->config->rewrite.key, &r, &err) != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (!note(c, "ledger.rebuild", &first, &r, &code)) {
        return code;
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I}}", "restored",
                                 (json_int_t)r.restored, "known", (json_int_t)r.known, "in_flight",
                                 (json_int_t)r.in_flight, "damaged", (json_int_t)r.damaged,
                                 "replay", "enqueued", (json_int_t)first.enqueued, "known",
                                 (json_int_t)first.known, "damaged", (json_int_t)first.damaged));
    } else {
        (void)printf("messages in flight: %llu enqueued again, %llu were known, %llu damaged\n",
                     (unsigned long long)first.enqueued, (unsigned long long)first.known,
                     (unsigned long long)first.damaged);
        (void)printf(
            "parcels: %llu restored, %llu were known, %llu of messages in flight, %llu damaged\n",
            (unsigned long long)r.restored, (unsigned long long)r.known,
            (unsigned long long)r.in_flight, (unsigned long long)r.damaged);
    }
    warn_damaged(c, first.damaged, "messages in the spool");
    warn_damaged(c, r.damaged, "manifests");
    return first.damaged + r.damaged > 0 ? FB_EXIT_FAILED : 0;
}
