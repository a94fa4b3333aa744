/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms (common/alarm.h) of all processes, as mails to rewrite.postmaster: at most one an hour of
 * each kind, and while nothing new happens one a day.  Sent from the null sender, so that no answer
 * and no bounce comes back.  One thread; several processes of rewrite take turns by Redis. */
#ifndef FB_REWRITE_ALARM_MAIL_H
#define FB_REWRITE_ALARM_MAIL_H

#include "services/rewrite/content.h"
#include "common/alarm.h"
#include "common/config.h"

struct alarm_mail;
/* Starts the thread; NULL in *mail_r when rewrite.alarm_mail is off.  config and helo are kept by
 * reference.  FB_AGAIN when no thread can be started. */
FB_MUST_USE enum fb_status alarm_mail_new(const struct fb_config *config, const char *helo,
                                          struct alarm_mail **mail_r, struct fb_error *err);
void alarm_mail_free(struct alarm_mail **mail);

/* The mail about one kind: the entries of it among the count given (at least one). */
FB_MUST_USE enum fb_status compose_alarm(enum fb_alarm kind, const struct fb_alarm_entry *entries,
                                         size_t count, const char *postmaster, const char *key,
                                         struct content *out, struct fb_error *err);

#endif
