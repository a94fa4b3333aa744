/* SPDX-License-Identifier: Apache-2.0 */
#include "services/revoke/turn.h"

#include <stdio.h>

#include "common/queue/worker.h"

#define NAME_SIZE 64
/* Longer than any job takes.  It ends the turn of a claim that was dropped; one that was taken over goes on with it. */
#define TURN_MS 1800000

static void make_name(char name[NAME_SIZE], const char *parcel_id)
{
    (void)snprintf(name, NAME_SIZE, "turn:%s", parcel_id);
}

enum fb_status revoke_turn_take(struct fb_redis *r, const struct fb_claim *claim,
                                const char *parcel_id, struct fb_error *err)
{
    char name[NAME_SIZE];
    make_name(name, parcel_id);
    return fb_queue_lock(r, fb_worker_consumer(), claim, name, TURN_MS, err);
}

void revoke_turn_end(struct fb_ops *ops, const struct fb_claim *claim, const char *parcel_id)
{
    char name[NAME_SIZE];
    make_name(name, parcel_id);
    fb_queue_unlock(ops, claim, name);
}
