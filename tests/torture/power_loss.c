/* Keeps beside a folder what a power cut would leave of it: each file as it was when it was last flushed.

   Loaded before libc (LD_PRELOAD) into every process that writes there. SHADOW_OF names the folder, SHADOW another
   one for the copies. A flush has done its part only when its copy is in place, so whatever the program goes on to
   say ("committed", "200 OK") is covered by the copy:

   - fsync, fdatasync of a file: its content replaces its copy, by a temporary file and a rename, one process at a time.
   - fsync, fdatasync of the folder: copies of files that are gone by now go too. Until then a deleted file may be back.
   - rename: the copy takes the new name at once, as journalling file systems order it. What was never flushed has no
     copy to rename: the old file of that name stays.
   - write, truncate, unlink, and files made anew: nothing, until a flush.

   A copy that fails (disk full) fails the flush. A file is read by the descriptor that flushes it: opening it a second
   time and closing that would drop SQLite's POSIX locks on it. Only what was opened for writing alone, as SQLite never
   does, is opened anew. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *watched(void) { return getenv("SHADOW_OF"); }
static const char *shadow(void) { return getenv("SHADOW"); }

/* The file's place below the watched folder; NULL when it is elsewhere, or deeper. */
static const char *name_within(const char *path)
{
    const char *folder = watched();
    size_t length = folder ? strlen(folder) : 0;
    if (!length || !shadow() || strncmp(path, folder, length) || path[length] != '/' || strchr(path + length + 1, '/'))
        return NULL;
    return path + length + 1;
}

static int lock(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.lock", shadow());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* By pread alone: the program's own place in the file stays where it is. */
static int copy_all(int from, int to)
{
    char part[1 << 16];
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, part, sizeof part, at)) > 0) {
        if (pwrite(to, part, (size_t)got, at) != got)
            return -1;
        at += got;
    }
    return got < 0 ? -1 : 0;
}

static int keep_file(int fd, const char *path)
{
    const char *name = name_within(path);
    char fresh[PATH_MAX], place[PATH_MAX];
    snprintf(fresh, sizeof fresh, "%s/.fresh", shadow());
    snprintf(place, sizeof place, "%s/%s", shadow(), name);
    int door = lock();
    if (door < 0)
        return -1;
    int to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int blind = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY, from = blind ? open(path, O_RDONLY | O_CLOEXEC) : fd;
    int failed = to < 0 || from < 0 || copy_all(from, to) || rename(fresh, place);
    if (to >= 0)
        close(to);
    if (blind && from >= 0)
        close(from);
    close(door);
    return failed ? -1 : 0;
}

static int forget_what_is_gone(void)
{
    int door = lock();
    DIR *folder = door < 0 ? NULL : opendir(shadow());
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char here[PATH_MAX], there[PATH_MAX];
        snprintf(here, sizeof here, "%s/%s", shadow(), entry->d_name);
        snprintf(there, sizeof there, "%s/%s", watched(), entry->d_name);
        if (entry->d_name[0] != '.' && access(there, F_OK))
            unlink(here);
    }
    if (folder)
        closedir(folder);
    if (door >= 0)
        close(door);
    return door < 0 ? -1 : 0;
}

/* After a true flush: 0, or -1 with errno when the shadow could not be kept, which fails the flush. */
static int keep(int fd)
{
    char link[64], path[PATH_MAX];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || !shadow() || !watched() || fstat(fd, &about))
        return 0;
    path[length] = 0;
    int failed = 0;
    if (S_ISDIR(about.st_mode) && !strcmp(path, watched()))
        failed = forget_what_is_gone();
    else if (S_ISREG(about.st_mode) && about.st_nlink && name_within(path)) /* without links it is deleted already */
        failed = keep_file(fd, path);
    if (failed)
        errno = EIO;
    return failed;
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd) ? -1 : keep(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd) ? -1 : keep(fd);
}

int rename(const char *old, const char *new)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    const char *from = name_within(old), *to = name_within(new);
    if (real(old, new))
        return -1;
    if (from && to) {
        char here[PATH_MAX], there[PATH_MAX];
        snprintf(here, sizeof here, "%s/%s", shadow(), from);
        snprintf(there, sizeof there, "%s/%s", shadow(), to);
        int door = lock();
        real(here, there);
        if (door >= 0)
            close(door);
        errno = 0;
    }
    return 0;
}
