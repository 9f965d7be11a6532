/* What one program asks of the disk below one folder, in order, with the data: for LD_PRELOAD.
 *
 * POWER_ROOT   absolute path of the folder, without symbolic links
 * POWER_LOG    file that the records are appended to; their layout is `struct record`, read back
 *              by recording.py
 *
 * Each call and its record happen under one lock, so the order of the records is the order of the
 * calls. Files are told by their inode, names by the inode of their folder. A file that another
 * program wrote is recorded whole at the moment it is synced, renamed or linked here. Memory maps
 * are not seen: SQLite keeps only its -shm file in one, which it builds anew after a crash.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, LINK, UNLINK, MKDIR, SYMLINK, CONTENT };

struct record {
    uint32_t magic, kind;
    uint64_t at_ns, inode, folder, folder2;
    int64_t offset;
    uint32_t name_len, name2_len, data_len, unused;
};

struct place { /* a name below the root */
    uint64_t folder;
    char name[NAME_MAX + 1];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_len;
static int log_fd = -1;
/* Inodes that were made through here, so that all their content is known. */
static uint64_t *made;
static size_t made_count, made_room;

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("POWER_ROOT"), *log = getenv("POWER_LOG");
    if (!folder || !log || strlen(folder) >= sizeof root)
        return;
    strcpy(root, folder);
    root_len = strlen(root);
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    int kept = errno;
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

static int is_below(const char *path)
{
    return log_fd >= 0 && !strncmp(path, root, root_len) &&
           (path[root_len] == '/' || path[root_len] == 0);
}

static void put(const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t n = syscall(SYS_write, log_fd, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort(); /* a log with a hole would prove nothing */
        at += n, length -= n;
    }
}

static void note(uint32_t kind, uint64_t inode, const struct place *one, const struct place *two,
                 int64_t offset, const void *data, size_t length)
{
    int kept = errno;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct record r = {
        .magic = 0x52574f50, .kind = kind, .inode = inode, .offset = offset,
        .at_ns = now.tv_sec * 1000000000ull + now.tv_nsec,
        .folder = one ? one->folder : 0, .folder2 = two ? two->folder : 0,
        .name_len = one ? strlen(one->name) : 0, .name2_len = two ? strlen(two->name) : 0,
        .data_len = length,
    };
    put(&r, sizeof r);
    if (one)
        put(one->name, r.name_len);
    if (two)
        put(two->name, r.name2_len);
    put(data, length);
    errno = kept;
}

static size_t made_index(uint64_t inode)
{
    size_t i = 0;
    while (i < made_count && made[i] != inode)
        i++;
    return i;
}

static void remember(uint64_t inode)
{
    if (made_index(inode) < made_count)
        return;
    if (made_count == made_room && !(made = realloc(made, (made_room += 256) * sizeof *made)))
        abort();
    made[made_count++] = inode;
}

static void forget(uint64_t inode)
{
    size_t i = made_index(inode);
    if (i < made_count)
        made[i] = made[--made_count];
}

/* Where a path lies; 0 where that is not below the root. */
static int find(int dirfd, const char *path, struct place *found)
{
    char whole[PATH_MAX], folder[PATH_MAX];
    struct stat st;
    int kept = errno, length;
    if (log_fd < 0 || !path || !*path)
        return 0;
    if (*path == '/' || dirfd == AT_FDCWD)
        length = snprintf(whole, sizeof whole, "%s", path);
    else
        length = snprintf(whole, sizeof whole, "/proc/self/fd/%d/%s", dirfd, path);
    while (length > 1 && length < PATH_MAX && whole[length - 1] == '/')
        whole[--length] = 0;
    char *slash = strrchr(whole, '/');
    const char *name = slash ? slash + 1 : whole;
    int fits = length < PATH_MAX && strlen(name) <= NAME_MAX;
    if (fits)
        strcpy(found->name, name);
    if (slash == whole)
        strcpy(whole, "/");
    else if (slash)
        *slash = 0;
    else
        strcpy(whole, ".");
    fits = fits && realpath(whole, folder) && is_below(folder) && !stat(folder, &st);
    if (fits)
        found->folder = st.st_ino;
    errno = kept;
    return fits;
}

/* Whether a descriptor is of a file (or folder) below the root. */
static int is_watched(int fd, struct stat *st)
{
    char link[64], path[PATH_MAX];
    int kept = errno, yes = 0;
    if (log_fd >= 0 && fd != log_fd && !fstat(fd, st) &&
        (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n > 0) {
            path[n] = 0;
            yes = is_below(path);
        }
    }
    errno = kept;
    return yes;
}

static int look(const char *path, struct stat *st)
{
    int kept = errno, found = !lstat(path, st);
    errno = kept;
    return found;
}

static int look_at(int dirfd, const char *path, struct stat *st)
{
    int kept = errno, found = !fstatat(dirfd, path, st, AT_SYMLINK_NOFOLLOW);
    errno = kept;
    return found;
}

/* The content of a file that this program did not make; nothing for its own. */
static void note_content(int fd, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) || made_index(st->st_ino) < made_count)
        return;
    char link[64], *data = malloc(st->st_size + 1);
    int kept = errno;
    off_t done = 0;
    ssize_t n = 1;
    /* Opened anew, for the descriptor at hand may be good for writing only. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (!data || reader < 0)
        abort();
    while (done < st->st_size && (n = pread(reader, data + done, st->st_size - done, done)) > 0)
        done += n;
    if (done < st->st_size)
        abort();
    syscall(SYS_close, reader);
    note(CONTENT, st->st_ino, 0, 0, 0, data, done);
    free(data);
    errno = kept;
}

static void note_content_at(int dirfd, const char *path)
{
    struct stat st;
    int kept = errno;
    int fd = syscall(SYS_openat, dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd >= 0) {
        if (!fstat(fd, &st))
            note_content(fd, &st);
        syscall(SYS_close, fd);
    }
    errno = kept;
}

/* Opening ------------------------------------------------------------------------------------ */

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
    struct place at;
    struct stat st;
    if (!(flags & (O_CREAT | O_TRUNC)) || !find(dirfd, path, &at))
        return syscall(SYS_openat, dirfd, path, flags, mode);
    lock();
    int was_there = look_at(dirfd, path, &st);
    off_t size = was_there ? st.st_size : 0;
    int fd = syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
        if (!was_there) {
            remember(st.st_ino);
            note(CREATE, st.st_ino, &at, 0, 0, 0, 0);
        } else if ((flags & O_TRUNC) && size) {
            note(TRUNCATE, st.st_ino, 0, 0, 0, 0, 0);
        }
    }
    unlock();
    return fd;
}

#define MODE(flags, mode)                                                                         \
    mode_t mode = 0;                                                                              \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                              \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode = va_arg(rest, mode_t);                                                              \
        va_end(rest);                                                                             \
    }
int open(const char *p, int flags, ...) { MODE(flags, m) return do_open(AT_FDCWD, p, flags, m); }
int open64(const char *p, int flags, ...) { MODE(flags, m) return do_open(AT_FDCWD, p, flags, m); }
int openat(int d, const char *p, int flags, ...) { MODE(flags, m) return do_open(d, p, flags, m); }
int openat64(int d, const char *p, int flags, ...) { MODE(flags, m) return do_open(d, p, flags, m); }
int creat(const char *p, mode_t m) { return do_open(AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, m); }
int creat64(const char *p, mode_t m) { return creat(p, m); }
int __open_2(const char *p, int flags) { return do_open(AT_FDCWD, p, flags, 0); }
int __open64_2(const char *p, int flags) { return do_open(AT_FDCWD, p, flags, 0); }
int __openat_2(int d, const char *p, int flags) { return do_open(d, p, flags, 0); }
int __openat64_2(int d, const char *p, int flags) { return do_open(d, p, flags, 0); }

/* Writing ------------------------------------------------------------------------------------ */

static off_t position(int fd, const struct stat *st)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) ? st->st_size : lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t length)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(SYS_write, fd, data, length);
    lock();
    fstat(fd, &st);
    off_t at = position(fd, &st);
    note_content(fd, &st); /* what another program made may be written to by this one */
    ssize_t n = syscall(SYS_write, fd, data, length);
    if (n > 0)
        note(WRITE, st.st_ino, 0, 0, at, data, n);
    unlock();
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(SYS_pwrite64, fd, data, length, at);
    lock();
    note_content(fd, &st);
    ssize_t n = syscall(SYS_pwrite64, fd, data, length, at);
    if (n > 0)
        note(WRITE, st.st_ino, 0, 0, at, data, n);
    unlock();
    return n;
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at)
{
    return pwrite(fd, data, length, at);
}

/* A short count is what the caller must be ready for anyway, and keeps these simple. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len)
            return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len)
            return pwrite(fd, parts[i].iov_base, parts[i].iov_len, at);
    return 0;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    return pwritev(fd, parts, count, at);
}

/* Copies inside the kernel: refused as an old kernel would, so that they are done by hand. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    struct stat st;
    if (!is_watched(out, &st))
        return syscall(SYS_sendfile, out, in, offset, count);
    errno = EINVAL;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
    return sendfile(out, in, offset, count);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags)
{
    struct stat st;
    if (!is_watched(out, &st))
        return syscall(SYS_copy_file_range, in, from, out, to, n, flags);
    errno = ENOSYS;
    return -1;
}
int fallocate(int fd, int mode, off_t at, off_t length)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(SYS_fallocate, fd, mode, at, length);
    errno = EOPNOTSUPP;
    return -1;
}
int fallocate64(int fd, int mode, off64_t at, off64_t length)
{
    return fallocate(fd, mode, at, length);
}
int posix_fallocate(int fd, off_t at, off_t length)
{
    struct stat st;
    if (is_watched(fd, &st))
        return EOPNOTSUPP;
    return syscall(SYS_fallocate, fd, 0, at, length) ? errno : 0;
}
int posix_fallocate64(int fd, off64_t at, off64_t length)
{
    return posix_fallocate(fd, at, length);
}

int ftruncate(int fd, off_t length)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(SYS_ftruncate, fd, length);
    lock();
    note_content(fd, &st);
    int failed = syscall(SYS_ftruncate, fd, length);
    if (!failed)
        note(TRUNCATE, st.st_ino, 0, 0, length, 0, 0);
    unlock();
    return failed;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }
int truncate(const char *path, off_t length)
{
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int failed = ftruncate(fd, length), kept = errno;
    syscall(SYS_close, fd);
    errno = kept;
    return failed;
}
int truncate64(const char *path, off64_t length) { return truncate(path, length); }

/* Syncing ------------------------------------------------------------------------------------ */

static int do_sync(int fd, long call)
{
    struct stat st;
    if (!is_watched(fd, &st))
        return syscall(call, fd);
    lock();
    if (!fstat(fd, &st))
        note_content(fd, &st);
    int failed = syscall(call, fd);
    if (!failed)
        note(SYNC, st.st_ino, 0, 0, 0, 0, 0);
    unlock();
    return failed;
}
int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

/* Names -------------------------------------------------------------------------------------- */

static void forget_last(const struct stat *st)
{
    if (S_ISDIR(st->st_mode) || st->st_nlink == 1)
        forget(st->st_ino);
}

static int do_rename(int d1, const char *old, int d2, const char *new, unsigned flags)
{
    struct place from, to;
    struct stat st, gone;
    int below = find(d1, old, &from) + find(d2, new, &to);
    if (!below)
        return syscall(SYS_renameat2, d1, old, d2, new, flags);
    if (below == 1)
        abort(); /* in or out of the folder: no model of it could be right */
    lock();
    note_content_at(d1, old);
    int known = look_at(d1, old, &st), replaces = look_at(d2, new, &gone);
    int failed = syscall(SYS_renameat2, d1, old, d2, new, flags);
    /* Two names of one file: the kernel leaves both. */
    if (!failed && known && !(replaces && gone.st_ino == st.st_ino)) {
        if (replaces)
            forget_last(&gone);
        note(RENAME, st.st_ino, &from, &to, 0, 0, 0);
    }
    unlock();
    return failed;
}
int rename(const char *a, const char *b) { return do_rename(AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int d1, const char *a, int d2, const char *b) { return do_rename(d1, a, d2, b, 0); }
int renameat2(int d1, const char *a, int d2, const char *b, unsigned flags)
{
    return do_rename(d1, a, d2, b, flags);
}

int linkat(int d1, const char *old, int d2, const char *new, int flags)
{
    struct place to;
    struct stat st;
    if (!find(d2, new, &to))
        return syscall(SYS_linkat, d1, old, d2, new, flags);
    lock();
    note_content_at(d1, old);
    int failed = syscall(SYS_linkat, d1, old, d2, new, flags);
    if (!failed && look_at(d2, new, &st))
        note(LINK, st.st_ino, &to, 0, 0, 0, 0);
    unlock();
    return failed;
}
int link(const char *a, const char *b) { return linkat(AT_FDCWD, a, AT_FDCWD, b, 0); }

int unlinkat(int dirfd, const char *path, int flags)
{
    struct place at;
    struct stat st;
    if (!find(dirfd, path, &at))
        return syscall(SYS_unlinkat, dirfd, path, flags);
    lock();
    int known = look_at(dirfd, path, &st);
    int failed = syscall(SYS_unlinkat, dirfd, path, flags);
    if (!failed && known) {
        forget_last(&st);
        note(UNLINK, st.st_ino, &at, 0, 0, 0, 0);
    }
    unlock();
    return failed;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path)
{
    struct stat st;
    return unlinkat(AT_FDCWD, path, look(path, &st) && S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    struct place at;
    struct stat st;
    if (!find(dirfd, path, &at))
        return syscall(SYS_mkdirat, dirfd, path, mode);
    lock();
    int failed = syscall(SYS_mkdirat, dirfd, path, mode);
    if (!failed && look_at(dirfd, path, &st))
        note(MKDIR, st.st_ino, &at, 0, 0, 0, 0);
    unlock();
    return failed;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int symlinkat(const char *target, int dirfd, const char *path)
{
    struct place at;
    struct stat st;
    if (!find(dirfd, path, &at))
        return syscall(SYS_symlinkat, target, dirfd, path);
    lock();
    int failed = syscall(SYS_symlinkat, target, dirfd, path);
    if (!failed && look_at(dirfd, path, &st))
        note(SYMLINK, st.st_ino, &at, 0, 0, target, strlen(target));
    unlock();
    return failed;
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
