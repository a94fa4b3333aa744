/* SPDX-License-Identifier: Apache-2.0
 *
 * Which storages are away.  When some jobs of one storage failed in a row, the others do not find out one by one: they
 * wait together, one of them tries at the end of each pause, and the first that gets through lets all of them go on.
 * One object a process; several processes find out each for itself.
 */
#ifndef FB_REVOKE_AWAY_H
#define FB_REVOKE_AWAY_H

#include <stdbool.h>
#include <stdint.h>

struct revoke_away;

struct revoke_away *revoke_away_new(void);
void revoke_away_free(struct revoke_away **away);
/* How long a job of this storage has to wait; 0: it may go on, and tells how it went. */
int64_t revoke_away_wait(struct revoke_away *away, const char *storage);
/* The storage answered, or it did not. */
void revoke_away_tell(struct revoke_away *away, const char *storage, bool has_answered);

#endif
