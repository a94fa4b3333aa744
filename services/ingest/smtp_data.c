/* SPDX-License-Identifier: Apache-2.0
 *
 * A state machine for the awkward places, and two fast ways around it: whole blocks that hold
 * nothing but complete, unstuffed lines are proved clean by one pass that the compiler turns into
 * vector code, and lines are searched by memchr.  Only CRLF ends a line and only CRLF.CRLF ends the
 * content: everything else that some server somewhere takes for an end (LF.LF, CRLF.LF,
 * CRLF.CR.CRLF ...) is an ordinary, refused line here. */
#include "smtp_data.h"

#include <string.h>

#define BLOCK 4096U
#define STRIP 128U /* 8-bit counters of one strip cannot overflow */

/* What came last, and what it can become.  Held bytes are not handed on yet. */
enum place {
    LINE_START,
    IN_LINE,
    AFTER_CR,     /* handed on */
    AFTER_DOT,    /* "." at a line's start, held */
    AFTER_DOT_CR, /* ".\r" at a line's start, held */
};

static const char received[] = "received:";
#define RECEIVED_LEN (sizeof received - 1)
#define NO_MATCH     255U

void scan_init(struct scan *s, enum scan_mode mode, scan_emit_fn *emit, void *ctx)
{
    *s = (struct scan){
        .mode = mode, .state = LINE_START, .is_header = true, .emit = emit, .ctx = ctx};
}

static void hand_on(struct scan *s, const uint8_t *ptr, size_t len)
{
    if (len > 0) {
        s->size += len;
        s->emit(s->ctx, ptr, len);
    }
}

static void line_ended(struct scan *s)
{
    if (s->is_header) {
        if (s->line == 0) {
            s->is_header = false;
        } else if (s->matched == RECEIVED_LEN) {
            s->received++;
        }
    }
    s->line = 0;
    s->matched = 0;
    s->state = LINE_START;
}

/* Counts octets of the line; len of them stand at p and none of them is CR or LF. */
static void line_grew(struct scan *s, const uint8_t *p, size_t len)
{
    for (size_t i = 0; s->is_header && i < len && s->matched < RECEIVED_LEN; i++) {
        uint8_t c = p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] + 32) : p[i];
        s->matched = c == (uint8_t)received[s->matched] ? s->matched + 1 : (uint8_t)NO_MATCH;
    }
    s->line += len;
    if (s->line > SMTP_MAX_LINE) {
        s->has_long_line = true;
    }
}

static bool lf_ends_line(struct scan *s)
{
    if (s->mode == SCAN_LENIENT) {
        return true;
    }
    s->has_bare = true;
    return false;
}

/* One byte.  Returns true when it was the last one of the content. */
static bool step(struct scan *s, const uint8_t *p)
{
    uint8_t c = *p;
    if (c == 0) {
        s->has_bare = true;
    }
    switch ((enum place)s->state) {
    case AFTER_DOT:
        if (c == '\r') {
            s->state = AFTER_DOT_CR;
            return false;
        }
        break; /* the dot was stuffed: it is dropped, this octet begins the line */
    case AFTER_DOT_CR:
        if (c == '\n') {
            return true;
        }
        /* ".\r" and something else: a bare CR.  The content is refused; it only must not end here.
         */
        s->has_bare = true;
        s->state = IN_LINE;
        break;
    case AFTER_CR:
        if (c == '\n') {
            hand_on(s, p, 1);
            line_ended(s);
            return false;
        }
        s->has_bare = true;
        break;
    case LINE_START:
        if (c == '.' && s->mode == SCAN_DOT) {
            s->state = AFTER_DOT;
            return false;
        }
        break;
    case IN_LINE:
        break;
    }
    if (c == '\r') {
        s->state = AFTER_CR;
    } else if (c == '\n') {
        if (lf_ends_line(s)) {
            hand_on(s, (const uint8_t *)"\r\n", 2);
            line_ended(s);
            return false;
        }
        s->state = IN_LINE;
        s->line++; /* so that two bare LFs do not end the header */
    } else {
        s->state = IN_LINE;
        line_grew(s, p, 1);
    }
    hand_on(s, p, 1);
    return false;
}

/* Whether every CR and LF of the block belongs to a CRLF within it, and it has no NUL and no line
 * that begins with a dot (behind an LF of the block). The caller has seen to the first octet and to
 * a CR at the end. */
static bool block_is_clean(const uint8_t *p, size_t len, uint8_t *high_r)
{
    size_t cr = 0, lf = p[0] == '\n', pairs = 0;
    uint8_t bad = p[0] == 0, high = p[0];
    cr += p[0] == '\r';
    for (size_t at = 1; at < len;) {
        size_t n = len - at < STRIP ? len - at : STRIP;
        uint8_t crs = 0, lfs = 0, both = 0;
        const uint8_t *q = p + at;
        for (size_t i = 0; i < n; i++) {
            uint8_t c = q[i], before = q[(ptrdiff_t)i - 1];
            crs = (uint8_t)(crs + (c == '\r'));
            lfs = (uint8_t)(lfs + (c == '\n'));
            both = (uint8_t)(both + ((c == '\n') & (before == '\r')));
            bad |= (uint8_t)((c == 0) | ((c == '.') & (before == '\n')));
            high |= c;
        }
        cr += crs;
        lf += lfs;
        pairs += both;
        at += n;
    }
    *high_r = high;
    return bad == 0 && cr == pairs && lf == pairs;
}

/* Tries to pass a whole block of the body; returns its length or 0. */
static size_t pass_block(struct scan *s, const uint8_t *p, size_t len)
{
    if (s->is_header || s->mode == SCAN_LENIENT || len < 16 ||
        (s->state != LINE_START && s->state != IN_LINE)) {
        return 0;
    }
    size_t n = len < BLOCK ? len : BLOCK;
    if (p[n - 1] == '\r') {
        n--;
    }
    uint8_t high = 0;
    if ((s->state == LINE_START && p[0] == '.' && s->mode == SCAN_DOT) ||
        !block_is_clean(p, n, &high)) {
        return 0;
    }
    s->is_8bit |= high > 127;
    const uint8_t *last = memrchr(p, '\n', n);
    if (last == NULL) {
        line_grew(s, p, n);
        s->state = IN_LINE;
    } else {
        const uint8_t *first = memchr(p, '\n', n);
        line_grew(s, p, (size_t)(first - p) - 1); /* its CR is in the block, too */
        s->line = n - (size_t)(last - p) - 1; /* lines inside a block are shorter than the limit */
        s->state = s->line == 0 ? LINE_START : IN_LINE;
    }
    return n;
}

/* Passes the rest of a line up to its CR (or up to what needs the state machine); returns its
 * length. */
static size_t pass_text(struct scan *s, const uint8_t *p, size_t len)
{
    if (s->state != IN_LINE) {
        return 0;
    }
    const uint8_t *cr = memchr(p, '\r', len);
    size_t n = cr == NULL ? len : (size_t)(cr - p);
    const uint8_t *lf = memchr(p, '\n', n);
    n = lf == NULL ? n : (size_t)(lf - p);
    if (n > 0 && memchr(p, 0, n) != NULL) {
        s->has_bare = true;
    }
    uint8_t high = 0;
    for (size_t i = 0; i < n; i++) {
        high |= p[i];
    }
    s->is_8bit |= high > 127;
    line_grew(s, p, n);
    return n;
}

size_t scan_feed(struct scan *s, const uint8_t *p, size_t len, bool *is_end_r)
{
    *is_end_r = false;
    size_t at = 0, kept = 0; /* [kept, at) can be handed on in one piece */
    size_t slow_until = 0;   /* a block that was not clean is read line by line to here */
    while (at < len) {
        size_t n = at >= slow_until ? pass_block(s, p + at, len - at) : 0;
        if (n == 0) {
            slow_until = at >= slow_until ? at + BLOCK : slow_until;
            n = pass_text(s, p + at, len - at);
        }
        if (n > 0) {
            at += n;
            continue;
        }
        bool is_plain = s->state == LINE_START || s->state == IN_LINE;
        if (is_plain && p[at] == '\r' && len - at > 1 && p[at + 1] == '\n') {
            at += 2;
            line_ended(s);
            continue;
        }
        if (s->state == LINE_START && p[at] != '\r' && p[at] != '\n' &&
            (p[at] != '.' || s->mode != SCAN_DOT)) {
            s->state = IN_LINE; /* an ordinary line: pass_text takes it */
            continue;
        }
        hand_on(s, p + kept, at - kept);
        s->is_8bit |= p[at] > 127;
        bool is_end = step(s, p + at);
        at++;
        kept = at;
        if (is_end) {
            *is_end_r = true;
            return at;
        }
    }
    hand_on(s, p + kept, at - kept);
    return at;
}

void scan_finish(struct scan *s)
{
    if (s->state == AFTER_CR) {
        s->has_bare = true;
    } else if (s->state == IN_LINE) {
        hand_on(s, (const uint8_t *)"\r\n", 2);
        line_ended(s);
    }
}
