/* SPDX-License-Identifier: Apache-2.0
 *
 * A browser's home: a folder of its own below /tmp. The service holds a lock on it, so that the
 * home of a service that was killed can be told from a living one's and is removed by the next
 * start: it may hold pages of mail. */
#include "services/render/chromium_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "fumibako-chromium-"

enum fb_status render_chromium_home_make(const struct render_chromium_launch *l,
                                         struct render_chromium_home *home, struct fb_error *err)
{
    /* Made and locked under another name, so that no sweep sees it unlocked. */
    char made[] = P_tmpdir "/.fumibako-new-XXXXXX";
    *home = (struct render_chromium_home){.fd = -1};
    if (mkdtemp(made) == NULL) {
        return fb_error_errno(err, FB_IO, errno, "Chromium: a folder in %s", P_tmpdir);
    }
    (void)snprintf(home->path, sizeof home->path, "%s/" PREFIX "%s", P_tmpdir,
                   made + sizeof made - 7);
    home->fd = open(made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_done = home->fd >= 0 && flock(home->fd, LOCK_EX | LOCK_NB) == 0 &&
                   (!l->drops_user || fchown(home->fd, l->uid, l->gid) == 0) &&
                   rename(made, home->path) == 0;
    if (!is_done) {
        int saved = errno;
        (void)rmdir(made);
        home->path[0] = '\0';
        render_chromium_home_remove(home);
        return fb_error_errno(err, FB_IO, saved, "Chromium: %s", made);
    }
    return FB_OK;
}

void render_chromium_home_remove(struct render_chromium_home *home)
{
    if (home->path[0] != '\0') {
        render_chromium_tree_remove(home->path);
    }
    if (home->fd >= 0) {
        (void)close(home->fd);
    }
    *home = (struct render_chromium_home){.fd = -1};
}

void render_chromium_home_sweep(const struct render_chromium_launch *l)
{
    DIR *dir = opendir(P_tmpdir);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strncmp(e->d_name, PREFIX, sizeof PREFIX - 1) != 0) {
            continue;
        }
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        /* Only what is the browser's own: others may put anything into /tmp. */
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == l->uid &&
            flock(fd, LOCK_EX | LOCK_NB) == 0) {
            char path[sizeof P_tmpdir + sizeof e->d_name + 1];
            (void)snprintf(path, sizeof path, "%s/%s", P_tmpdir, e->d_name);
            render_chromium_tree_remove(path);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    (void)closedir(dir);
}
