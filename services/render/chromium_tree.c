/* SPDX-License-Identifier: Apache-2.0
 *
 * A tree of processes as /proc shows it, and the removal of a folder that others wrote to. */
#include "services/render/chromium_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PROCESSES 32768
#define MAX_DEPTH     32
#define STATUS_BYTES  4096

struct process {
    pid_t pid, parent;
    int64_t bytes;
    bool is_ours;
};

struct processes {
    struct process *list;
    size_t count, cap;
};

/* The number behind "name:" in /proc/PID/status; 0 without it. */
static int64_t status_number(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found != NULL ? strtoll(found + strlen(name), NULL, 10) : 0;
}

static bool read_status(pid_t pid, struct process *p)
{
    char path[64], text[STATUS_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    /* Pages of files (the program itself, in each of its processes) can be dropped at any time and
     * would be counted many times: they are left out. */
    int64_t kib = status_number(text, "\nRssAnon:") + status_number(text, "\nRssShmem:");
    *p = (struct process){
        .pid = pid, .parent = (pid_t)status_number(text, "\nPPid:"), .bytes = kib * 1024};
    return true;
}

static bool add(struct processes *all, const struct process *p)
{
    if (all->count == all->cap) {
        size_t cap = all->cap > 0 ? all->cap * 2 : 256;
        struct process *grown =
            cap <= MAX_PROCESSES ? realloc(all->list, cap * sizeof *grown) : NULL;
        if (grown == NULL) {
            return false;
        }
        all->list = grown;
        all->cap = cap;
    }
    all->list[all->count++] = *p;
    return true;
}

/* Marks the descendants of root. */
static void mark(struct processes *all, pid_t root)
{
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (size_t i = 0; i < all->count; i++) {
            struct process *p = &all->list[i];
            bool is_child = p->parent == root;
            for (size_t k = 0; k < all->count && !is_child && !p->is_ours; k++) {
                is_child = all->list[k].is_ours && all->list[k].pid == p->parent;
            }
            if (is_child && !p->is_ours) {
                p->is_ours = true;
                is_changed = true;
            }
        }
    }
}

static struct processes descendants(pid_t root)
{
    struct processes all = {0};
    DIR *dir = opendir("/proc");
    if (dir == NULL) {
        return all;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        struct process p;
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 0 && read_status((pid_t)pid, &p) && !add(&all, &p)) {
            break;
        }
    }
    (void)closedir(dir);
    mark(&all, root);
    return all;
}

int64_t render_chromium_tree_bytes(pid_t pid)
{
    struct processes all = descendants(pid);
    int64_t sum = 0;
    for (size_t i = 0; i < all.count; i++) {
        sum += all.list[i].is_ours ? all.list[i].bytes : 0;
    }
    free(all.list);
    return sum;
}

int render_chromium_tree_kill(pid_t pid)
{
    struct processes all = descendants(pid);
    int count = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (all.list[i].is_ours) {
            (void)kill(all.list[i].pid, SIGKILL);
            count++;
        }
    }
    free(all.list);
    return count;
}

/* By descriptors, so that a link put in place of a folder leads nowhere. */
static void remove_contents(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0 || depth == MAX_DEPTH) {
            continue;
        }
        int sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0) {
            remove_contents(sub, depth + 1);
            (void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
        }
    }
    (void)closedir(dir);
}

void render_chromium_tree_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        remove_contents(fd, 0);
    }
    (void)rmdir(path);
}
