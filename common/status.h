/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call can come back with.  One table (status.c) says for every status its class, the SMTP
 * reply (RFC 5321, RFC 3463) that ingest gives for it, and its name in logs and metrics.
 */
#ifndef FB_COMMON_STATUS_H
#define FB_COMMON_STATUS_H

#include <stddef.h>
#include <stdint.h>

#define FB_MUST_USE     __attribute__((warn_unused_result))
#define FB_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum fb_status {
    FB_OK = 0,
    /* may work later */
    FB_AGAIN,    /* a peer is busy or asked us to wait */
    FB_NETWORK,  /* connection refused, lost or timed out */
    FB_NO_SPACE, /* disk full, quota reached, spool above its mark */
    FB_IO,       /* the operating system failed a read, write or sync */
    FB_CONFIG,   /* a credential or setting is wrong: stop the stage, not the job */
    /* will never work */
    FB_INVALID,   /* the input breaks its format */
    FB_TOO_BIG,   /* a limit was reached */
    FB_DENIED,    /* a peer or the policy refuses */
    FB_NOT_FOUND, /* the thing does not exist (any more) */
    FB_EXISTS,    /* the thing exists already */
    FB_CORRUPT,   /* stored data fails its integrity check */
    FB_LOST,      /* the job belongs to another worker now: change nothing */
    FB_RECALLED,  /* the message was recalled meanwhile */
    FB_CRASHED,   /* a sandboxed child died or ran out of time or memory */
    FB_BUG,       /* an assumption of ours is wrong */
    FB_STATUS_COUNT
};

enum fb_class { FB_CLASS_OK, FB_CLASS_RETRY, FB_CLASS_REJECT, FB_CLASS_BUG };

enum fb_class fb_status_class(enum fb_status s);
/* Stable lower-case name, for logs, metrics and dead letters. */
const char *fb_status_name(enum fb_status s);
/* SMTP reply code (e.g. 451) and enhanced code (e.g. "4.3.0"). */
int fb_status_smtp(enum fb_status s, const char **enhanced_r);

#define FB_ERROR_MAX 512

/* The text of the first failure, extended by the layers above it: "open spool: segment x: No such
 * file". */
struct fb_error {
    enum fb_status status;
    char text[FB_ERROR_MAX];
};

/* Sets status and text, returns the status, so that `return fb_error_set(err, FB_IO, ...)` reads
 * well. err may be NULL.  Control characters are replaced by '?': the text ends in logs and on
 * terminals. */
enum fb_status fb_error_set(struct fb_error *err, enum fb_status s, const char *fmt, ...)
    FB_PRINTF(3, 4);
/* As fb_error_set, with ": " and strerror(errnum) behind it. */
enum fb_status fb_error_errno(struct fb_error *err, enum fb_status s, int errnum, const char *fmt,
                              ...) FB_PRINTF(4, 5);
/* Puts "text: " in front of what is there; returns err's status (FB_BUG for NULL). */
enum fb_status fb_error_prefix(struct fb_error *err, const char *fmt, ...) FB_PRINTF(2, 3);

/* For what cannot happen in a correct program, never for input. */
#define FB_ASSERT(x) ((x) ? (void)0 : fb_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void fb_assert_failed(const char *expression, const char *file, int line);

#endif
