/* SPDX-License-Identifier: MIT */
#include "support/port.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"

enum { FIRST = 20000, COUNT = 12000, TRIES = 1000 };

/* Bind a socket to the port. Returns it, or -1. */
static int bound(int port, int type) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

int port_reserve(void) {
  for (int i = 0; i < TRIES; i++) {
    uint32_t number;
    assert_int_equal(getrandom(&number, sizeof number, 0), sizeof number);
    int port = FIRST + (int)(number % COUNT), lock = bound(port, SOCK_DGRAM);
    if (lock < 0) continue;
    int probe = bound(port, SOCK_STREAM);
    if (probe >= 0) {
      close(probe);
      return port; /* the lock stays open */
    }
    close(lock);
  }
  fail_msg("no port is free from %d on", FIRST);
  return 0;
}
