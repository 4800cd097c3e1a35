/*
 * Makes one file call fail: preloaded, it counts the calls of each kind on paths below NTH_DIR, over all threads, and
 * over all processes that share the file NTH_STATE (made by the test, see disk-call.ts). The call of kind `kind` whose
 * number is `nth` fails with `code`; nth 0 only counts.
 *
 *   kinds   0 write  1 sync  2 open  3 read  4 rename  5 unlink  6 close
 *   code    an errno; 0 for a write that takes half of its bytes
 *
 * A write to a descriptor with O_DSYNC counts as a sync as well: failing as a sync its bytes have been written, failing
 * as a write nothing has. A close that fails has closed its descriptor, as on Linux.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, OPEN, READ, RENAME, UNLINK, CLOSE, KINDS };

struct state {
  uint32_t kind;
  uint32_t nth;
  int32_t code;
  _Atomic uint32_t fired;
  _Atomic uint32_t calls[KINDS];
};

#define FDS 65536
static struct state *state;
static char directory[PATH_MAX];
static _Atomic unsigned char below[FDS];
#define DSYNC 2

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("NTH_STATE"), *dir = getenv("NTH_DIR");
  if (path == NULL || dir == NULL) return;
  strncpy(directory, dir, sizeof directory - 1);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (memory != MAP_FAILED) state = memory;
}

static int is_below(const char *path) {
  size_t length = strlen(directory);
  return state != NULL && path != NULL && strncmp(path, directory, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static int is_tracked(int fd) { return state != NULL && fd >= 0 && fd < FDS && below[fd] != 0; }

/* True for the one call that is to fail. */
static int fails(int kind) {
  uint32_t number = atomic_fetch_add(&state->calls[kind], 1) + 1;
  if (state->kind != (uint32_t)kind || state->nth != number) return 0;
  atomic_fetch_add(&state->fired, 1);
  return 1;
}

#define FAIL do { errno = state->code; return -1; } while (0)

/* A write of whatever form: `whole` does it, `half` as much as a short write takes. */
#define WRITE_CALL(fd, whole, half)                                          \
  if (is_tracked(fd)) {                                                      \
    int failing = fails(WRITE);                                              \
    if (failing && state->code == 0) return half;                            \
    if (failing) FAIL;                                                       \
    if (below[fd] & DSYNC && fails(SYNC)) { (void)!(whole); FAIL; }          \
  }                                                                          \
  return whole;

ssize_t write(int fd, const void *data, size_t size) {
  WRITE_CALL(fd, REAL(write)(fd, data, size), REAL(write)(fd, data, size > 1 ? size / 2 : size))
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  WRITE_CALL(fd, REAL(pwrite)(fd, data, size, at), REAL(pwrite)(fd, data, size > 1 ? size / 2 : size, at))
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  WRITE_CALL(fd, REAL(pwrite64)(fd, data, size, at), REAL(pwrite64)(fd, data, size > 1 ? size / 2 : size, at))
}
/* Half of a vector: half of its first part. */
static size_t half_of(const struct iovec *parts) { return parts[0].iov_len > 1 ? parts[0].iov_len / 2 : parts[0].iov_len; }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  WRITE_CALL(fd, REAL(writev)(fd, parts, count), REAL(write)(fd, parts[0].iov_base, half_of(parts)))
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  WRITE_CALL(fd, REAL(pwritev)(fd, parts, count, at), REAL(pwrite)(fd, parts[0].iov_base, half_of(parts), at))
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  WRITE_CALL(fd, REAL(pwritev64)(fd, parts, count, at), REAL(pwrite64)(fd, parts[0].iov_base, half_of(parts), at))
}

#define FD_CALL(kind, fd, whole) if (is_tracked(fd) && fails(kind)) FAIL; return whole;
int fsync(int fd) { FD_CALL(SYNC, fd, REAL(fsync)(fd)) }
int fdatasync(int fd) { FD_CALL(SYNC, fd, REAL(fdatasync)(fd)) }
ssize_t read(int fd, void *data, size_t size) { FD_CALL(READ, fd, REAL(read)(fd, data, size)) }
ssize_t pread(int fd, void *data, size_t size, off_t at) { FD_CALL(READ, fd, REAL(pread)(fd, data, size, at)) }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { FD_CALL(READ, fd, REAL(pread64)(fd, data, size, at)) }
ssize_t readv(int fd, const struct iovec *parts, int count) { FD_CALL(READ, fd, REAL(readv)(fd, parts, count)) }
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) { FD_CALL(READ, fd, REAL(preadv)(fd, parts, count, at)) }
ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) { FD_CALL(READ, fd, REAL(preadv64)(fd, parts, count, at)) }

int close(int fd) {
  if (!is_tracked(fd)) return REAL(close)(fd);
  below[fd] = 0;
  int failing = fails(CLOSE);
  int result = REAL(close)(fd);
  if (failing) FAIL;
  return result;
}

/* The way in which libuv closes. */
long syscall(long number, ...) {
  long a[6];
  va_list more; va_start(more, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(more, long);
  va_end(more);
  if (number == SYS_close) return close((int)a[0]);
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int rename(const char *from, const char *to) {
  if ((is_below(from) || is_below(to)) && fails(RENAME)) FAIL;
  return REAL(rename)(from, to);
}
int unlink(const char *path) {
  if (is_below(path) && fails(UNLINK)) FAIL;
  return REAL(unlink)(path);
}

#define OPEN_CALL(name)                                                                        \
  int name(const char *path, int flags, ...) {                                                 \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);     \
    int ours = is_below(path);                                                                 \
    if (ours && fails(OPEN)) FAIL;                                                             \
    int fd = REAL(name)(path, flags, mode);                                                    \
    if (fd >= 0 && fd < FDS) below[fd] = ours ? 1 | ((flags & O_DSYNC) ? DSYNC : 0) : 0;       \
    return fd;                                                                                 \
  }
OPEN_CALL(open)
OPEN_CALL(open64)
