/* A disk that fails at a chosen instant, for one process: LD_PRELOAD=torture_shim.so

   Counts the calls that change files below TORTURE_BELOW (but not below TORTURE_BUT), and at call TORTURE_AT does
   TORTURE_DO: kill-before and kill-after (SIGKILL before or after the call), kill-half (a write is cut in half first),
   enospc and eio (this call and those after it, TORTURE_LASTS in all, fail; a write is cut short first). What gives room
   back never fails, nor counts, for want of it. The file TORTURE_COUNT is told what was hit, and the count at the end.

   torture_start() reads these settings again and counts anew, for this very process: one that was forked is another. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum deed { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_HALF, NO_ROOM, BROKEN };
enum verdict { PASS, DIE_AFTER, DIE_HALF, CUT, FAIL };

static const char *NAMES[] = {"", "kill-before", "kill-after", "kill-half", "enospc", "eio"};

static char below[PATH_MAX], but[PATH_MAX], count_file[PATH_MAX];
static long at, lasts, count;
static enum deed deed;
static pid_t who;

static const char *setting(const char *name) { const char *text = getenv(name); return text ? text : ""; }

static void folder(char *to, const char *name) {
    snprintf(to, PATH_MAX, "%s", setting(name));
}

void torture_start(void) {
    folder(below, "TORTURE_BELOW");
    folder(but, "TORTURE_BUT");
    folder(count_file, "TORTURE_COUNT");
    at = atol(setting("TORTURE_AT"));
    lasts = atol(setting("TORTURE_LASTS"));
    if (lasts < 1) lasts = 1;
    deed = NOTHING;
    for (int i = 1; i < (int)(sizeof NAMES / sizeof *NAMES); i++)
        if (!strcmp(NAMES[i], setting("TORTURE_DO"))) deed = i;
    count = 0;
    who = getpid();
}

/* Write the count, and which path was hit (every path where TORTURE_AT is below 0), if one was;
   a process that is about to be killed does it before. */
static void tell(const char *path) {
    char text[PATH_MAX + 32];
    if (!*count_file) return;
    int error = errno, length = snprintf(text, sizeof text, "%ld %s\n", count, path), wrong = 1;
    int file = open(count_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file >= 0) {
        wrong = write(file, text, length) != length;
        close(file);
    }
    if (wrong) perror(count_file);
    errno = error;
}

long torture_stop(void) {
    if (who == getpid()) tell("in all");
    who = 0;
    return count;
}

__attribute__((constructor)) static void begin(void) { torture_start(); }
__attribute__((destructor)) static void end(void) { torture_stop(); }

static int lies_in(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static void die(void) { kill(getpid(), SIGKILL); pause(); }

static enum verdict judge(const char *path, int needs_room) {
    if (!lies_in(path, below) || lies_in(path, but)) return PASS;
    if (deed == NO_ROOM && !needs_room) return PASS;
    long n = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (n == at || at < 0) tell(path);
    if (at <= 0 || n < at) return PASS;
    if (deed == NO_ROOM || deed == BROKEN) {
        if (n >= at + lasts) return PASS;
        errno = deed == NO_ROOM ? ENOSPC : EIO;
        return n == at && lasts > 1 ? CUT : FAIL;
    }
    if (n > at) return PASS;
    if (deed == KILL_BEFORE) die();
    return deed == KILL_HALF ? DIE_HALF : deed == KILL_AFTER ? DIE_AFTER : PASS;
}

static int is_at_work(void) { return *below && who == getpid(); }

static enum verdict judge_path(int dir, const char *path, int needs_room) {
    char full[PATH_MAX], link[64];
    if (!is_at_work() || !path) return PASS;
    int error = errno;
    if (*path == '/') {
        snprintf(full, sizeof full, "%s", path);
    } else {
        snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
        ssize_t length = readlink(link, full, sizeof full - 2);
        errno = error;
        if (length < 0) return PASS;
        snprintf(full + length, sizeof full - length, "/%s", path);
    }
    return judge(full, needs_room);
}

static enum verdict judge_file(int file, int needs_room) {
    char full[PATH_MAX], link[64];
    if (!is_at_work()) return PASS;
    int error = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, full, sizeof full - 1);
    errno = error;
    if (length < 0) return PASS;
    full[length] = 0;
    return judge(full, needs_room);
}

/* The library's own function of this name. */
#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* A call that is done or not: one that cannot be cut fails at once, or kills before it is done. */
#define WHOLE(verdict_of, call) \
    enum verdict verdict = verdict_of; \
    if (verdict == FAIL || verdict == CUT) return -1; \
    if (verdict == DIE_HALF) die(); \
    int answer = call; \
    if (verdict == DIE_AFTER) die(); \
    return answer

/* A call that transfers `length` bytes; `part` does it with so many of them. */
#define IN_PARTS(file, length, whole, half) \
    enum verdict verdict = judge_file(file, 1); \
    if (verdict == FAIL || (verdict == CUT && (length) < 2)) return -1; \
    ssize_t answer = verdict == DIE_HALF || verdict == CUT ? (half) : (whole); \
    if (verdict == DIE_AFTER || verdict == DIE_HALF) die(); \
    return answer

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    IN_PARTS(file, length, real(file, bytes, length), real(file, bytes, length / 2));
}

ssize_t writev(int file, const struct iovec *parts, int n) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    IN_PARTS(file, n, real(file, parts, n), real(file, parts, n / 2));
}

/* The calls that take a place in a file, by the type of that. */
#define AT_PLACES(pwrite, pwritev, sendfile, ftruncate, place) \
    ssize_t pwrite(int file, const void *bytes, size_t length, place where) { \
        REAL(ssize_t, pwrite, int, const void *, size_t, place); \
        IN_PARTS(file, length, real(file, bytes, length, where), real(file, bytes, length / 2, where)); \
    } \
    ssize_t pwritev(int file, const struct iovec *parts, int n, place where) { \
        REAL(ssize_t, pwritev, int, const struct iovec *, int, place); \
        IN_PARTS(file, n, real(file, parts, n, where), real(file, parts, n / 2, where)); \
    } \
    ssize_t sendfile(int to, int from, place *where, size_t length) { \
        REAL(ssize_t, sendfile, int, int, place *, size_t); \
        IN_PARTS(to, length, real(to, from, where, length), real(to, from, where, length / 2)); \
    } \
    int ftruncate(int file, place length) { \
        REAL(int, ftruncate, int, place); \
        WHOLE(judge_file(file, length > 0), real(file, length)); \
    }

AT_PLACES(pwrite, pwritev, sendfile, ftruncate, off_t)

#ifdef __GLIBC__
AT_PLACES(pwrite64, pwritev64, sendfile64, ftruncate64, off64_t)

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    IN_PARTS(to, length, real(from, from_at, to, to_at, length, flags),
             real(from, from_at, to, to_at, length / 2, flags));
}
#endif

int fsync(int file) {
    REAL(int, fsync, int);
    WHOLE(judge_file(file, 1), real(file));
}

int fdatasync(int file) {
    REAL(int, fdatasync, int);
    WHOLE(judge_file(file, 1), real(file));
}

/* Opening changes the disk only where it makes or empties a file. */
#define MODE(flags) \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        MODE(flags); \
        REAL(int, name, const char *, int, ...); \
        if (!(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode); \
        WHOLE(judge_path(AT_FDCWD, path, 1), real(path, flags, mode)); \
    }

#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        MODE(flags); \
        REAL(int, name, int, const char *, int, ...); \
        if (!(flags & (O_CREAT | O_TRUNC))) return real(dir, path, flags, mode); \
        WHOLE(judge_path(dir, path, 1), real(dir, path, flags, mode)); \
    }

OPEN(open)
OPENAT(openat)
#ifdef __GLIBC__
OPEN(open64)
OPENAT(openat64)
#endif

int rename(const char *old, const char *new) {
    REAL(int, rename, const char *, const char *);
    WHOLE(judge_path(AT_FDCWD, new, 1), real(old, new));
}

int renameat(int old_dir, const char *old, int new_dir, const char *new) {
    REAL(int, renameat, int, const char *, int, const char *);
    WHOLE(judge_path(new_dir, new, 1), real(old_dir, old, new_dir, new));
}

int renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    WHOLE(judge_path(new_dir, new, 1), real(old_dir, old, new_dir, new, flags));
}

int link(const char *old, const char *new) {
    REAL(int, link, const char *, const char *);
    WHOLE(judge_path(AT_FDCWD, new, 1), real(old, new));
}

int linkat(int old_dir, const char *old, int new_dir, const char *new, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    WHOLE(judge_path(new_dir, new, 1), real(old_dir, old, new_dir, new, flags));
}

int symlink(const char *target, const char *path) {
    REAL(int, symlink, const char *, const char *);
    WHOLE(judge_path(AT_FDCWD, path, 1), real(target, path));
}

int symlinkat(const char *target, int dir, const char *path) {
    REAL(int, symlinkat, const char *, int, const char *);
    WHOLE(judge_path(dir, path, 1), real(target, dir, path));
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    WHOLE(judge_path(AT_FDCWD, path, 0), real(path));
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    WHOLE(judge_path(dir, path, 0), real(dir, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    WHOLE(judge_path(AT_FDCWD, path, 1), real(path, mode));
}

int mkdirat(int dir, const char *path, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    WHOLE(judge_path(dir, path, 1), real(dir, path, mode));
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    WHOLE(judge_path(AT_FDCWD, path, 0), real(path));
}
