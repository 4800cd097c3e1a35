/*
 * A bad network between two network namespaces, for brokers and clients under test. It makes both namespaces, joins them
 * by a pair of TUN devices, and carries every packet from one to the other by hand: late, out of order, twice, slowly, or
 * not at all. Nothing of it has a name: both namespaces are gone when it has ended and the last process in them has.
 *
 *   rough-link SEED
 *
 * Prints `ready FD_A FD_B`: the namespaces, to be entered by /proc/PID/fd/FD. The address of side a is 10.77.0.1, that
 * of b 10.77.0.2; both have a loopback. Ends with its standard input, and with its parent.
 *
 * A line of input sets how packets go that come from a side, until the next line: all nine numbers, always.
 *
 *   set SIDE LOSS_PPM DELAY_US JITTER_US REORDER_PPM TWICE_PPM BYTES_PER_SECOND QUEUE_BYTES MTU_BYTES CUT
 *
 * LOSS_PPM, REORDER_PPM and TWICE_PPM are chances in a million. A packet is late by DELAY_US and up to JITTER_US more,
 * behind those before it; a reordered one is not late at all. At a rate above 0 what does not fit the queue is lost. A
 * packet of more than MTU_BYTES is lost without a word, as behind a tunnel that sends no ICMP. CUT 1 loses everything.
 *
 *   interface SIDE UP      takes the device of a side down (0) or up (1)
 *   count                  prints `count CARRIED LOST TWICE REORDERED TOO_LARGE` of all packets so far
 *
 * Every line but `count` is answered with `ok`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 2048
#define WAITING_MAX 65536

struct rules {
  long loss_ppm, delay_us, jitter_us, reorder_ppm, twice_ppm, bytes_per_second, queue_bytes, mtu_bytes, cut;
};

struct packet {
  int64_t due_us;
  uint64_t number;
  int to;
  int bytes;
  unsigned char data[PACKET_MAX];
};

static struct rules rules[2] = {{.mtu_bytes = 65535}, {.mtu_bytes = 65535}};
static int namespaces[2], devices[2];
static int64_t last_due_us[2], free_at_us[2];
/* A heap by due time; packets that are due together go in the order in which they came. */
static struct packet *waiting[WAITING_MAX];
static int waiting_count;
static uint64_t numbers, carried, lost, twice, reordered, too_large, chance_state;

static void die(const char *what) {
  fprintf(stderr, "rough-link: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t draw(void) {
  uint64_t z = (chance_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int by_chance(long ppm) { return ppm > 0 && (long)(draw() % 1000000u) < ppm; }

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int sooner(const struct packet *a, const struct packet *b) {
  return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void push(struct packet *packet) {
  int at = waiting_count++;
  while (at > 0 && sooner(packet, waiting[(at - 1) / 2])) {
    waiting[at] = waiting[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  waiting[at] = packet;
}

static struct packet *pop(void) {
  struct packet *first = waiting[0], *last = waiting[--waiting_count];
  int at = 0;
  for (int child = 1; child < waiting_count; child = 2 * at + 1) {
    if (child + 1 < waiting_count && sooner(waiting[child + 1], waiting[child])) child += 1;
    if (!sooner(waiting[child], last)) break;
    waiting[at] = waiting[child];
    at = child;
  }
  if (waiting_count > 0) waiting[at] = last;
  return first;
}

static void send_later(int to, const unsigned char *data, int bytes, int64_t due_us) {
  struct packet *packet = waiting_count == WAITING_MAX ? NULL : malloc(sizeof *packet);
  if (packet == NULL) {
    lost += 1;
    return;
  }
  packet->due_us = due_us;
  packet->number = numbers++;
  packet->to = to;
  packet->bytes = bytes;
  memcpy(packet->data, data, (size_t)bytes);
  push(packet);
}

static void take(int from, const unsigned char *data, int bytes) {
  const struct rules *rule = &rules[from];
  /* What a kernel says by itself over IPv6 belongs to no test. */
  if (bytes < 20 || data[0] >> 4 != 4) return;
  if (bytes > rule->mtu_bytes) {
    too_large += 1;
    return;
  }
  if (rule->cut || by_chance(rule->loss_ppm)) {
    lost += 1;
    return;
  }
  int64_t now = now_us(), due = now;
  if (rule->bytes_per_second > 0) {
    if (free_at_us[from] < now) free_at_us[from] = now;
    if ((free_at_us[from] - now) * rule->bytes_per_second / 1000000 > rule->queue_bytes) {
      lost += 1;
      return;
    }
    free_at_us[from] += (int64_t)bytes * 1000000 / rule->bytes_per_second;
    due = free_at_us[from];
  }
  if (by_chance(rule->reorder_ppm)) {
    reordered += 1;
  } else {
    due += rule->delay_us;
    if (rule->jitter_us > 0) due += (int64_t)(draw() % (uint64_t)rule->jitter_us);
    if (due < last_due_us[from]) due = last_due_us[from];
    last_due_us[from] = due;
  }
  send_later(1 - from, data, bytes, due);
  if (by_chance(rule->twice_ppm)) {
    twice += 1;
    send_later(1 - from, data, bytes, due);
  }
}

static void deliver(void) {
  for (int64_t now = now_us(); waiting_count > 0 && waiting[0]->due_us <= now;) {
    struct packet *packet = pop();
    /* A device that is down takes nothing; neither does one whose queue is full. */
    if (write(devices[packet->to], packet->data, (size_t)packet->bytes) < 0) lost += 1;
    else carried += 1;
    free(packet);
  }
}

static void set_flags(const char *name, int up) {
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) die("flags");
  if (up) request.ifr_flags |= IFF_UP | IFF_RUNNING;
  else request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
  if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) die("flags");
  close(fd);
}

static void set_address(unsigned long what, const char *address) {
  struct ifreq request = {0};
  struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strcpy(request.ifr_name, "rough0");
  in->sin_family = AF_INET;
  inet_pton(AF_INET, address, &in->sin_addr);
  if (ioctl(fd, what, &request) < 0) die("address");
  close(fd);
}

static void make_side(int side) {
  static const char *addresses[2] = {"10.77.0.1", "10.77.0.2"};
  struct ifreq request = {0};
  if (unshare(CLONE_NEWNET) < 0) die("a network namespace");
  namespaces[side] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  devices[side] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (devices[side] < 0) die("/dev/net/tun");
  strcpy(request.ifr_name, "rough0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(devices[side], TUNSETIFF, &request) < 0) die("a TUN device");
  set_address(SIOCSIFADDR, addresses[side]);
  set_address(SIOCSIFDSTADDR, addresses[1 - side]);
  set_address(SIOCSIFNETMASK, "255.255.255.0");
  set_flags("rough0", 1);
  set_flags("lo", 1);
}

static void obey(char *line) {
  char name;
  int up;
  struct rules r;
  if (sscanf(line, "set %c %ld %ld %ld %ld %ld %ld %ld %ld %ld", &name, &r.loss_ppm, &r.delay_us, &r.jitter_us,
             &r.reorder_ppm, &r.twice_ppm, &r.bytes_per_second, &r.queue_bytes, &r.mtu_bytes, &r.cut) == 10) {
    rules[name == 'b'] = r;
  } else if (sscanf(line, "interface %c %d", &name, &up) == 2) {
    if (setns(namespaces[name == 'b'], CLONE_NEWNET) < 0) die("setns");
    set_flags("rough0", up);
  } else if (strcmp(line, "count") == 0) {
    printf("count %llu %llu %llu %llu %llu\n", (unsigned long long)carried, (unsigned long long)lost,
           (unsigned long long)twice, (unsigned long long)reordered, (unsigned long long)too_large);
    return;
  } else {
    errno = EINVAL;
    die(line);
  }
  printf("ok\n");
}

/* False at the end of the input. */
static int read_lines(void) {
  static char text[4096];
  static size_t used;
  ssize_t got = read(0, text + used, sizeof text - used - 1);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  used += (size_t)got;
  text[used] = 0;
  for (char *end; (end = strchr(text, '\n')) != NULL;) {
    *end = 0;
    obey(text);
    used -= (size_t)(end + 1 - text);
    memmove(text, end + 1, used + 1);
  }
  return 1;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  chance_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  make_side(0);
  make_side(1);
  printf("ready %d %d\n", namespaces[0], namespaces[1]);
  for (;;) {
    struct pollfd polled[3] = {{0, POLLIN, 0}, {devices[0], POLLIN, 0}, {devices[1], POLLIN, 0}};
    struct timespec wait = {3600, 0};
    if (waiting_count > 0) {
      int64_t us = waiting[0]->due_us - now_us();
      if (us < 0) us = 0;
      wait.tv_sec = us / 1000000;
      wait.tv_nsec = us % 1000000 * 1000;
    }
    if (ppoll(polled, 3, &wait, NULL) < 0 && errno != EINTR) die("poll");
    deliver();
    for (int side = 0; side < 2; side += 1) {
      unsigned char data[PACKET_MAX];
      ssize_t bytes;
      for (int turn = 0; turn < 64 && (bytes = read(devices[side], data, sizeof data)) > 0; turn += 1) {
        take(side, data, (int)bytes);
      }
    }
    deliver();
    if (polled[0].revents != 0 && !read_lines()) return 0;
  }
}
