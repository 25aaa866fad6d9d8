/* SPDX-License-Identifier: MIT */
/* Splitting the hosts of a URL, so that each can be tried separately (link.c). */
#include "data/postgres/hosts.h"

#include <string.h>

static const char *const words[VSI_POSTGRES_HOST_WORDS] = {"host", "hostaddr", "port"};

/* Split a list in place: each comma ends a part. NULL: no parts. */
static vsi_postgres_parts split(char *text) {
  vsi_postgres_parts is = {text, text && *text};
  for (char *at = text; at && *at; at++) {
    if (*at != ',') continue;
    *at = '\0';
    is.count++;
  }
  return is;
}

void vsi_postgres_hosts_init(vsi_postgres_hosts *hosts, const char *url) {
  *hosts = (vsi_postgres_hosts){.options = PQconninfoParse(url, NULL)};
  for (const PQconninfoOption *at = hosts->options; at && at->keyword; at++)
    for (size_t i = 0; i < VSI_POSTGRES_HOST_WORDS; i++)
      if (strcmp(at->keyword, words[i]) == 0) hosts->parts[i] = split(at->val);
  const size_t names_count = hosts->parts[0].count, addresses_count = hosts->parts[1].count;
  hosts->count = names_count > addresses_count ? names_count : addresses_count;
  for (size_t i = 0; i < VSI_POSTGRES_HOST_WORDS; i++) /* lists of different lengths: libpq reports the mistake */
    if (hosts->parts[i].count > 1 && hosts->parts[i].count != hosts->count) hosts->count = 0;
}

void vsi_postgres_hosts_finish(vsi_postgres_hosts *hosts) {
  PQconninfoFree(hosts->options);
  *hosts = (vsi_postgres_hosts){.count = 0};
}

/* Return a part. A single part applies to all hosts; otherwise there is one for each. */
static const char *part_of(const vsi_postgres_parts *is, size_t i) {
  const char *at = is->first;
  if (!is->count) return NULL;
  for (size_t left = is->count > 1 ? i : 0; left; left--) at += strlen(at) + 1;
  return at;
}

void vsi_postgres_hosts_choose(const vsi_postgres_hosts *hosts, size_t i, const char **ret_words,
                               const char **ret_values) {
  for (size_t n = 0; n < VSI_POSTGRES_HOST_WORDS; n++) {
    ret_words[n] = words[n];
    ret_values[n] = part_of(&hosts->parts[n], i);
  }
}
