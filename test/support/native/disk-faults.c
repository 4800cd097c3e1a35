/*
 * File calls that fail or hang on demand, for a real broker under test: preloaded, it reads its rules from the file that
 * FAULT_RULES names, anew at each call. A rule is a line "CALL PATH-PART ACTION":
 *   CALL    write | sync | open | close
 *   ACTION  the name of an error (EIO, ENOSPC, EMFILE); hang: the call waits until the rule is gone; throttle:N: a write
 *           takes the time of its bytes at N bytes a second, and then succeeds
 * A file that is not there holds no rules.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Its own calls for the rules are not to be met by them. */
static __thread int reading_rules = 0;

/* Reads the rules by system calls of its own, so that it does not meet itself. */
static int rule_for(const char *call, const char *path, char *action, size_t size) {
  const char *rules = getenv("FAULT_RULES");
  if (rules == NULL) return 0;
  reading_rules = 1;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, rules, O_RDONLY | O_CLOEXEC);
  char text[4096];
  long length = fd < 0 ? 0 : syscall(SYS_read, fd, text, sizeof text - 1);
  if (fd >= 0) syscall(SYS_close, fd);
  reading_rules = 0;
  if (length <= 0) return 0;
  text[length] = 0;
  char *rest = text;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    char rule_call[16], part[1024], rule_action[32];
    if (sscanf(line, "%15s %1023s %31s", rule_call, part, rule_action) != 3) continue;
    if (strcmp(rule_call, call) != 0 || strstr(path, part) == NULL) continue;
    snprintf(action, size, "%s", rule_action);
    return 1;
  }
  return 0;
}

static void wait_seconds(double seconds) {
  struct timespec left = { (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) };
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* Waits out a hang or a slow disk; 0 to go on, else the errno to fail with. */
static int fault(const char *call, const char *path, size_t bytes) {
  char action[32];
  while (rule_for(call, path, action, sizeof action)) {
    if (strcmp(action, "hang") == 0) { usleep(20000); continue; }
    double rate;
    if (sscanf(action, "throttle:%lf", &rate) == 1) { wait_seconds(bytes / rate); return 0; }
    if (strcmp(action, "ENOSPC") == 0) return ENOSPC;
    if (strcmp(action, "EMFILE") == 0) return EMFILE;
    return EIO;
  }
  return 0;
}

static int fault_on_fd(const char *call, int fd, size_t bytes) {
  char link[64], path[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return fault(call, path, bytes);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_ON_FD(call, fd, bytes) \
  do { int code = fault_on_fd(call, fd, bytes); if (code != 0) { errno = code; return -1; } } while (0)

static size_t sum(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int at = 0; at < count; at++) bytes += parts[at].iov_len;
  return bytes;
}

ssize_t write(int fd, const void *data, size_t size) { FAIL_ON_FD("write", fd, size); return REAL(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) { FAIL_ON_FD("write", fd, sum(parts, count)); return REAL(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { FAIL_ON_FD("write", fd, size); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { FAIL_ON_FD("write", fd, size); return REAL(pwrite64)(fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { FAIL_ON_FD("write", fd, sum(parts, count)); return REAL(pwritev)(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { FAIL_ON_FD("write", fd, sum(parts, count)); return REAL(pwritev64)(fd, parts, count, at); }
int fsync(int fd) { FAIL_ON_FD("sync", fd, 0); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL_ON_FD("sync", fd, 0); return REAL(fdatasync)(fd); }
int close(int fd) { FAIL_ON_FD("close", fd, 0); return REAL(close)(fd); }

/* libuv closes by the bare system call. */
long syscall(long number, ...) {
  va_list more; va_start(more, number);
  long a[6];
  for (int at = 0; at < 6; at++) a[at] = va_arg(more, long);
  va_end(more);
  if (number == SYS_close && !reading_rules) FAIL_ON_FD("close", (int)a[0], 0);
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define OPEN(name, type_at)                                              \
  int name(const char *path, int flags, ...) {                           \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    int code = fault("open", path, 0);                                      \
    if (code != 0) { errno = code; return -1; }                          \
    return REAL(name)(path, flags, mode);                                \
  }
OPEN(open, )
OPEN(open64, )
