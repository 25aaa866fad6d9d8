/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "vestry/vestry.h"

enum { CLIENT_MAX_BYTES = 4 * 1024 * 1024 };

static bool is_before_nonces(unsigned major, unsigned minor, unsigned patch) {
  return major == 1 && minor == 0 && patch < 3;
}

/* Return whether the first line of a client names a version before 1.0.3, which can compile only with eval. */
static bool client_needs_eval(const void *client, size_t len) {
  static const char name[] = "Datastar v";
  char head[128] = "";
  unsigned major = 0, minor = 0, patch = 0;
  memcpy(head, client, len < sizeof head ? len : sizeof head - 1);
  const char *at = strstr(head, name);
  return at && sscanf(at + sizeof name - 1, "%3u.%3u.%3u", &major, &minor, &patch) == 3 &&
         is_before_nonces(major, minor, patch);
}

static const char *read_file(struct client *client) {
  FILE *file = fopen(client->path, "rb");
  if (!file) return strerror(errno);
  client->bytes = client->file = malloc(CLIENT_MAX_BYTES);
  if (client->file) client->len = fread(client->file, 1, CLIENT_MAX_BYTES, file);
  const char *wrong = !client->file                     ? "out of memory"
                      : ferror(file)                    ? strerror(errno) /* for example a directory */
                      : !client->len                    ? "the file is empty"
                      : client->len == CLIENT_MAX_BYTES ? "the file is too large"
                                                        : NULL;
  fclose(file);
  return wrong;
}

/* Set the URL of a version of the client. */
static const char *read_version(struct client *client) {
  static const char url[] = VESTRY_DATASTAR_CDN_URL, known[] = VESTRY_DATASTAR_VERSION;
  const char *at = strstr(url, "@v" VESTRY_DATASTAR_VERSION) + 2, *rest = at + sizeof known - 1;
  unsigned major = 0, minor = 0, patch = 0;
  int len = 0;
  bool is_version =
      sscanf(client->version, "%3u.%3u.%3u%n", &major, &minor, &patch, &len) == 3 && !client->version[len] && len < 12;
  if (!is_version || major != 1) return "expected a version such as " VESTRY_DATASTAR_VERSION;
  snprintf(client->url, sizeof client->url, "%.*s%s%s", (int)(at - url), url, client->version, rest);
  client->needs_eval = is_before_nonces(major, minor, patch);
  return NULL;
}

void client_choose(struct client *client, const char *program) {
  strcpy(client->url, VESTRY_DATASTAR_CDN_URL);
  const char *wrong = client->path ? read_file(client) : NULL;
  if (wrong) program_refuse(program, "datastar-file", client->path, wrong);
  if (client->version) wrong = read_version(client);
  if (wrong) program_refuse(program, "datastar-version", client->version, wrong);
  if (!client->bytes && !client->version && client_js_len) client->bytes = client_js, client->len = client_js_len;
  if (!client->bytes) return;
  strcpy(client->url, "/datastar.js");
  if (!client->version) client->needs_eval = client_needs_eval(client->bytes, client->len);
}
