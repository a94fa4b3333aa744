/* SPDX-License-Identifier: Apache-2.0
 *
 * Least privilege, enforced by the kernel: before a service starts its threads it gives up for good
 * what it never does.  An attacker who took over the process has no more than is left.
 *   no_new_privs   no set-user-ID program can give rights back
 *   Landlock       files: what it reads, what it writes, nothing to execute; TCP: the ports it listens
 *                  on and, where they are known at the start, those it connects to (Linux 6.7)
 *   seccomp        no new program, no new process, no mounting, tracing, loading into the kernel ...
 * What each service needs is one mask here; SECURITY.md has the table, and
 * tests/integration/security/privilege.test.mjs compares both with what the services really do.
 */
#ifndef FB_COMMON_CONFINE_H
#define FB_COMMON_CONFINE_H

#include "common/config.h"

/* What a service does; fb_service.uses. */
enum fb_uses {
    FB_USES_SPOOL = 1,         /* the spool and its key file */
    FB_USES_POLICY = 2,        /* policy.source and policy.cache */
    FB_USES_NAMED_FILES = 4,   /* reads files that the policy names: credentials, a logo */
    FB_USES_STORAGES = 8,      /* connects to wherever the policy's storages are */
    FB_USES_RELAY = 16,        /* connects to rewrite.relay */
    FB_USES_SMTP_SERVER = 32,  /* ingest's listeners and certificate */
    FB_USES_PORTAL = 64,       /* the portal's listener */
    FB_USES_WEBHOOK = 128,     /* watch's listener */
    FB_USES_SIGNING_KEY = 256, /* rewrite.key */
    FB_USES_BROWSER = 512, /* runs Chromium: programs, name spaces, mounts; so no rules for files */
    FB_USES_VAULT = 1024,  /* vault.roots, to write */
    FB_USES_VAULT_READ = 2048, /* vault.roots, to read only; vaults in buckets */
    FB_USES_INGEST = 4096,     /* hands replies in: connects to ingest, with its token */
    FB_USES_FETCHER = 8192,    /* asks fetch for images, with its token */
    FB_USES_WEB = 16384,       /* fetch itself: its listener and the web's ports; no Redis */
    FB_USES_CONSOLE = 32768    /* the console's listener, accounts and identity provider */
};

#define FB_CONFINE_PATHS 128
#define FB_CONFINE_PORTS 8

/* The rules for one process; paths are owned. */
struct fb_confine_rules {
    struct {
        char *path;
        bool is_written;   /* made, changed and removed beneath it; else read */
        bool is_list_only; /* names beneath it may be listed, nothing be read */
    } paths[FB_CONFINE_PATHS];
    size_t path_count;
    uint16_t listens[FB_CONFINE_PORTS], connects[FB_CONFINE_PORTS];
    size_t listen_count, connect_count;
    bool has_file_rules;    /* false: files are as the system permits */
    bool has_connect_rules; /* false: not all peers are known */
    bool may_execute;       /* programs, processes, name spaces and mounts */
};

/* Makes the rules of a service that uses (a mask of enum fb_uses), whose health port is
 * metrics_port.  Makes the folders of spool and policy cache where they are missing (mode 700), since
 * a rule needs something that is there.  Release with fb_confine_rules_deinit. */
void fb_confine_rules_init(const struct fb_config *config, unsigned uses, uint16_t metrics_port,
                           struct fb_confine_rules *rules_r);
void fb_confine_rules_deinit(struct fb_confine_rules *rules);

/* Puts them in force for this thread and all that it makes.  With security.confine "auto" a kernel
 * that lacks a part is told in a warning, with "required" it is FB_CONFIG; "off" does nothing but
 * no_new_privs.  FB_CONFIG also when a part that the kernel has cannot be entered. */
FB_MUST_USE enum fb_status fb_confine(const struct fb_config *config,
                                      const struct fb_confine_rules *rules, struct fb_error *err);

/* Overwrites the secrets of the configuration that a service has no use for. */
void fb_confine_secrets(const struct fb_config *config, unsigned uses);

/* No core file and no look into memory by other processes of the same user; for every program. */
void fb_confine_memory(void);

/* Used by confine.c (the first one by sandbox.c and for logs as well). */

/* Version of the kernel's Landlock; 0: it has none. */
int fb_landlock_version(void);
/* FB_OK also where a part of the rules is beyond the kernel's version (files 1, TCP 4). */
FB_MUST_USE enum fb_status fb_landlock_enter(const struct fb_confine_rules *rules, int version,
                                             struct fb_error *err);
FB_MUST_USE enum fb_status fb_seccomp_enter(bool may_execute, struct fb_error *err);

#endif
