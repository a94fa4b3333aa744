/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms: what somebody must look at.  Where it happens it is raised, and cleared when it is over:
 *
 *   fb_alarm_raise / fb_alarm_clear -> fumibako_alarm{kind} (causes that are on, in this process),
 *     one log line of level error with `alarm: kind` -> fb_alarm_publish, each few seconds, in a
 *     thread that has Redis -> hash fb:{s0}:alarm -> fb_alarm_list: `fumibako queue`, and rewrite,
 *     which writes to the postmaster (services/rewrite/alarm_mail.h)
 *
 * Texts are read by operators and stand in logs and mails: no address, no content.  All calls are
 * thread-safe.  An entry of a process that ended by a crash is ignored after FB_ALARM_STALE_MS.
 */
#ifndef FB_COMMON_ALARM_H
#define FB_COMMON_ALARM_H

#include "common/redis.h"

enum fb_alarm {
    FB_ALARM_HELD,        /* mail is held and waits for a decision */
    FB_ALARM_HELD_ENDING, /* nobody decided, and soon it is given up (retention.dead) */
    FB_ALARM_STORAGE,     /* a storage is away, or refuses our login */
    FB_ALARM_QUEUE_AGE,   /* the oldest job waits too long */
    FB_ALARM_SPOOL,       /* the spool is near ingest.high_water or ingest.spool_max */
    FB_ALARM_REPAIRED,    /* jobs were lost and put back, or open mail is not in the spool */
    FB_ALARM_RELAY,       /* the mail server cannot be reached */
    FB_ALARM_POLICY,      /* no policy is known: mail waits */
    FB_ALARM_GUESSING,    /* somebody tries codes or passwords at the portal's door */
    FB_ALARM_COUNT
};

#define FB_ALARM_TEXT     320
#define FB_ALARM_CAUSE    80
#define FB_ALARM_STALE_MS 60000

/* As in metric, log and Redis: "held", "held_ending", "storage"... */
const char *fb_alarm_name(enum fb_alarm kind);

/* The alarm is on for this cause (the name of a storage, of a stage; "" where there is but one).
 * Another text than before is news: it is logged, at most once a minute, and counts as new for the
 * postmaster. */
void fb_alarm_raise(enum fb_alarm kind, const char *cause, const char *fmt, ...) FB_PRINTF(3, 4);
/* It is over; nothing when it was not on.  One log line. */
void fb_alarm_clear(enum fb_alarm kind, const char *cause);

/* What is on goes to Redis, what was cleared is taken out; does nothing when it did so a few seconds
 * ago and nothing changed.  Statuses of Redis; the next call tries again. */
FB_MUST_USE enum fb_status fb_alarm_publish(struct fb_redis *r, struct fb_error *err);

/* One alarm of one process. */
struct fb_alarm_entry {
    enum fb_alarm kind;
    char cause[FB_ALARM_CAUSE];
    char who[100];             /* the process: fumibako-upload@host-pid */
    char text[FB_ALARM_TEXT];  /* without control characters */
    int64_t since_ms, news_ms; /* when it went on; when the text changed last */
};
/* Those that are on, of all processes; stale ones are left out.  Free *list_r with free(). */
FB_MUST_USE enum fb_status fb_alarm_list(struct fb_redis *r, struct fb_alarm_entry **list_r,
                                         size_t *count_r, struct fb_error *err);
/* Whether the postmaster may be written to about this kind now: at most once an hour, and without
 * news once a day.  True takes the turn, for all processes; fb_alarm_untell gives it back when the
 * mail could not be sent. */
FB_MUST_USE enum fb_status fb_alarm_tell(struct fb_redis *r, enum fb_alarm kind, int64_t news_ms,
                                         bool *may_r, struct fb_error *err);
void fb_alarm_untell(struct fb_redis *r, enum fb_alarm kind);
/* For tests: forgets everything that was raised. */
void fb_alarm_reset(void);

#endif
