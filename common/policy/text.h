/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing text without case for the policy: UTF-8 folding, "contains", globs, addresses, and the
 * regular expressions of TRE in a UTF-8 locale.  Internal to common/policy.
 *
 * Folding is simple case mapping, one code point to one (Unicode's C+S): it covers ASCII, Latin,
 * Greek, Cyrillic and the full-width letters among themselves.  Full-width and half-width forms are
 * different characters to it, as are composed and decomposed ones.  Bytes that are not UTF-8 equal
 * only themselves.
 */
#ifndef FB_COMMON_POLICY_TEXT_H
#define FB_COMMON_POLICY_TEXT_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tre/tre.h>

/* The longest text of one condition, in bytes: the search table of "contains" lies on the stack. */
#define FB_POL_TERM_MAX 1024
/* What regular expressions and "contains" see of a text, in bytes. */
#define FB_POL_SUBJECT_MAX ((size_t)64 * 1024)
#define FB_POL_BODY_MAX    ((size_t)1024 * 1024)
/* RFC 5321 4.5.3.1.3 allows 256; SMTPUTF8 and sloppy clients some more. */
#define FB_POL_ADDRESS_MAX 1024

/* C.UTF-8, loaded once and kept, whatever the program's own locale is; (locale_t)0 where the system
 * has none, and then only ASCII letters fold.  Parsing a policy loads it, so that a sandboxed child
 * that inherits the policy needs no file for it. */
locale_t fb_pol_locale(void);

/* The code point at *p, which moves behind it.  A byte that is not UTF-8 gives 0xDC00 + byte, a
 * value that valid UTF-8 cannot hold.  *p must be before end. */
uint32_t fb_pol_utf8_next(const char **p, const char *end);
uint32_t fb_pol_fold(uint32_t c);
/* Length of the first at most max bytes of text. */
size_t fb_pol_bounded_len(const char *text, size_t max);

/* Finds needle (1 to FB_POL_TERM_MAX bytes) in the first max bytes of text, without case.  Linear
 * in time.  The offset and length of the occurrence, in bytes, go to the outputs, which may be
 * NULL. */
bool fb_pol_find(const char *text, size_t max, const char *needle, size_t *offset_r, size_t *len_r);
/* The same in text whose lines were broken to fit a width, as mailers do: a break with the blanks
 * around it is one blank (has_blank), or nothing, as between Japanese characters. */
bool fb_pol_find_wrapped(const char *text, size_t max, const char *needle, bool has_blank);
/* "*" is any run of characters, "?" is one character; everything else is itself, without case. */
bool fb_pol_glob(const char *pattern, const char *text);

/* The form in which addresses are compared, lent from out (or address itself when it is too long to
 * be one): ASCII letters in lower case, a local part in quotes without them, no dot behind the
 * domain.
 *
 * RFC 5321 2.4 reserves the case of the local part to its host.  We ignore it, since no system in
 * use tells "Legal@" from "legal@", and a rule that could be dodged by writing it the other way
 * would protect nothing. Non-ASCII letters (SMTPUTF8) are bytes; an A-label and its U-label are
 * different domains. */
const char *fb_pol_address(const char *address, char out[FB_POL_ADDRESS_MAX]);

/* The address that an address in fb_pol_address's form leads to when a mail system on the way obeys
 * the route in its local part, as Postfix does by default for domains that it takes for its own
 * (allow_percent_hack, swap_bangpath): "a%b@c", "b!a@c" and "a@b"@c are mail for a@b.  False when
 * there is no route. */
bool fb_pol_route(const char *address, char out[FB_POL_ADDRESS_MAX]);

/* Compiles the text between the slashes.  Refuses, with the reason in why, what TRE
 * refuses and what would make it slow or silently wrong: back-references, huge repetitions, Perl's
 * classes. */
bool fb_pol_regex_compile(regex_t *regex, const char *pattern, char *why, size_t why_size);
bool fb_pol_regex_matches(const regex_t *regex, const char *text, size_t max);
void fb_pol_regex_free(regex_t *regex);

#endif
