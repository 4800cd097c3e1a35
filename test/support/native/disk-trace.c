/*
 * Writes down every call that changes the files below TRACE_DIR, in one order for all threads, to the end of the file
 * TRACE_FILE: what `power-cut.ts` plays back. A call is written down when it begins, since from then on any part of it
 * may be on the disk; writes and syncs again when they have come back, since only from then on can they be relied on.
 * Changes of names are written down once, behind the call: nobody could rely on them before.
 *
 * A record, in the machine's order:
 *   u32 bytes of the payload   u8 what   u8 0   u16 length of the first path   u32 process   u32 number of the open file
 *   u32 number of the call   u32 0   u64 position   then the payload
 *
 *   what       payload
 *   'o' open   path; position is its flags
 *   'w' write  bytes, at position          'W' it came back; position is how many bytes were taken, or all ones
 *   'd' as 'w', on a descriptor with O_DSYNC   'D' it came back, and is durable as far as it was taken
 *   't' size   position is the new size of the file
 *   's' sync begins                        'S' it came back; position 0, or all ones where it failed
 *   'm' mkdir path    'u' unlink or rmdir path    'r' rename path, path
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct record {
  uint32_t bytes;
  uint8_t what;
  uint8_t zero;
  uint16_t path;
  uint32_t process;
  uint32_t file;
  uint32_t call;
  uint32_t zero2;
  uint64_t position;
};

#define FDS 65536
static char directory[PATH_MAX];
static int trace = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t files, calls;
/* Number of the open file, and its flags; 0 for one that is not ours. */
static uint32_t number_of[FDS];
static int flags_of[FDS];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("TRACE_FILE"), *dir = getenv("TRACE_DIR");
  if (path == NULL || dir == NULL) return;
  strncpy(directory, dir, sizeof directory - 1);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) abort();
  /* Out of the way of the program's own numbers. */
  trace = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, fd);
}

static int is_below(const char *path) {
  size_t length = strlen(directory);
  return trace >= 0 && path != NULL && strncmp(path, directory, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static int is_tracked(int fd) { return trace >= 0 && fd >= 0 && fd < FDS && number_of[fd] != 0; }

/* One write for each record: its size is what readers of the trace go by. */
static void put(struct record *record, const struct iovec *payload, int count) {
  struct iovec parts[1026];
  if (count > 1025) abort();
  record->zero = 0;
  record->zero2 = 0;
  record->process = (uint32_t)getpid();
  record->bytes = 0;
  parts[0].iov_base = record;
  parts[0].iov_len = sizeof *record;
  for (int i = 0; i < count; i++) { parts[i + 1] = payload[i]; record->bytes += (uint32_t)payload[i].iov_len; }
  size_t whole = sizeof *record + record->bytes;
  long done;
  if (count + 1 <= 1024) done = syscall(SYS_writev, trace, parts, count + 1);
  else {
    done = syscall(SYS_writev, trace, parts, 1024);
    done += syscall(SYS_writev, trace, parts + 1024, count + 1 - 1024);
  }
  if (done < 0 || (size_t)done != whole) abort();
}

static uint32_t put_call(uint8_t what, int fd, uint32_t call, uint64_t position, const struct iovec *payload, int count) {
  int kept = errno;
  pthread_mutex_lock(&lock);
  struct record record = {.what = what, .path = 0, .file = number_of[fd], .call = call != 0 ? call : ++calls, .position = position};
  put(&record, payload, count);
  pthread_mutex_unlock(&lock);
  errno = kept;
  return record.call;
}

static void put_names(uint8_t what, uint32_t file, uint64_t position, const char *one, const char *two) {
  int kept = errno;
  struct iovec payload[2] = {{(void *)one, strlen(one)}, {(void *)two, two == NULL ? 0 : strlen(two)}};
  pthread_mutex_lock(&lock);
  struct record record = {.what = what, .path = (uint16_t)payload[0].iov_len, .file = file, .call = ++calls, .position = position};
  put(&record, payload, two == NULL ? 1 : 2);
  pthread_mutex_unlock(&lock);
  errno = kept;
}

static uint64_t place_of(int fd) {
  struct stat found;
  if (flags_of[fd] & O_APPEND) return fstat(fd, &found) == 0 ? (uint64_t)found.st_size : 0;
  return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

#define WRITE_CALL(fd, at, payload, count, whole)                                          \
  if (!is_tracked(fd)) return whole;                                                       \
  int durable = (flags_of[fd] & O_DSYNC) != 0;                                             \
  uint32_t call = put_call(durable ? 'd' : 'w', fd, 0, (uint64_t)(at), payload, count);    \
  ssize_t taken = whole;                                                                   \
  put_call(durable ? 'D' : 'W', fd, call, (uint64_t)taken, NULL, 0);                       \
  return taken;

ssize_t write(int fd, const void *data, size_t size) {
  struct iovec part = {(void *)data, size};
  WRITE_CALL(fd, place_of(fd), &part, 1, REAL(write)(fd, data, size))
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  struct iovec part = {(void *)data, size};
  WRITE_CALL(fd, at, &part, 1, REAL(pwrite)(fd, data, size, at))
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  struct iovec part = {(void *)data, size};
  WRITE_CALL(fd, at, &part, 1, REAL(pwrite64)(fd, data, size, at))
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  WRITE_CALL(fd, place_of(fd), parts, count, REAL(writev)(fd, parts, count))
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  WRITE_CALL(fd, at, parts, count, REAL(pwritev)(fd, parts, count, at))
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  WRITE_CALL(fd, at, parts, count, REAL(pwritev64)(fd, parts, count, at))
}

#define SIZE_CALL(fd, size, whole)                                   \
  if (!is_tracked(fd)) return whole;                                 \
  put_call('t', fd, 0, (uint64_t)(size), NULL, 0);                   \
  return whole;
int ftruncate(int fd, off_t size) { SIZE_CALL(fd, size, REAL(ftruncate)(fd, size)) }
int ftruncate64(int fd, off64_t size) { SIZE_CALL(fd, size, REAL(ftruncate64)(fd, size)) }

#define SYNC_CALL(fd, whole)                                         \
  if (!is_tracked(fd)) return whole;                                 \
  uint32_t call = put_call('s', fd, 0, 0, NULL, 0);                  \
  int result = whole;                                                \
  put_call('S', fd, call, (uint64_t)(int64_t)result, NULL, 0);       \
  return result;
int fsync(int fd) { SYNC_CALL(fd, REAL(fsync)(fd)) }
int fdatasync(int fd) { SYNC_CALL(fd, REAL(fdatasync)(fd)) }

int close(int fd) {
  if (is_tracked(fd)) number_of[fd] = 0;
  return REAL(close)(fd);
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
  int result = REAL(rename)(from, to);
  if (result == 0 && is_below(from) && is_below(to)) put_names('r', 0, 0, from, to);
  return result;
}
int unlink(const char *path) {
  int result = REAL(unlink)(path);
  if (result == 0 && is_below(path)) put_names('u', 0, 0, path, NULL);
  return result;
}
int rmdir(const char *path) {
  int result = REAL(rmdir)(path);
  if (result == 0 && is_below(path)) put_names('u', 0, 0, path, NULL);
  return result;
}
int mkdir(const char *path, mode_t mode) {
  int result = REAL(mkdir)(path, mode);
  if (result == 0 && is_below(path)) put_names('m', 0, 0, path, NULL);
  return result;
}

#define OPEN_CALL(name)                                                                        \
  int name(const char *path, int flags, ...) {                                                 \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);     \
    int fd = REAL(name)(path, flags, mode);                                                    \
    if (fd < 0 || fd >= FDS) return fd;                                                        \
    number_of[fd] = 0;                                                                         \
    if (!is_below(path)) return fd;                                                            \
    uint32_t file = __atomic_add_fetch(&files, 1, __ATOMIC_SEQ_CST);                           \
    put_names('o', file, (uint64_t)flags, path, NULL);                                         \
    flags_of[fd] = flags;                                                                      \
    number_of[fd] = file;                                                                      \
    return fd;                                                                                 \
  }
OPEN_CALL(open)
OPEN_CALL(open64)
