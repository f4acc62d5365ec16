/* Preloaded into a process, this library makes the n-th write, sync or truncation of a database's files go wrong.

   FAIL_DATABASE  path of the database; the files are those whose names start with it (-wal, -shm)
   FAIL_AT        which call fails, from 1; 0 for none
   FAIL_STICKY    if set, all later calls fail too
   FAIL_ACTION    eio, enospc: the call fails. short: it writes half. stop, kill: signal before the call. torn: killed
                  after half of a write. after: killed after the call
   FAIL_LOG       if set, a letter for each successful call is appended to this file: w write, s sync, t truncate, in
                  upper case for the database file itself  */

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *database, *action;
static long at, calls;
static int sticky, record = -1;

/* Copied, because a process that changes its title writes over its environment. */
static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? strdup(value) : NULL;
}

__attribute__((constructor)) static void load(void) {
  const char *log = getenv("FAIL_LOG");
  database = setting("FAIL_DATABASE");
  action = setting("FAIL_ACTION");
  sticky = getenv("FAIL_STICKY") != NULL;
  at = getenv("FAIL_AT") ? atol(getenv("FAIL_AT")) : 0;
  if (log) record = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Return the letter as it is logged, or 0 for a file that does not belong to the database. */
static char letter_of(int fd, char letter) {
  char link[64], name[4096];
  if (!database || !action) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length < 0) return 0;
  name[length] = 0;
  if (strncmp(name, database, strlen(database))) return 0;
  return name[strlen(database)] ? letter : toupper(letter);
}

/* Return whether this call is the one to fail; kills or stops the process if that is the action. */
static int is_due(char letter) {
  if (!letter) return 0;
  calls++;
  if (!at || (sticky ? calls < at : calls != at)) return 0;
  if (!strcmp(action, "kill")) raise(SIGKILL);
  if (!strcmp(action, "stop")) raise(SIGSTOP);
  return 1;
}

static int fails(int due) {
  if (!due || (strcmp(action, "eio") && strcmp(action, "enospc"))) return 0;
  errno = strcmp(action, "eio") ? ENOSPC : EIO;
  return 1;
}

static size_t shortened(int due, size_t size) {
  return due && (!strcmp(action, "short") || !strcmp(action, "torn")) ? size / 2 : size;
}

static ssize_t done(char letter, ssize_t result, int due) {
  int saved = errno;
  if (letter && result >= 0 && record >= 0) syscall(SYS_write, record, &letter, 1);
  if (due && (!strcmp(action, "torn") || !strcmp(action, "after"))) raise(SIGKILL);
  errno = saved;
  return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) {
  char letter = letter_of(fd, 'w');
  int due = is_due(letter);
  if (fails(due)) return -1;
  return done(letter, syscall(SYS_pwrite64, fd, bytes, shortened(due, size), offset), due);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

ssize_t write(int fd, const void *bytes, size_t size) {
  char letter = letter_of(fd, 'w');
  int due = is_due(letter);
  if (fails(due)) return -1;
  return done(letter, syscall(SYS_write, fd, bytes, shortened(due, size)), due);
}

static int sync_with(int fd, long number) {
  char letter = letter_of(fd, 's');
  int due = is_due(letter);
  if (fails(due)) return -1;
  return done(letter, syscall(number, fd), due);
}

int fsync(int fd) { return sync_with(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_with(fd, SYS_fdatasync); }

int ftruncate64(int fd, off_t length) {
  char letter = letter_of(fd, 't');
  int due = is_due(letter);
  if (fails(due)) return -1;
  return done(letter, syscall(SYS_ftruncate, fd, length), due);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
