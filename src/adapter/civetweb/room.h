/* SPDX-License-Identifier: MIT */
/* Checks whether the system has enough threads and descriptors for a server. */
#ifndef VSI_CIVETWEB_ROOM_H
#define VSI_CIVETWEB_ROOM_H

#include <stdint.h>

/* Descriptors that belong to no client: ports, files, logs, and those of the application. */
enum { VSI_CIVETWEB_OTHER_DESCRIPTORS = 64 };

/* Create this many threads at once, and end them. Returns the number that could be created. */
uint32_t vsi_civetweb_try_threads(uint32_t count);

/* Return the descriptors that a server can need, and the number that this process may have. */
uint64_t vsi_civetweb_descriptors_needed(uint32_t threads_count, uint32_t queue_count);
uint64_t vsi_civetweb_descriptors_allowed(void);

#endif
