/* A clock that is wrong by so many seconds as the file WRONG_CLOCK says: a 64-bit number, which may change at any time.
   A second one is the CLOCK_MONOTONIC second from which NTP vouches for a clock that is right.

   Loaded before libc (LD_PRELOAD). Only the time of day is moved: clocks that merely count go on as they are, as in a
   machine whose battery is empty. While it is wrong the kernel says that nobody disciplines it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *told;

__attribute__((constructor)) static void open_it(void)
{
    const char *path = getenv("WRONG_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    told = page == MAP_FAILED ? NULL : page;
    close(fd);
}

static int64_t wrong_s(void) { return told ? *told : 0; }

int clock_gettime(clockid_t which, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec += wrong_s();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (place)
        *place = exact.tv_sec;
    return exact.tv_sec;
}

/* A question only: whoever may set the clock is told no. */
int adjtimex(struct timex *about)
{
    (void)about;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return wrong_s() || (told && now.tv_sec < told[1]) ? TIME_ERROR : TIME_OK;
}
