/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis Cluster: which node has which slot, and what to do when a node says that it has not.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 *
 * The map comes from CLUSTER SLOTS, of any node that answers, seeds and known primaries alike.  It
 * is asked for again when something says that it is wrong: a lost connection, MOVED, CLUSTERDOWN;
 * not more often than each 200 ms, and within one time-out of a call, so that a caller is never
 * held up by it.  MOVED mends one slot at once; ASK mends nothing, it is for one command.
 *
 * TRYAGAIN (a script's keys are on both sides of a slot that moves), CLUSTERDOWN and LOADING are
 * FB_AGAIN: the caller waits and repeats, as with one node.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/redis_internal.h"

#define ASK_MS         1000
#define REFRESH_MS     200
#define MAX_REDIRECTS  5
#define MAX_REPLY_RUNS (FB_REDIS_SLOTS + 1U)

/* CRC-16/XMODEM, bit by bit: a tag has a few characters. */
uint16_t fb_redis_slot(struct fb_slice key)
{
    const uint8_t *open = key.len > 0 ? memchr(key.ptr, '{', key.len) : NULL;
    if (open != NULL) {
        size_t rest = key.len - (size_t)(open + 1 - key.ptr);
        const uint8_t *end = memchr(open + 1, '}', rest);
        if (end != NULL && end > open + 1) {
            key = fb_slice_of(open + 1, (size_t)(end - open - 1));
        }
    }
    uint16_t crc = 0;
    for (size_t i = 0; i < key.len; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)(key.ptr[i] << 8));
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
        }
    }
    return crc % FB_REDIS_SLOTS;
}

/* ---- nodes ---- */

static uint16_t find_node(struct fb_redis *r, const struct fb_redis_host *at)
{
    size_t free_at = r->node_count;
    for (size_t i = 0; i < r->node_count; i++) {
        if (r->nodes[i] == NULL) {
            free_at = i;
        } else if (r->nodes[i]->link.at.port == at->port &&
                   strcmp(r->nodes[i]->link.at.name, at->name) == 0) {
            return (uint16_t)i;
        }
    }
    if (free_at == FB_REDIS_MAX_NODES) {
        return FB_REDIS_NO_NODE;
    }
    r->nodes[free_at] = fb_redis_node_new(r, at);
    r->node_count = free_at == r->node_count ? free_at + 1 : r->node_count;
    return (uint16_t)free_at;
}

/* Nodes that have no slot any more.  Not while somebody waits for a reply of one. */
static void forget_nodes(struct fb_redis *r)
{
    bool *is_used = fb_xcalloc(FB_REDIS_MAX_NODES, sizeof *is_used);
    for (size_t slot = 0; slot < FB_REDIS_SLOTS; slot++) {
        if (r->cluster.slots[slot] != FB_REDIS_NO_NODE) {
            is_used[r->cluster.slots[slot]] = true;
        }
    }
    for (size_t i = 0; i < r->node_count && r->count == 0; i++) {
        if (!is_used[i] && r->nodes[i] != NULL) {
            fb_redis_node_free(&r->nodes[i]);
        }
    }
    free(is_used);
}

/* ---- the map ---- */

/* [first slot, last slot, [address, port, id, ...], replicas...] */
static bool take_run(struct fb_redis *r, const redisReply *run, const struct fb_redis_host *asked,
                     uint16_t *slots)
{
    if (run->type != REDIS_REPLY_ARRAY || run->elements < 3 ||
        run->element[0]->type != REDIS_REPLY_INTEGER ||
        run->element[1]->type != REDIS_REPLY_INTEGER ||
        run->element[2]->type != REDIS_REPLY_ARRAY || run->element[2]->elements < 2 ||
        run->element[2]->element[1]->type != REDIS_REPLY_INTEGER) {
        return false;
    }
    const redisReply *name = run->element[2]->element[0];
    long long first = run->element[0]->integer, last = run->element[1]->integer;
    long long port = run->element[2]->element[1]->integer;
    struct fb_redis_host at = *asked; /* nil or "": the one that was asked */
    if (first < 0 || last >= FB_REDIS_SLOTS || first > last || port <= 0 || port > UINT16_MAX) {
        return false;
    }
    if (name->type == REDIS_REPLY_STRING && name->len > 0) {
        if ((size_t)name->len >= sizeof at.name || strlen(name->str) != (size_t)name->len) {
            return false;
        }
        memcpy(at.name, name->str, (size_t)name->len + 1);
    }
    at.port = (uint16_t)port;
    bool is_unknown = strcmp(at.name, "?") == 0; /* the node does not know its own host name */
    uint16_t node = is_unknown ? FB_REDIS_NO_NODE : find_node(r, &at);
    for (long long slot = first; slot <= last; slot++) {
        slots[slot] = node;
    }
    return true;
}

static enum fb_status take_map(struct fb_redis *r, const redisReply *reply,
                               const struct fb_redis_host *asked, struct fb_error *err)
{
    bool is_good =
        reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->elements < MAX_REPLY_RUNS;
    uint16_t *slots = fb_xcalloc(FB_REDIS_SLOTS, sizeof *slots);
    memset(slots, 0xff, FB_REDIS_SLOTS * sizeof *slots);
    for (size_t i = 0; is_good && i < reply->elements; i++) {
        is_good = take_run(r, reply->element[i], asked, slots);
    }
    if (is_good) {
        memcpy(r->cluster.slots, slots, FB_REDIS_SLOTS * sizeof *slots);
        r->cluster.is_known = true;
        r->cluster.is_stale = false;
        forget_nodes(r);
    }
    free(slots);
    return is_good ? FB_OK
                   : fb_error_set(err, FB_AGAIN, "redis: CLUSTERDOWN %s:%u knows of no slots",
                                  asked->name, asked->port);
}

static enum fb_status ask_one(struct fb_redis *r, const struct fb_redis_host *at,
                              struct fb_error *err)
{
    const char *argv[] = {"CLUSTER", "SLOTS"};
    redisReply *reply = NULL;
    struct fb_redis_link l;
    fb_redis_link_init(&l, &r->url, at, r->timeout_ms < ASK_MS ? r->timeout_ms : ASK_MS);
    enum fb_status s = fb_redis_link_open(&l, err);
    if (s == FB_OK) {
        s = fb_redis_link_ask(&l, 2, argv, &reply, err);
    }
    if (s == FB_OK) {
        s = take_map(r, reply, at, err);
        freeReplyObject(reply);
    } else if (s == FB_BUG && strstr(err->text, "cluster support disabled") != NULL) {
        s = fb_error_set(err, FB_CONFIG,
                         "redis.url: %s:%u is not part of a cluster (cluster-enabled no)", at->name,
                         at->port);
    }
    fb_redis_link_drop(&l);
    return s;
}

/* Candidates: the seeds, then the primaries that we know. */
static bool candidate(const struct fb_redis *r, size_t i, struct fb_redis_host *at_r)
{
    if (i < r->url.host_count) {
        *at_r = r->url.hosts[i];
        return true;
    }
    const struct fb_redis_node *node = r->nodes[i - r->url.host_count];
    if (node != NULL) {
        *at_r = node->link.at;
    }
    return node != NULL;
}

static enum fb_status refresh(struct fb_redis *r, struct fb_error *err)
{
    int64_t until = fb_mono_ms() + r->timeout_ms;
    size_t count = r->url.host_count + r->node_count;
    struct fb_error own = {.status = FB_NETWORK, .text = "redis: no node of the cluster is known"};
    enum fb_status s = FB_NETWORK;
    for (size_t i = 0; i < count && s != FB_OK && fb_mono_ms() < until; i++) {
        struct fb_redis_host at;
        if (!candidate(r, r->cluster.at % count, &at)) {
            r->cluster.at++;
            continue;
        }
        s = ask_one(r, &at, &own);
        r->cluster.at += s != FB_OK;
    }
    r->cluster.retry_at_ms = fb_mono_ms() + REFRESH_MS;
    if (s != FB_OK && err != NULL) {
        *err = own;
    }
    return s;
}

enum fb_status fb_redis_cluster_node(struct fb_redis *r, uint16_t slot, uint16_t *node_r,
                                     struct fb_error *err)
{
    bool is_due = fb_mono_ms() >= r->cluster.retry_at_ms;
    if ((!r->cluster.is_known || r->cluster.is_stale) && is_due) {
        enum fb_status s = refresh(r, err);
        if (s != FB_OK && !r->cluster.is_known) {
            return s;
        }
    }
    if (!r->cluster.is_known) {
        return fb_error_set(err, FB_NETWORK, "redis: away, no node of the cluster answered");
    }
    *node_r = r->cluster.slots[slot];
    if (*node_r == FB_REDIS_NO_NODE) {
        r->cluster.is_stale = true;
        return fb_error_set(err, FB_AGAIN, "redis: CLUSTERDOWN no node has slot %u", slot);
    }
    return FB_OK;
}

void fb_redis_cluster_doubt(struct fb_redis *r, const struct fb_error *err)
{
    if (err->status == FB_NETWORK || fb_redis_error_is(err, "CLUSTERDOWN") ||
        fb_redis_error_is(err, "READONLY") || fb_redis_error_is(err, "UNBLOCKED") ||
        fb_redis_error_is(err, "NOREPLICAS")) {
        r->cluster.is_stale = true;
    }
}

/* ---- redirections ---- */

/* "redis: MOVED 3999 127.0.0.1:6381"; an empty host is the one that answered. */
static bool parse_redirect(const char *text, const struct fb_redis_host *from, uint16_t *slot_r,
                           struct fb_redis_host *at_r)
{
    const char *word = strstr(text, "redis: ");
    const char *number = word != NULL ? strchr(word + 7, ' ') : NULL;
    if (number == NULL) {
        return false;
    }
    char *end = NULL;
    long slot = strtol(number + 1, &end, 10);
    const char *colon = strrchr(end, ':');
    if (slot < 0 || slot >= FB_REDIS_SLOTS || *end != ' ' || colon == NULL) {
        return false;
    }
    size_t len = (size_t)(colon - end - 1);
    long port = strtol(colon + 1, NULL, 10);
    if (len >= sizeof at_r->name || port <= 0 || port > UINT16_MAX) {
        return false;
    }
    *at_r = *from;
    if (len > 0) {
        memcpy(at_r->name, end + 1, len);
        at_r->name[len] = '\0';
    }
    at_r->port = (uint16_t)port;
    *slot_r = (uint16_t)slot;
    return strcmp(at_r->name, "?") != 0;
}

static enum fb_status send_to(struct fb_redis_link *l, const struct fb_redis_waiting *w,
                              bool is_asking, redisReply **reply_r, struct fb_error *err)
{
    const char *asking[] = {"ASKING"};
    redisReply *reply = NULL;
    enum fb_status s = fb_redis_link_open(l, err);
    if (s == FB_OK && is_asking) {
        s = fb_redis_link_ask(l, 1, asking, &reply, err);
        if (s == FB_OK) {
            freeReplyObject(reply);
        }
    }
    if (s == FB_OK) {
        s = fb_redis_link_send(l, w->bytes, w->len, w->wait_ms, err);
    }
    return s == FB_OK ? fb_redis_link_fetch(l, reply_r, err) : s;
}

enum fb_status fb_redis_cluster_redirect(struct fb_redis *r, const struct fb_redis_waiting *w,
                                         redisReply **reply_r, struct fb_error *err)
{
    struct fb_redis_host at = r->nodes[w->node]->link.at;
    enum fb_status s = err->status;
    for (int i = 0; i < MAX_REDIRECTS; i++) {
        bool is_moved = fb_redis_error_is(err, "MOVED");
        bool is_asking = fb_redis_error_is(err, "ASK");
        uint16_t slot = 0;
        if (!is_moved && !is_asking) {
            return s;
        }
        if (!parse_redirect(err->text, &at, &slot, &at)) {
            break;
        }
        uint16_t node = find_node(r, &at);
        if (node == FB_REDIS_NO_NODE) {
            break;
        }
        if (is_moved) { /* more will have moved: the map is asked for with the next call */
            r->cluster.slots[slot] = node;
            r->cluster.is_stale = true;
        }
        s = send_to(&r->nodes[node]->detour, w, is_asking, reply_r, err);
        if (s == FB_OK) {
            return s;
        }
        fb_redis_cluster_doubt(r, err);
    }
    if (fb_redis_error_is(err, "MOVED") || fb_redis_error_is(err, "ASK")) {
        r->cluster.is_stale = true;
        struct fb_error last = *err;
        s = fb_error_set(err, FB_AGAIN, "redis: CLUSTERDOWN sent from node to node: %s", last.text);
    }
    return s;
}
