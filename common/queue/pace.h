/* SPDX-License-Identifier: Apache-2.0
 *
 * Who hands in more than a burst: each sender (reverse path in lower case; the null sender is one, too) may hand in
 * `queue.sender_burst` mails at once and `queue.sender_rate` a minute in the long run.  What is beyond goes into the
 * bulk lane (queue.h), so that one sender's thousands of mails do not delay another's one.  The count is kept in Redis,
 * by the enqueue script, under a keyed hash: Redis holds no address for it.  Each shard counts its share.
 */
#ifndef FB_COMMON_QUEUE_PACE_H
#define FB_COMMON_QUEUE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"

#define FB_PACE_HASH    16
#define FB_PACE_PURPOSE "fumibako pace 1" /* of the key, for fb_spool_derive_key */

struct fb_pace {
    bool is_on;     /* sender_rate > 0 */
    double room_ms; /* sender_burst, in time of the rate */
    double step_ms; /* between two mails at the rate */
    uint8_t key[32];
};

/* Part of a key's name: hex digits. */
struct fb_pace_sender {
    char hash[2 * FB_PACE_HASH + 1];
};

/* key: 32 secret octets, the same in all processes that enqueue; shards: over which a sender's mail is spread. */
void fb_pace_init(struct fb_pace *pace, const struct fb_config *config, const uint8_t key[32],
                  int shards);
void fb_pace_deinit(struct fb_pace *pace); /* wipes the key */
/* reverse_path: NULL and "" = the null sender. */
void fb_pace_sender(const struct fb_pace *pace, const char *reverse_path,
                    struct fb_pace_sender *sender_r);

#endif
