/* SPDX-License-Identifier: Apache-2.0
 *
 * What sweep.c and sweep_scan.c share.  Nobody else includes it.
 */
#ifndef FB_COMMON_LEDGER_SWEEP_INTERNAL_H
#define FB_COMMON_LEDGER_SWEEP_INTERNAL_H

#include "common/ledger/internal.h"
#include "common/ledger/sweep.h"
#include "common/spool/journal.h"

#define FB_SWEEP_MAX_SUSPECTS 20000U /* of a look at one shard */

/* A job that an open message should have; for a held branch: the dead letter. */
struct fb_suspect {
    char msg_id[FB_ID_SIZE];
    char score[32]; /* its last progress, as Redis writes it */
    enum fb_stage stage;
    uint32_t branch;
    bool is_held;
    bool is_found;
};

struct fb_sweeper {
    struct fb_spool *spool;
    struct fb_redis *redis;
    struct fb_journal *journal; /* who was recalled; opened by the first message that is put back */
    int64_t patience_ms;
    bool (*pause)(void *ctx);
    void *ctx;
    int64_t *cursor; /* by shard: from which progress on to look */
    /* the look at one shard */
    struct fb_suspect *suspects;
    size_t count;
    struct fb_sweep_result *result;
};

/* Between steps: FB_OK, or FB_AGAIN when told to stop. */
FB_MUST_USE enum fb_status fb_sweep_pause(struct fb_sweeper *s, struct fb_error *err);
/* The jobs that the shard's open messages without progress should have: s->suspects, sorted. */
FB_MUST_USE enum fb_status fb_sweep_suspect(struct fb_sweeper *s, int shard, struct fb_error *err);
/* Marks those that are in a stream, a delayed set or among the dead letters. */
FB_MUST_USE enum fb_status fb_sweep_confirm(struct fb_sweeper *s, int shard, struct fb_error *err);

#endif
