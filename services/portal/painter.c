/* SPDX-License-Identifier: Apache-2.0 */
#include "services/portal/painter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/confine.h"
#include "common/exchange.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/zygote.h"

#define MEMORY       (1LL << 30) /* of a child: the file, what it unpacks to, fonts */
#define CPU_S        15
#define AT_ONCE      3     /* children; readers wait for their turn */
#define TURN_WAIT_MS 10000 /* with PAINTER_TIMEOUT_MS within the time that a request may take */
#define CHUNK        (256U << 10)

/* One for the process: it is forked before anything else is made. */
static struct fb_zygote *zygote;
static const struct fb_config *inherited; /* by the zygote, which runs warm() alone */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards running */
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static unsigned running;

/* What the children never need is not in their memory. */
static void warm(void)
{
    static const char *const nothing[] = {NULL};
    fb_config_forget(inherited, nothing);
    painter_child_warm();
}

enum fb_status painter_prepare(const struct fb_config *config, struct fb_error *err)
{
    const struct fb_sandbox sandbox = {
        .memory_bytes = MEMORY, .cpu_s = CPU_S, .user = config->render.chromium_user};
    if (fb_landlock_version() == 0) {
        fb_log(FB_WARN, "this kernel has no Landlock: the painter's sandbox relies on seccomp "
                        "alone");
    }
    inherited = config;
    return fb_zygote_start("portal-zygote", &sandbox, warm, painter_child_run, &zygote, err);
}

void painter_stop(void)
{
    fb_zygote_stop(&zygote);
}

bool painter_is_dead(void)
{
    return zygote != NULL && fb_zygote_is_dead(zygote);
}

/* Types by their media type's essence: "image/png; name=x" is one. */
bool painter_knows(const char *type, enum painter_kind *kind_r)
{
    static const struct {
        const char *type;
        enum painter_kind kind;
    } known[] = {{"application/pdf", PAINTER_PDF},
                 {"image/png", PAINTER_IMAGE},
                 {"image/jpeg", PAINTER_IMAGE},
                 {"image/jpg", PAINTER_IMAGE}};
    size_t len = strcspn(type, "; \t");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].type) == len && strncasecmp(known[i].type, type, len) == 0) {
            *kind_r = known[i].kind;
            return true;
        }
    }
    return false;
}

static bool take_turn(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TURN_WAIT_MS / 1000;
    int e = 0;
    (void)pthread_mutex_lock(&lock);
    while (running >= AT_ONCE && e == 0) {
        e = pthread_cond_timedwait(&turn, &lock, &until);
    }
    bool has_turn = running < AT_ONCE;
    running += has_turn ? 1 : 0;
    (void)pthread_mutex_unlock(&lock);
    return has_turn;
}

static void give_turn(void)
{
    (void)pthread_mutex_lock(&lock);
    running--;
    (void)pthread_cond_signal(&turn);
    (void)pthread_mutex_unlock(&lock);
}

static enum fb_status told(enum fb_status s, const char *what, struct fb_error *err)
{
    return s == FB_OK ? FB_OK
                      : fb_error_set(err, FB_CRASHED, "the painter %s while %s",
                                     s == FB_CRASHED ? "took too long" : "ended", what);
}

/* The child may answer before it has read everything: it is heard all the same. */
static enum fb_status send_file(int fd, const struct painter_job *job, int64_t until_ms,
                                struct fb_error *err)
{
    uint8_t *chunk = fb_xcalloc(1, CHUNK);
    enum fb_status s = FB_OK;
    for (uint64_t at = 0; at < job->size && s == FB_OK;) {
        size_t n = 0;
        size_t want = job->size - at < CHUNK ? (size_t)(job->size - at) : CHUNK;
        s = job->read(job->ctx, at, chunk, want, &n, err);
        if (s == FB_OK && n == 0) {
            s = fb_error_set(err, FB_CORRUPT, "a file is shorter than its size says");
        }
        if (s == FB_OK) {
            enum fb_status sent = fb_exchange_send(fd, chunk, n, until_ms);
            if (sent == FB_NETWORK) {
                break;
            }
            s = told(sent, "it was sent a file", err);
        }
        at += n;
    }
    free(chunk);
    return s;
}

static enum fb_status receive_image(int fd, const struct painter_job *job, int64_t until_ms,
                                    struct painter_answer *a, struct fb_buf *png,
                                    struct fb_error *err)
{
    uint8_t head[PAINTER_ANSWER_SIZE];
    enum fb_status s =
        told(fb_exchange_receive(fd, head, sizeof head, until_ms), "it painted", err);
    if (s == FB_OK && !painter_answer_read(head, a)) {
        s = fb_error_set(err, FB_CRASHED, "the painter's answer makes no sense");
    }
    if (s == FB_OK && a->status != FB_OK) {
        s = fb_error_set(err, a->status, "the painter refuses the file");
    }
    if (s == FB_OK && job->page > 0) {
        s = fb_buf_reserve(png, a->image_len);
        if (s == FB_OK) {
            s = told(fb_exchange_receive(fd, png->ptr, a->image_len, until_ms), "its image came",
                     err);
        }
        if (s == FB_OK) {
            png->len = a->image_len;
            png->ptr[png->len] = '\0';
            if (!painter_is_png(fb_slice_buf(png), a->width, a->height)) {
                s = fb_error_set(err, FB_CRASHED, "the painter's image is none");
            }
        }
    }
    return s;
}

static enum fb_status converse(int fd, const struct painter_job *job, struct painter_answer *a,
                               struct fb_buf *png, struct fb_error *err)
{
    int64_t until_ms = fb_mono_ms() + PAINTER_TIMEOUT_MS;
    uint8_t head[PAINTER_REQUEST_SIZE];
    const struct painter_request request = {.kind = job->kind,
                                            .page = job->page,
                                            .size = job->size,
                                            .mark_len = (uint32_t)strlen(job->mark)};
    painter_request_write(&request, head);
    enum fb_status s = told(fb_exchange_send(fd, head, sizeof head, until_ms), "it was asked", err);
    if (s == FB_OK) {
        s = told(fb_exchange_send(fd, job->mark, request.mark_len, until_ms), "it was asked", err);
    }
    if (s == FB_OK) {
        s = send_file(fd, job, until_ms, err);
    }
    return s == FB_OK ? receive_image(fd, job, until_ms, a, png, err) : s;
}

enum fb_status painter_paint(const struct painter_job *job, struct painter_answer *answer_r,
                             struct fb_buf *png, struct fb_error *err)
{
    struct fb_child child = {.fd = -1, .pidfd = -1};
    FB_ASSERT(strlen(job->mark) <= PAINTER_MAX_MARK && job->page <= PAINTER_MAX_PAGES);
    if (job->size == 0) {
        return fb_error_set(err, FB_INVALID, "an empty file");
    }
    if (job->size > PAINTER_MAX_INPUT) {
        return fb_error_set(err, FB_TOO_BIG, "the file is too large to be painted");
    }
    if (zygote == NULL || !take_turn()) {
        return fb_error_set(err, FB_AGAIN, "too many images are being painted");
    }
    int64_t begun_ms = fb_mono_ms();
    enum fb_status s = fb_zygote_spawn(zygote, &child, err);
    if (s == FB_OK) {
        s = converse(child.fd, job, answer_r, png, err);
        fb_child_end(&child);
    }
    give_turn();
    fb_metric_observe("fumibako_portal_paint_seconds",
                      s == FB_OK ? "outcome=\"ok\"" : "outcome=\"failed\"",
                      (double)(fb_mono_ms() - begun_ms) / 1000);
    return s;
}
