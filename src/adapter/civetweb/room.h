/* SPDX-License-Identifier: MIT */
/* Whether the system has room for a server: threads and descriptors. */
#ifndef VSI_CIVETWEB_ROOM_H
#define VSI_CIVETWEB_ROOM_H

#include <stdint.h>

/* For what is no client's: ports, files, logs, what the application has open. */
enum { VSI_CIVETWEB_OTHER_DESCRIPTORS = 64 };

/* Make so many threads at once, which end again before it returns. How many could be made. */
uint32_t vsi_civetweb_try_threads(uint32_t count);

/* Descriptors that a server can come to need, and how many this process may have. */
uint64_t vsi_civetweb_descriptors_needed(uint32_t threads_count, uint32_t queue_count);
uint64_t vsi_civetweb_descriptors_allowed(void);

#endif
