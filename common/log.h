/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines on stderr, one JSON object (or, for people, one text line) each.  Ids come from the
 * thread's context.  Never logged above debug: subject, body, file names, tokens, links, addresses.
 */
#ifndef FB_COMMON_LOG_H
#define FB_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/id.h"
#include "common/status.h"

enum fb_level { FB_DEBUG, FB_INFO, FB_WARN, FB_ERROR, FB_FATAL };

/* Call once at start; service is kept by reference. */
void fb_log_init(const char *service, enum fb_level level, bool is_json);
bool fb_log_level_parse(const char *name, enum fb_level *level_r);

/* Ids that each line of this thread carries until they are cleared; NULL leaves a field out.  trace: a
 * traceparent, which the line carries as trace_id and span_id. */
void fb_log_context(const char *msg_id, const char *parcel_id, const char *stage, const char *trace,
                    uint32_t attempt);
void fb_log_context_clear(void);

void fb_log(enum fb_level level, const char *fmt, ...) FB_PRINTF(2, 3);
/* A line with extra fields: pairs of key and string value, ended by NULL. */
void fb_log_fields(enum fb_level level, const char *text, ...) __attribute__((sentinel));

#endif
