/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits and audit of the door.  Counted in Redis for all portals: codes to one address over all its grants, codes and
 * wrong answers of one network, wrong answers and locked grants over all.  Networks are kept as a keyed hash there, and
 * in the history and the log by their prefix alone: enough to see who guesses, not enough to say who it was at home.
 */
#include <stdio.h>
#include <string.h>

#include "common/alarm.h"
#include "common/log.h"
#include "common/metrics.h"
#include "services/portal/door.h"

#define HOUR_MS        INT64_C(3600000)
#define MAILS_ADDRESS  10  /* codes an hour to one address */
#define MAILS_NETWORK  60  /* asked for by one network: a whole office reads at nine */
#define WRONG_NETWORK  100 /* an hour; then nothing of it is looked at */
#define ALARM_WRONG    200 /* an hour, all together */
#define ALARM_LOCKS    20
#define ALL            "00" /* the name of what is counted over all */
#define ALARM_CHECK_MS 5000

static void network_name(const struct reader *r, char out_r[FB_DOOR_HASH])
{
    char network[DOOR_NETWORK];
    door_network(&r->visit->client, network);
    door_hmac(r->visit->portal->door_key, "network", network, "", out_r);
}

enum fb_status door_look_network(struct reader *r, int64_t *wait_ms_r, struct fb_error *err)
{
    char name[FB_DOOR_HASH];
    network_name(r, name);
    return fb_door_look(r->redis, "wrong", name, WRONG_NETWORK, wait_ms_r, err);
}

enum fb_status door_take_mail(struct reader *r, const char *address, int64_t *wait_ms_r,
                              struct fb_error *err)
{
    char network[FB_DOOR_HASH], owner[FB_DOOR_HASH];
    network_name(r, network);
    enum fb_status s =
        fb_door_take(r->redis, "mail-net", network, HOUR_MS, MAILS_NETWORK, wait_ms_r, err);
    if (s == FB_OK && *wait_ms_r == 0 && address != NULL) {
        fb_door_owner(address, owner);
        s = fb_door_take(r->redis, "mail", owner, HOUR_MS, MAILS_ADDRESS, wait_ms_r, err);
    }
    return s;
}

/* ---- audit ---- */

void reader_audit(struct reader *r, const char *event, const char *address)
{
    const char *agent = fb_http_header(r->visit->request, "User-Agent");
    char network[DOOR_NETWORK], index[16], shown[201];
    struct fb_error err = {0};
    door_network(&r->visit->client, network);
    (void)snprintf(index, sizeof index, "%u", r->recipient);
    (void)snprintf(shown, sizeof shown, "%s", agent != NULL ? agent : "");
    const struct fb_reading_attempt attempt = {
        .event = event, .address = address, .network = network, .agent = shown};
    fb_log_context(r->msg_id, r->parcel_id, "portal", NULL, 0);
    fb_log_fields(FB_INFO, event, "recipient", index, "network", network, "agent", shown, NULL);
    if (fb_ledger_reading_attempt(r->redis, r->parcel_id, r->recipient, &attempt, &err) != FB_OK) {
        fb_log(FB_WARN, "the attempt is not in the parcel's history: %s", err.text);
    }
    fb_log_context_clear();
}

static void count(const char *kind, const char *outcome)
{
    char labels[96];
    (void)snprintf(labels, sizeof labels, "kind=\"%s\",outcome=\"%s\"", kind, outcome);
    fb_metric_add("fumibako_portal_proofs_total", labels, 1);
}

void door_note(struct reader *r, const char *kind, const char *outcome, const char *address)
{
    char event[64];
    count(kind, outcome);
    (void)snprintf(event, sizeof event, "%s %s", kind, outcome);
    reader_audit(r, event, address);
}

/* What is refused because it is locked is in the log and the figures, and not in the history: that has room for 10,000
 * lines, and nobody shall write the others out of it. */
void door_note_refused(struct reader *r, const char *kind)
{
    char network[DOOR_NETWORK], index[16], event[64];
    door_network(&r->visit->client, network);
    (void)snprintf(index, sizeof index, "%u", r->recipient);
    (void)snprintf(event, sizeof event, "%s refused", kind);
    count(kind, "refused");
    fb_log_context(r->msg_id, r->parcel_id, "portal", NULL, 0);
    fb_log_fields(FB_INFO, event, "recipient", index, "network", network, NULL);
    fb_log_context_clear();
}

static void note_guesses(int64_t wrong, int64_t locks)
{
    if (wrong >= ALARM_WRONG || locks >= ALARM_LOCKS) {
        fb_alarm_raise(
            FB_ALARM_GUESSING, "",
            "somebody guesses at the portal's door: many wrong codes or passwords within "
            "an hour; none is looked at beyond the limits. The log has the networks "
            "(\"code wrong\", \"code locked\")");
    } else {
        fb_alarm_clear(FB_ALARM_GUESSING, "");
    }
}

void door_note_wrong(struct reader *r, const char *kind, const char *address, bool is_locked)
{
    char network[FB_DOOR_HASH];
    struct fb_error err = {0};
    int64_t n = 0, wrong = 0, locks = 0;
    network_name(r, network);
    door_note(r, kind, is_locked ? "locked" : "wrong", address);
    enum fb_status s = fb_door_count(r->redis, "wrong", network, HOUR_MS, &n, &err);
    if (s == FB_OK) {
        s = fb_door_count(r->redis, "wrong", ALL, HOUR_MS, &wrong, &err);
    }
    if (s == FB_OK && is_locked) {
        s = fb_door_count(r->redis, "locks", ALL, HOUR_MS, &locks, &err);
    }
    if (s != FB_OK) {
        fb_log(FB_WARN, "a wrong answer at the door could not be counted: %s", err.text);
    } else if (wrong >= ALARM_WRONG || locks >= ALARM_LOCKS) {
        note_guesses(wrong, locks);
    }
}

void door_watch(struct portal *p, struct fb_redis *redis)
{
    int64_t now_ms = fb_mono_ms();
    int64_t waits[2] = {0, 0};
    struct fb_error err = {0};
    if (p->watched_ms != 0 && now_ms - p->watched_ms < ALARM_CHECK_MS) {
        return;
    }
    p->watched_ms = now_ms;
    enum fb_status s = fb_door_look(redis, "wrong", ALL, ALARM_WRONG, &waits[0], &err);
    if (s == FB_OK) {
        s = fb_door_look(redis, "locks", ALL, ALARM_LOCKS, &waits[1], &err);
    }
    if (s == FB_OK) {
        note_guesses(waits[0] > 0 ? ALARM_WRONG : 0, waits[1] > 0 ? ALARM_LOCKS : 0);
    }
    s = fb_alarm_publish(redis, &err);
    if (s != FB_OK) {
        fb_log(FB_DEBUG, "alarms were not published: %s", err.text);
    }
}
