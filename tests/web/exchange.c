#include "web/exchange.h"

#include <stdlib.h>

#include "support/test.h"
#include "web/client.h"

typedef struct exchange {
  client client;
} exchange;

void web_settle(void *of) {
  (void)of; /* it runs by itself */
}

void web_pass_ms(void *of, uint64_t ms) {
  (void)of, (void)ms; /* so does time */
}

static void send_chunked(client *c, const char *body, size_t len, bool breaks) {
  for (size_t i = 0, step = 1; i < len; i += step, step = step * 7 % 9973 + 1) {
    if (step > len - i) step = len - i;
    client_say(c, "%zx\r\n", step);
    client_send(c, body + i, step);
    client_say(c, "\r\n");
  }
  if (breaks)
    client_say(c, "10\r\nnot sixteen");
  else
    client_say(c, "0\r\n\r\n");
}

void *web_ask(uint16_t port, const contract_ask *what) {
  exchange *made = calloc(1, sizeof *made);
  client *c = &made->client;
  client_connect(c, port, false);
  client_say(c, "%s %s%s%s HTTP/1.1\r\nHost: localhost\r\n", what->method ? what->method : "GET",
             what->path ? what->path : "/", what->query ? "?" : "", what->query ? what->query : "");
  if (what->datastar) client_say(c, "Datastar-Request: true\r\n");
  for (size_t i = 0; i < what->headers_count; i++)
    client_say(c, "%s: %s\r\n", what->headers[i].name, what->headers[i].value);
  if (what->no_length)
    client_say(c, "Transfer-Encoding: chunked\r\n\r\n");
  else if (what->body)
    client_say(c, "Content-Length: %zu\r\n\r\n", what->body_len + what->breaks);
  else
    client_say(c, "\r\n");
  if (what->no_length)
    send_chunked(c, what->body, what->body_len, what->breaks);
  else
    client_send(c, what->body, what->body_len);
  if (what->breaks) client_shut(c);
  return made;
}

int web_status(void *asked) {
  return client_status(&((exchange *)asked)->client);
}

const char *web_header(void *asked, const char *name) {
  return client_header(&((exchange *)asked)->client, name);
}

void web_expect(void *asked, const char *text) {
  client_expect(&((exchange *)asked)->client, text);
}

vestry_slice web_body(void *asked) {
  client *c = &((exchange *)asked)->client;
  if (!client_header(c, "Transfer-Encoding")) client_finish(c, false); /* no stream */
  return (vestry_slice){c->body, c->body_len};
}

bool web_end(void *asked) {
  client *c = &((exchange *)asked)->client;
  if (!c->len) client_read(c);
  if (c->ended && !c->len) return false; /* there was no answer at all */
  client_finish(c, false);
  return c->complete;
}

void web_hang_up(void *asked) {
  client_close(&((exchange *)asked)->client);
}

void web_forget(void *asked) {
  web_hang_up(asked);
  free(asked);
}
