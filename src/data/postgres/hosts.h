/* SPDX-License-Identifier: MIT */
/* The hosts that a url names: libpq takes several, with commas between them. */
#ifndef VSI_POSTGRES_HOSTS_H
#define VSI_POSTGRES_HOSTS_H

#include <libpq-fe.h>
#include <stddef.h>

enum { VSI_POSTGRES_HOST_WORDS = 3 };

/* A list of libpq's: its parts, one after the other. */
typedef struct vsi_postgres_parts {
  const char *first;
  size_t count;
} vsi_postgres_parts;

typedef struct vsi_postgres_hosts {
  PQconninfoOption *options;
  vsi_postgres_parts parts[VSI_POSTGRES_HOST_WORDS];
  size_t count; /* 0: it names none, or is read otherwise */
} vsi_postgres_hosts;

void vsi_postgres_hosts_init(vsi_postgres_hosts *hosts, const char *url);
void vsi_postgres_hosts_finish(vsi_postgres_hosts *hosts);
/* libpq's parameters for one of them, below `count`: so many words, and a value for each, NULL where the url has none.
 * Valid until they are finished. */
void vsi_postgres_hosts_choose(const vsi_postgres_hosts *hosts, size_t i, const char **ret_words,
                               const char **ret_values);

#endif
