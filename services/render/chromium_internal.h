/* SPDX-License-Identifier: Apache-2.0
 *
 * What the chromium_*.c files share. See chromium.h for who does what. */
#ifndef FB_RENDER_CHROMIUM_INTERNAL_H
#define FB_RENDER_CHROMIUM_INTERNAL_H

#include <jansson.h>
#include <sys/types.h>

#include "services/render/chromium.h"

/* ---- chromium_tree.c ---- */

/* Memory of all descendants of pid (not of pid itself) that is not file-backed, in bytes. */
int64_t render_chromium_tree_bytes(pid_t pid);
/* SIGKILL to all descendants of pid; how many there were. */
int render_chromium_tree_kill(pid_t pid);
/* Removes the folder and all in it without following links, whoever owns the contents. */
void render_chromium_tree_remove(const char *path);

/* ---- chromium_keeper.c ---- */

/* Descriptors in the keeper and, 3 and 4, in the browser. */
enum {
    RENDER_KEEPER_COMMANDS = 3,
    RENDER_KEEPER_EVENTS = 4,
    RENDER_KEEPER_LIFE = 5,
    RENDER_KEEPER_STATUS = 6
};

/* Steps that can fail, as the keeper reports them. */
enum render_keeper_step {
    RENDER_KEEPER_FDS = 1,
    RENDER_KEEPER_USER_NS,
    RENDER_KEEPER_MOUNTS,
    RENDER_KEEPER_FONTS,
    RENDER_KEEPER_FORK,
    RENDER_KEEPER_USER,
    RENDER_KEEPER_EXEC
};

struct render_keeper_report {
    int32_t step;
    int32_t error; /* errno */
};

/* All that the keeper needs, made ready before the fork: behind it only calls that are safe after
 * a fork of a program with threads. */
struct render_keeper {
    int fds[4];      /* commands, events, life, status: the ends that are the keeper's */
    unsigned spaces; /* CLONE_NEW... that were asked for */
    bool drops_user; /* become uid and gid */
    uid_t uid;
    gid_t gid;
    const char *dir; /* the browser's home */
    const char *tmpfs_options;
    const char *fonts_path; /* below dir; where fonts_conf is written to */
    struct fb_slice fonts_conf;
    char *const *argv;
    char *const *envp;
};

/* In the new process. Starts the browser, reports failures on the status pipe (nothing and its end
 * for success), and ends the browser's whole tree when the life pipe or the browser ends. */
_Noreturn void render_keeper_main(const struct render_keeper *k);

/* ---- chromium_process.c ---- */

struct render_chromium_launch {
    char *binary;
    struct fb_slice fonts_conf; /* lent */
    bool drops_user;
    bool no_namespaces;
    uid_t uid;
    gid_t gid;
    int64_t memory_bytes;
};

/* ---- chromium_home.c ---- */

struct render_chromium_home {
    char path[64]; /* "": none */
    int fd;        /* holds the lock */
};

FB_MUST_USE enum fb_status render_chromium_home_make(const struct render_chromium_launch *launch,
                                                     struct render_chromium_home *home,
                                                     struct fb_error *err);
void render_chromium_home_remove(struct render_chromium_home *home);
/* Removes the homes that killed services left. */
void render_chromium_home_sweep(const struct render_chromium_launch *launch);

/* ---- chromium_process.c, its main part ---- */

struct render_chromium_process {
    pid_t keeper; /* 0: not running */
    int pidfd;
    int commands, events; /* pipe ends, non-blocking */
    int life;             /* its end ends the browser */
    bool has_pid_space;   /* the kernel ends the tree with the keeper */
    struct render_chromium_home home;
};

FB_MUST_USE enum fb_status
render_chromium_process_start(const struct render_chromium_launch *launch,
                              struct render_chromium_process *p, struct fb_error *err);
bool render_chromium_process_is_alive(const struct render_chromium_process *p);
/* Ends the tree, waits for its end, removes the home. Harmless when not running. */
void render_chromium_process_stop(struct render_chromium_process *p);
/* Whether the browser's user may make user name spaces, which Chromium's sandbox needs. */
bool render_chromium_process_may_sandbox(const struct render_chromium_launch *launch);

/* ---- chromium_cdp.c ---- */

struct render_cdp {
    const struct render_chromium_process *process;
    struct fb_buf in, out;
    size_t sent;    /* of out */
    size_t scanned; /* of in: no NUL before it */
    int next_id;
    int wanted_id;  /* the call that is waited for */
    json_t *answer; /* to it */
    char session[64];
    int64_t deadline_ms;
    int64_t memory_bytes;
    int64_t next_look_ms; /* at memory */
    /* Told of each event. Its failure ends the call. */
    enum fb_status (*on_event)(void *ctx, const char *method, const json_t *params,
                               struct fb_error *err);
    void *ctx;
};

void render_cdp_init(struct render_cdp *c, const struct render_chromium_process *process,
                     int64_t memory_bytes);
void render_cdp_deinit(struct render_cdp *c);
/* Queues a command without waiting; params is taken (NULL: none). */
FB_MUST_USE enum fb_status render_cdp_send(struct render_cdp *c, const char *method, json_t *params,
                                           struct fb_error *err);
/* Queues a command whose params are given as JSON text. */
FB_MUST_USE enum fb_status render_cdp_send_text(struct render_cdp *c, const char *method,
                                                const struct fb_buf *params, struct fb_error *err);
/* Queues a command and waits for its answer; params is taken, *result_r is the caller's (may be
 * NULL). FB_CRASHED: time, memory, the browser's end, or an error for an answer. */
FB_MUST_USE enum fb_status render_cdp_call(struct render_cdp *c, const char *method, json_t *params,
                                           json_t **result_r, struct fb_error *err);
/* Sends, receives and dispatches once, for 100 ms at most. */
FB_MUST_USE enum fb_status render_cdp_pump(struct render_cdp *c, struct fb_error *err);

/* ---- chromium_page.c ---- */

struct render_chromium_job {
    struct fb_slice html;
    const struct render_image *images;
    size_t image_count;
    double width_in, height_in;
    bool is_tagged;
};

struct render_chromium_page {
    struct render_cdp cdp;
    const struct render_chromium_job *job; /* NULL between prints */
    bool is_served; /* the mail was handed to the browser: it may be what killed it */
    int requests;
    uint64_t answered_bytes;
    int view_px;     /* width that the page is laid out for */
    double width_in; /* of the paper */
    char frame[64];  /* id of the target and of its main frame */
    char loaded[64]; /* loader id of the last document that was loaded */
};

/* Makes a target and prepares it. The page must not move in memory. */
FB_MUST_USE enum fb_status render_chromium_page_open(struct render_chromium_page *page,
                                                     const struct render_chromium_process *process,
                                                     int64_t memory_bytes, int64_t deadline_ms,
                                                     struct fb_error *err);
void render_chromium_page_close(struct render_chromium_page *page);
FB_MUST_USE enum fb_status render_chromium_page_print(struct render_chromium_page *page,
                                                      const struct render_chromium_job *job,
                                                      int64_t deadline_ms, struct fb_buf *pdf,
                                                      struct fb_error *err);

/* ---- chromium_fit.c ---- */

/* Lays out for the text width of the job's paper, or a wider one where the letter was prepared for it. */
FB_MUST_USE enum fb_status render_chromium_fit_view(struct render_chromium_page *page,
                                                    struct fb_error *err);
/* Makes the letter that is loaded smaller when it is wider than that, or the page wider. */
FB_MUST_USE enum fb_status render_chromium_fit(struct render_chromium_page *page,
                                               struct fb_error *err);

/* ---- chromium_pdf.c ---- */

/* false: unknown name. */
bool render_chromium_pdf_paper(const char *name, double *width_in_r, double *height_in_r);
/* Writes date_ms over the dates of a PDF, in place. */
void render_chromium_pdf_date(uint8_t *pdf, size_t len, int64_t date_ms);
/* Counts the names of structure elements from one, in place: Chromium numbers them on and on, so that equal
 * mails would differ. */
void render_chromium_pdf_ids(uint8_t *pdf, size_t len);

#endif
