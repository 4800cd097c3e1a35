/*
 * A wall clock that jumps, for a real broker under test: preloaded, it adds to the time of day the milliseconds that the
 * file named by CLOCK_OFFSET holds, a signed number of 8 bytes in the machine's order. Monotonic clocks are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;
static int64_t none = 0;

__attribute__((constructor)) static void map_offset(void) {
  offset = &none;
  const char *path = getenv("CLOCK_OFFSET");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) offset = mapped;
  close(fd);
}

static void shift(int64_t *seconds, int64_t *part, int64_t parts_per_ms) {
  int64_t ms = offset == NULL ? 0 : *offset;
  *part += (ms % 1000) * parts_per_ms;
  *seconds += ms / 1000;
  int64_t whole = 1000 * parts_per_ms;
  if (*part >= whole) { *part -= whole; *seconds += 1; }
  if (*part < 0) { *part += whole; *seconds -= 1; }
}

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = (__typeof__(real))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, now);
  if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return result;
  int64_t seconds = now->tv_sec, part = now->tv_nsec;
  shift(&seconds, &part, 1000000);
  now->tv_sec = seconds;
  now->tv_nsec = part;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  static int (*real)(struct timeval *restrict, void *restrict);
  if (real == NULL) real = (__typeof__(real))dlsym(RTLD_NEXT, "gettimeofday");
  int result = real(now, zone);
  if (result != 0) return result;
  int64_t seconds = now->tv_sec, part = now->tv_usec;
  shift(&seconds, &part, 1000);
  now->tv_sec = seconds;
  now->tv_usec = part;
  return 0;
}
