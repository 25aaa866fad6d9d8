/* SPDX-License-Identifier: MIT */
/* The Datastar client that the pages of an example load. */
#ifndef EXAMPLES_CLIENT_H
#define EXAMPLES_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* The client of the build (VESTRY_DATASTAR_FILE), converted to an array; length 0: none was given. */
extern const unsigned char client_js[];
extern const size_t client_js_len;

struct client {
  const char *path, *version; /* of the command line; NULL: not given */
  char *file;                 /* text of the file, to be freed; NULL: none */
  const void *bytes; /* the served client: that text, or that of the build; NULL: browsers load it from the CDN */
  size_t len;
  bool needs_eval; /* it is older than 1.0.3 */
  char url[128];   /* from which pages load it */
};

/* Choose the client: the first of a file named at the start, a version named at the start, the file of the build, and
 * the CDN. If the path or the version is wrong, the program ends with a message. */
void client_choose(struct client *client, const char *program);

#endif
