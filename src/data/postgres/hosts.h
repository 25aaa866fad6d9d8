/* SPDX-License-Identifier: MIT */
/* The hosts in a url: libpq accepts several, separated by commas. */
#ifndef VSI_POSTGRES_HOSTS_H
#define VSI_POSTGRES_HOSTS_H

#include <libpq-fe.h>
#include <stddef.h>

enum { VSI_POSTGRES_HOST_WORDS = 3 };

/* A comma-separated list of libpq: its parts, each with a NUL. */
typedef struct vsi_postgres_parts {
  const char *first;
  size_t count;
} vsi_postgres_parts;

typedef struct vsi_postgres_hosts {
  PQconninfoOption *options;
  vsi_postgres_parts parts[VSI_POSTGRES_HOST_WORDS];
  size_t count; /* 0: no hosts, or the url cannot be split here */
} vsi_postgres_hosts;

void vsi_postgres_hosts_init(vsi_postgres_hosts *hosts, const char *url);
void vsi_postgres_hosts_finish(vsi_postgres_hosts *hosts);
/* Get the parameters of libpq for host i < count: keywords and their values; NULL: the url has no such value. Valid
 * until vsi_postgres_hosts_finish. */
void vsi_postgres_hosts_choose(const vsi_postgres_hosts *hosts, size_t i, const char **ret_words,
                               const char **ret_values);

#endif
