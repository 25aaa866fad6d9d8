/* SPDX-License-Identifier: MIT */
#include "web/exchange.h"

#include <stdlib.h>

#include "support/test.h"
#include "web/client.h"
#include "web/server.h"

typedef struct exchange {
  client client;
} exchange;

/* ---- the server -------------------------------------------------------------------------------------------------- */

static vestry *instance(void *of) {
  return ((server *)of)->v;
}

static void stop(void *stopped) {
  server_stop_adapter(stopped);
  assert_int_equal(vestry_stop(((server *)stopped)->v, 20000), VESTRY_OK);
}

static void destroy(void *stopped) {
  server_finish(stopped);
  free(stopped);
}

static void settle(void *of) {
  (void)of; /* the server runs in its own threads */
}

static void pass_ms(void *of, uint64_t ms) {
  (void)of, (void)ms; /* real time passes */
}

/* ---- its client -------------------------------------------------------------------------------------------------- */

static void send_chunked(client *c, const char *body, size_t len, bool breaks) {
  for (size_t i = 0, step = 1; i < len; i += step, step = step * 7 % 9973 + 1) {
    if (step > len - i) step = len - i;
    client_sendf(c, "%zx\r\n", step);
    client_send(c, body + i, step);
    client_sendf(c, "\r\n");
  }
  if (breaks)
    client_sendf(c, "10\r\nnot sixteen");
  else
    client_sendf(c, "0\r\n\r\n");
}

static void *ask(void *of, const contract_ask *what) {
  exchange *made = calloc(1, sizeof *made);
  client *c = &made->client;
  client_connect(c, ((server *)of)->port, false);
  client_sendf(c, "%s %s%s%s HTTP/1.1\r\nHost: localhost\r\n", what->method ? what->method : "GET",
               what->path ? what->path : "/", what->query ? "?" : "", what->query ? what->query : "");
  if (what->datastar) client_sendf(c, "Datastar-Request: true\r\n");
  for (size_t i = 0; i < what->headers_count; i++)
    client_sendf(c, "%s: %s\r\n", what->headers[i].name, what->headers[i].value);
  if (what->no_length)
    client_sendf(c, "Transfer-Encoding: chunked\r\n\r\n");
  else if (what->body)
    client_sendf(c, "Content-Length: %zu\r\n\r\n", what->body_len + what->breaks);
  else
    client_sendf(c, "\r\n");
  if (what->no_length)
    send_chunked(c, what->body, what->body_len, what->breaks);
  else
    client_send(c, what->body, what->body_len);
  if (what->breaks) client_shut(c);
  return made;
}

static int status(void *asked) {
  return client_status(&((exchange *)asked)->client);
}

static const char *header(void *asked, const char *name) {
  return client_header(&((exchange *)asked)->client, name);
}

static void expect(void *asked, const char *text) {
  client_expect(&((exchange *)asked)->client, text);
}

static vestry_slice body(void *asked) {
  client *c = &((exchange *)asked)->client;
  if (!client_header(c, "Transfer-Encoding")) client_finish(c, false); /* not a stream */
  return (vestry_slice){c->body, c->body_len};
}

static bool end(void *asked) {
  client *c = &((exchange *)asked)->client;
  if (!c->len) client_read(c);
  if (c->ended && !c->len) return false; /* there was no answer */
  client_finish(c, false);
  return c->complete;
}

static void hang_up(void *asked) {
  client_close(&((exchange *)asked)->client);
}

static void forget(void *asked) {
  hang_up(asked);
  free(asked);
}

contract_seam web_contract_seam(const char *name, void *(*start)(const vestry_options *options, unsigned room)) {
  return (contract_seam){
      .name = name,
      .start = start,
      .instance = instance,
      .stop = stop,
      .destroy = destroy,
      .settle = settle,
      .pass_ms = pass_ms,
      .ask = ask,
      .status = status,
      .header = header,
      .expect = expect,
      .body = body,
      .end = end,
      .hang_up = hang_up,
      .forget = forget,
  };
}
