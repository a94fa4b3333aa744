/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock, by its system calls (glibc has no functions for them).  The structures are written out
 * here as of version 6: Debian 12's headers know version 2, the kernel takes what it is told the size
 * of. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/confine.h"

#define VERSION_TRUNCATE 3
#define VERSION_TCP      4
#define VERSION_SCOPE    6

/* Access to files, uapi/linux/landlock.h. */
#define F_EXECUTE    (1ULL << 0)
#define F_WRITE      (1ULL << 1)
#define F_READ       (1ULL << 2)
#define F_READ_DIR   (1ULL << 3)
#define F_REMOVE_DIR (1ULL << 4)
#define F_REMOVE     (1ULL << 5)
#define F_MAKE_DIR   (1ULL << 7)
#define F_MAKE_FILE  (1ULL << 8)
#define F_REFER      (1ULL << 13) /* version 2 */
#define F_TRUNCATE   (1ULL << 14) /* version 3 */
#define F_VERSION_1  ((1ULL << 13) - 1)
#define F_WRITES                                                                                   \
    (F_WRITE | F_READ | F_READ_DIR | F_REMOVE_DIR | F_REMOVE | F_MAKE_DIR | F_MAKE_FILE)
#define F_OF_A_FILE                                                                                \
    (F_EXECUTE | F_WRITE | F_READ | F_TRUNCATE) /* what a rule for a file may name */

#define N_BIND    (1ULL << 0)
#define N_CONNECT (1ULL << 1)

#define S_ABSTRACT_UNIX (1ULL << 0)
#define S_SIGNAL        (1ULL << 1)

#define RULE_PATH 1
#define RULE_PORT 2

struct ruleset_attr {
    uint64_t files, net, scoped;
};

struct path_attr {
    uint64_t access;
    int32_t parent_fd;
} __attribute__((packed));

struct port_attr {
    uint64_t access, port;
};

int fb_landlock_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U /* CREATE_RULESET_VERSION */);
    return v > 0 ? (int)v : 0;
}

static uint64_t known_files(int version)
{
    return F_VERSION_1 | (version >= 2 ? F_REFER : 0) |
           (version >= VERSION_TRUNCATE ? F_TRUNCATE : 0);
}

static enum fb_status add_path(int ruleset, const char *path, uint64_t access, struct fb_error *err)
{
    int fd = open(path, O_PATH | O_CLOEXEC); /* a link leads to what it means now */
    if (fd < 0) {
        return FB_OK; /* not on this system: nothing to allow */
    }
    struct stat st;
    long rc = fstat(fd, &st);
    if (rc == 0) {
        const struct path_attr rule = {
            .access = S_ISDIR(st.st_mode) ? access : access & F_OF_A_FILE, .parent_fd = fd};
        rc = rule.access == 0 ? 0 : syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &rule, 0);
    }
    int saved = errno;
    (void)close(fd);
    return rc == 0 ? FB_OK : fb_error_errno(err, FB_CONFIG, saved, "Landlock: a rule for %s", path);
}

static enum fb_status add_paths(int ruleset, const struct fb_confine_rules *rules, uint64_t known,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < rules->path_count && s == FB_OK; i++) {
        uint64_t access = rules->paths[i].is_written     ? F_WRITES | F_REFER | F_TRUNCATE
                          : rules->paths[i].is_list_only ? F_READ_DIR
                                                         : F_READ | F_READ_DIR;
        s = add_path(ruleset, rules->paths[i].path, access & known, err);
    }
    return s;
}

static enum fb_status add_port(int ruleset, uint16_t port, uint64_t access, struct fb_error *err)
{
    const struct port_attr rule = {.access = access, .port = port};
    return syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0) == 0
               ? FB_OK
               : fb_error_errno(err, FB_CONFIG, errno, "Landlock: a rule for port %u",
                                (unsigned)port);
}

static enum fb_status add_ports(int ruleset, const struct fb_confine_rules *rules,
                                struct fb_error *err)
{
    enum fb_status s = FB_OK;
    for (size_t i = 0; i < rules->listen_count && s == FB_OK; i++) {
        s = add_port(ruleset, rules->listens[i], N_BIND, err);
    }
    for (size_t i = 0; i < rules->connect_count && rules->has_connect_rules && s == FB_OK; i++) {
        s = add_port(ruleset, rules->connects[i], N_CONNECT, err);
    }
    return s;
}

enum fb_status fb_landlock_enter(const struct fb_confine_rules *rules, int version,
                                 struct fb_error *err)
{
    struct ruleset_attr attr = {.files = rules->has_file_rules ? known_files(version) : 0};
    if (version >= VERSION_TCP) {
        attr.net = N_BIND | (rules->has_connect_rules ? N_CONNECT : 0);
    }
    if (version >= VERSION_SCOPE && !rules->may_execute) {
        attr.scoped = S_ABSTRACT_UNIX | S_SIGNAL;
    }
    if (attr.files == 0 && attr.net == 0) {
        return FB_OK; /* nothing that this version knows */
    }
    size_t size = version >= VERSION_SCOPE ? sizeof attr
                  : version >= VERSION_TCP ? offsetof(struct ruleset_attr, scoped)
                                           : offsetof(struct ruleset_attr, net);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
    if (ruleset < 0) {
        return fb_error_errno(err, FB_CONFIG, errno, "Landlock: a set of rules");
    }
    enum fb_status s = rules->has_file_rules ? add_paths(ruleset, rules, attr.files, err) : FB_OK;
    if (s == FB_OK && attr.net != 0) {
        s = add_ports(ruleset, rules, err);
    }
    if (s == FB_OK && syscall(SYS_landlock_restrict_self, ruleset, 0U) != 0) {
        s = fb_error_errno(err, FB_CONFIG, errno, "Landlock");
    }
    (void)close(ruleset);
    return s;
}
