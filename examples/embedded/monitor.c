/* SPDX-License-Identifier: MIT */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

pthread_mutex_t monitor_lock = PTHREAD_MUTEX_INITIALIZER;
int celsius[DEVICES];
static struct user {
  unsigned long long token; /* 0: free */
  char name[VESTRY_TEXT_BYTES(NAME_MAX)];
} users[USERS_MAX];      /* guarded by monitor_lock */
static unsigned log_ins; /* guarded by monitor_lock */

/* Answer a request for either server: a text, or a redirect if the text is empty. A real login would require a
 * password, by POST. */
static int answer(const char *path, const char *name, char cookie[64], char text[128], const char **location) {
  int status = 303;
  pthread_mutex_lock(&monitor_lock);
  struct user *user = &users[log_ins % USERS_MAX];
  if (strcmp(path, "/values.json") == 0) {
    status = 200;
    snprintf(text, 128, "[%d,%d,%d,%d]\n", celsius[0], celsius[1], celsius[2], celsius[3]);
  } else if (strcmp(path, "/login") != 0) {
    status = 404;
  } else if (!vestry_text_has(name, 1, NAME_MAX) ||
             getrandom(&user->token, sizeof user->token, 0) != sizeof user->token) {
    *location = name && *name ? "/welcome?refused" : "/welcome"; /* the page that requests a name */
  } else {
    log_ins++; /* the hundred-and-first login replaces the oldest */
    snprintf(user->name, sizeof user->name, "%s", name);
    snprintf(cookie, 64, "monitor=%016llx; HttpOnly; SameSite=Lax", user->token);
    *location = "/";
  }
  pthread_mutex_unlock(&monitor_lock);
  return status;
}

size_t monitor_user(const char *cookies, char name[VESTRY_TEXT_BYTES(NAME_MAX)]) {
  const char *text = cookies ? strstr(cookies, "monitor=") : NULL;
  unsigned long long token = text ? strtoull(text + 8, NULL, 16) : 0;
  *name = '\0';
  pthread_mutex_lock(&monitor_lock);
  for (size_t i = 0; token && i < USERS_MAX; i++)
    if (users[i].token == token) strcpy(name, users[i].name);
  pthread_mutex_unlock(&monitor_lock);
  return strlen(name);
}

int monitor_by_civetweb(struct mg_connection *conn, void *ctx) {
  const struct mg_request_info *info = mg_get_request_info(conn);
  const char *query = info->query_string ? info->query_string : "";
  char name[256] = "", cookie[64] = "", text[128] = "";
  const char *location = NULL;
  (void)ctx, mg_get_var(query, strlen(query), "name", name, sizeof name);
  int status = answer(info->local_uri, name, cookie, text, &location);
  mg_printf(conn, "HTTP/1.1 %d OK\r\nConnection: close\r\nContent-Length: %zu\r\n", status, strlen(text));
  if (*cookie) mg_printf(conn, "Set-Cookie: %s\r\n", cookie);
  if (location) mg_printf(conn, "Location: %s\r\n", location);
  mg_printf(conn, "Content-Type: application/json\r\n\r\n%s", text);
  return status;
}

enum MHD_Result monitor_by_microhttpd(struct MHD_Connection *conn, const char *path) {
  char cookie[64] = "", text[128] = "";
  const char *location = NULL;
  const char *name = MHD_lookup_connection_value(conn, MHD_GET_ARGUMENT_KIND, "name");
  int status = answer(path, name, cookie, text, &location);
  struct MHD_Response *made = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
  if (*cookie) MHD_add_response_header(made, "Set-Cookie", cookie);
  if (location) MHD_add_response_header(made, "Location", location);
  MHD_add_response_header(made, "Content-Type", "application/json");
  enum MHD_Result result = MHD_queue_response(conn, (unsigned)status, made);
  MHD_destroy_response(made);
  return result;
}
