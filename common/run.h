/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs another program of ours, found beside our own executable: no shell, a time limit, bounded
 * output. */
#ifndef FB_COMMON_RUN_H
#define FB_COMMON_RUN_H

#include <stddef.h>

#include "common/buf.h"

/* argv[0] is the program's name ("fumibako-render").  Its stdout goes to out (already initialised,
 * its maximum counts); stderr stays ours.  FB_OK whenever it ended by itself, with its exit code;
 * FB_NOT_FOUND it is not there, FB_CRASHED killed by a signal or by the time limit, FB_TOO_BIG more
 * output than out takes. */
FB_MUST_USE enum fb_status fb_run(char *const *argv, int pass_fd, int timeout_ms,
                                  struct fb_buf *out, int *exit_r, struct fb_error *err);

/* The same with several descriptors that stay open in the program. */
FB_MUST_USE enum fb_status fb_run_with(char *const *argv, const int *pass_fds, size_t pass_count,
                                       int timeout_ms, struct fb_buf *out, int *exit_r,
                                       struct fb_error *err);

/* A file in memory, sealed, that the program may open as path_r ("/proc/self/fd/N"); the caller
 * closes fd_r.
 */
FB_MUST_USE enum fb_status fb_run_file(struct fb_slice bytes, int *fd_r, char path_r[32],
                                       struct fb_error *err);

#endif
