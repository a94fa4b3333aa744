/* SPDX-License-Identifier: Apache-2.0
 *
 * Which storages are down, so that one that is stops only its own parcels.  For a whole process; several processes find
 * out each for itself.
 *
 *   up --3 calls in a row fail as if it were away--> down --a call is answered--> up
 *
 * - Down: its jobs are put off together, no attempt is counted, and at the end of each pause (2 s, doubled up to 30 s)
 *   one of them tries.  An alarm says so (common/alarm.h: one log line down, one up), and fumibako_storage_up is 0.
 * - Slow: while none of its calls is answered, a storage holds at most half of the threads, if the policy has others:
 *   new jobs are put off, and calls that say nothing give way (storage_away_must_yield).
 *
 * "Away" is what others of the same storage will meet, too: no connection, no answer in time, 5xx.  An answer about one
 * parcel (4xx) or a request to slow down (429) is an answer.
 */
#ifndef FB_UPLOAD_AWAY_H
#define FB_UPLOAD_AWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

/* How many job threads the process has; 0 (the default): one storage may hold them all. */
void storage_away_threads(int threads);

/* A job's stay with a storage; zero: it has none. */
struct storage_stay {
    const char *storage; /* lent */
    bool is_in, is_probe;
};
/* Before a job asks the storage for anything.  0: it may go on, and storage_away_leave() follows; else ms to wait.
 * has_others: the policy has more than this storage.  The name is lent until then. */
int64_t storage_away_enter(struct storage_stay *stay, const char *storage, bool has_others);
/* Nothing when it is not in. */
void storage_away_leave(struct storage_stay *stay);

/* How a call ended: the storage answered, whatever it said; or as if it were away. */
void storage_away_tell(const char *storage, bool has_answered);
bool storage_away_is_down(const char *storage);
/* How a job of the storage ended: with FB_CONFIG the storage refuses our login, or a setting of it is wrong.  Its mail
 * waits until somebody mends it: an alarm until a job ends well. */
void storage_away_tell_login(const char *storage, enum fb_status s, const struct fb_error *err);
/* Whether a call that neither sent nor received anything for silent_ms is to be given up, because others need its
 * thread.  is_counted (false at first, one for each call): its silence was counted as a failure. */
bool storage_away_must_yield(const char *storage, int64_t silent_ms, bool *is_counted);

/* For tests: forgets everything. */
void storage_away_reset(void);

#endif
