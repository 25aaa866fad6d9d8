/* SPDX-License-Identifier: MIT */
/* A page of memory that the kernel zeroes in a forked child, by which the child is recognized. */
#include "runtime/home.h"

#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

vsi_home *vsi_home_create(void) {
  void *page = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  (void)madvise(page, page_bytes(), MADV_WIPEONFORK); /* before Linux 4.14 a child is not detected */
  vsi_home *home = page;
  atomic_init(home, true);
  return home;
}

void vsi_home_destroy(vsi_home *home) {
  if (home) (void)munmap((void *)home, page_bytes());
}
