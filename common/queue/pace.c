/* SPDX-License-Identifier: Apache-2.0 */
#include "common/queue/pace.h"

#include <string.h>

#include "common/crypto.h"
#include "common/id.h"
#include "proto/limits.h"

#define MINUTE_MS 60000.0

void fb_pace_init(struct fb_pace *pace, const struct fb_config *config, const uint8_t key[32],
                  int shards)
{
    *pace = (struct fb_pace){.is_on = config->queue.sender_rate > 0};
    memcpy(pace->key, key, sizeof pace->key);
    if (pace->is_on) {
        /* A message's shard is a matter of chance: a share that is rounded up, and one more, keeps a
         * burst within its bound from being called a flood. */
        int64_t share = (config->queue.sender_burst + shards - 1) / shards;
        share += shards > 1 ? 1 : 0;
        pace->step_ms = MINUTE_MS * shards / (double)config->queue.sender_rate;
        pace->room_ms = pace->step_ms * (double)share;
    }
}

void fb_pace_deinit(struct fb_pace *pace)
{
    fb_wipe(pace, sizeof *pace);
}

void fb_pace_sender(const struct fb_pace *pace, const char *reverse_path,
                    struct fb_pace_sender *sender_r)
{
    char lower[FB_MAX_ADDRESS + 1];
    uint8_t digest[FB_SHA256_SIZE];
    const char *path = reverse_path != NULL ? reverse_path : "";
    size_t len = strnlen(path, sizeof lower);
    for (size_t i = 0; i < len; i++) {
        lower[i] = path[i] >= 'A' && path[i] <= 'Z' ? (char)(path[i] + ('a' - 'A')) : path[i];
    }
    fb_hmac_sha256(fb_slice_of(pace->key, sizeof pace->key), fb_slice_of(lower, len), digest);
    fb_hex(digest, FB_PACE_HASH, sender_r->hash);
}
