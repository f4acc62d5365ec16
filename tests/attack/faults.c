/* Preloaded into a process, this makes the n-th call that it makes on the files of a database go wrong.

   FAULT_FILE    the database; calls on it and on the files whose names begin so (-wal, -shm) are counted
   FAULT_OPS     which calls: r read, w write, s sync, t truncate, u unlink
   FAULT_AT      which of them goes wrong, from 1; 0 for none
   FAULT_STICKY  if set, all that follow go wrong too
   FAULT_ACTION  eio or enospc: fails; short: writes half and says so; stop or kill: stops or kills the process before
                 it; torn: kills it after half of the bytes; after: kills it after the call
   FAULT_SWITCH  if set, calls are counted only as long as this file exists
   FAULT_LOG     if set, a file to which each call that was made is appended, struct call and the bytes written, and an
                 x before each that goes wrong  */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct call {
  char op;
  char file; /* d the database, w its -wal, o another */
  char unused[6];
  int64_t offset;
  int64_t length;
};

static const char *database, *ops, *action, *when;
static long at, calls;
static int sticky, record = -1;

/* A copy: a process that changes its title writes over its environment. */
static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? strdup(value) : NULL;
}

__attribute__((constructor)) static void begin(void) {
  database = setting("FAULT_FILE");
  ops = setting("FAULT_OPS");
  action = setting("FAULT_ACTION");
  when = setting("FAULT_SWITCH");
  sticky = getenv("FAULT_STICKY") != NULL;
  at = getenv("FAULT_AT") ? atol(getenv("FAULT_AT")) : 0;
  const char *log = getenv("FAULT_LOG");
  if (log) record = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static char kind(const char *name) {
  size_t length;
  if (!database || !ops || !action) return 0;
  length = strlen(database);
  if (strncmp(name, database, length)) return 0;
  return !name[length] ? 'd' : !strcmp(name + length, "-wal") ? 'w' : 'o';
}

static char kind_of(int fd) {
  char link[64], name[4096];
  if (!database) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  return kind(name);
}

static void note(char file, char op, off_t offset, const void *bytes, ssize_t length) {
  struct call call = {op, file, {0}, offset, length};
  if (record < 0) return;
  syscall(SYS_write, record, &call, sizeof call);
  if (bytes) syscall(SYS_write, record, bytes, length);
}

/* What is to happen to this call, or NULL. */
static const char *fault(char file, char op) {
  int saved = errno;
  int counted = file && strchr(ops, op) && (!when || !access(when, F_OK));
  errno = saved;
  if (!counted) return NULL;
  calls++;
  if (!at || (sticky ? calls < at : calls != at)) return NULL;
  note(file, 'x', 0, NULL, 0);
  if (!strcmp(action, "kill")) raise(SIGKILL);
  if (!strcmp(action, "stop")) raise(SIGSTOP);
  return action;
}

static int fails(const char *what) {
  if (!what || (strcmp(what, "eio") && strcmp(what, "enospc"))) return 0;
  errno = strcmp(what, "eio") ? ENOSPC : EIO;
  return 1;
}

static void made(char file, char op, off_t offset, const void *bytes, ssize_t length, const char *what) {
  int saved = errno;
  if (file && length >= 0) note(file, op, offset, bytes, length);
  if (what && (!strcmp(what, "torn") || !strcmp(what, "after"))) raise(SIGKILL);
  errno = saved;
}

static size_t cut(const char *what, size_t size) {
  return what && (!strcmp(what, "short") || !strcmp(what, "torn")) ? size / 2 : size;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) {
  char file = kind_of(fd);
  const char *what = fault(file, 'w');
  if (fails(what)) return -1;
  ssize_t written = syscall(SYS_pwrite64, fd, bytes, cut(what, size), offset);
  made(file, 'w', offset, bytes, written, what);
  return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

ssize_t write(int fd, const void *bytes, size_t size) {
  char file = kind_of(fd);
  const char *what = fault(file, 'w');
  if (fails(what)) return -1;
  off_t offset = file ? lseek(fd, 0, SEEK_CUR) : 0;
  ssize_t written = syscall(SYS_write, fd, bytes, cut(what, size));
  made(file, 'w', offset, bytes, written, what);
  return written;
}

ssize_t pread64(int fd, void *bytes, size_t size, off_t offset) {
  if (fails(fault(kind_of(fd), 'r'))) return -1;
  return syscall(SYS_pread64, fd, bytes, size, offset);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset) { return pread64(fd, bytes, size, offset); }

static int synced(int fd, long number) {
  char file = kind_of(fd);
  const char *what = fault(file, 's');
  if (fails(what)) return -1;
  int result = syscall(number, fd);
  made(file, 's', 0, NULL, result, what);
  return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off_t length) {
  char file = kind_of(fd);
  const char *what = fault(file, 't');
  if (fails(what)) return -1;
  int result = syscall(SYS_ftruncate, fd, length);
  made(file, 't', length, NULL, result, what);
  return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *name) {
  char file = kind(name);
  const char *what = fault(file, 'u');
  if (fails(what)) return -1;
  int result = syscall(SYS_unlinkat, AT_FDCWD, name, 0);
  made(file, 'u', 0, NULL, result, what);
  return result;
}
