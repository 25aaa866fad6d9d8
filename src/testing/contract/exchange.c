/* SPDX-License-Identifier: MIT */
/* The seam of any server, with a client over a socket. */
#include <stdlib.h>

#include "testing/contract/client.h"
#include "testing/contract/seam.h"
#include "testing/contract/server.h"

typedef struct exchange {
  vsi_client client;
} exchange;

/* ---- the server -------------------------------------------------------------------------------------------------- */

/* libmicrohttpd may miss the end of a body that breaks off. */
enum { SILENT_MS = 10000, STALLED_MS = 300000, BODY_BYTES = 4 << 20 };

static void *start(const vestry_options *options, unsigned room) {
  vsi_server *s = calloc(1, sizeof *s);
  CHECK(s);
  vsi_server_begin(s, options);
  vsi_server_run(
      s, &(vestry_contract_settings){
             .max_streams = room, .silent_ms = SILENT_MS, .stalled_ms = STALLED_MS, .max_body_bytes = BODY_BYTES});
  return s;
}

static vestry *instance(void *of) {
  return ((vsi_server *)of)->v;
}

static void stop(void *stopped) {
  vsi_server *s = stopped;
  vsi_server_stop_adapter(s);
  if (vsi_adapter.has_one_loop) return; /* vestry_stop would step the runtime beside the loop */
  CHECK_ERROR(vestry_stop(s->v, vsi_patience_s * UINT64_C(1000)), VESTRY_OK);
}

static void destroy(void *stopped) {
  vsi_server_finish(stopped);
  free(stopped);
}

static void settle(void *of) {
  (void)of; /* the server runs in its own threads */
}

static void pass_ms(void *of, uint64_t ms) {
  (void)of, (void)ms; /* real time passes */
}

/* ---- its client -------------------------------------------------------------------------------------------------- */

static void send_chunked(vsi_client *c, const char *body, size_t len, bool breaks) {
  for (size_t i = 0, step = 1; i < len; i += step, step = step * 7 % 9973 + 1) {
    if (step > len - i) step = len - i;
    vsi_client_sendf(c, "%zx\r\n", step);
    vsi_client_send(c, body + i, step);
    vsi_client_sendf(c, "\r\n");
  }
  if (breaks)
    vsi_client_sendf(c, "10\r\nnot sixteen");
  else
    vsi_client_sendf(c, "0\r\n\r\n");
}

static void *ask(void *of, const vsi_contract_call *what) {
  exchange *made = calloc(1, sizeof *made);
  CHECK(made);
  vsi_client *c = &made->client;
  vsi_client_connect(c, ((vsi_server *)of)->port, false);
  vsi_client_sendf(c, "%s %s%s%s HTTP/1.1\r\nHost: localhost\r\n", what->method ? what->method : "GET",
                   what->path ? what->path : "/", what->query ? "?" : "", what->query ? what->query : "");
  if (what->datastar) vsi_client_sendf(c, "Datastar-Request: true\r\n");
  for (size_t i = 0; i < what->headers_count; i++)
    vsi_client_sendf(c, "%s: %s\r\n", what->headers[i].name, what->headers[i].value);
  if (what->no_length)
    vsi_client_sendf(c, "Transfer-Encoding: chunked\r\n\r\n");
  else if (what->body)
    vsi_client_sendf(c, "Content-Length: %zu\r\n\r\n", what->body_len + what->breaks);
  else
    vsi_client_sendf(c, "\r\n");
  if (what->no_length)
    send_chunked(c, what->body, what->body_len, what->breaks);
  else
    vsi_client_send(c, what->body, what->body_len);
  if (what->breaks) vsi_client_shut(c);
  return made;
}

static int status(void *asked) {
  return vsi_client_status(&((exchange *)asked)->client);
}

static const char *header(void *asked, const char *name) {
  return vsi_client_header(&((exchange *)asked)->client, name);
}

static void expect(void *asked, const char *text) {
  vsi_client_expect(&((exchange *)asked)->client, text);
}

static vestry_slice body(void *asked) {
  vsi_client *c = &((exchange *)asked)->client;
  if (!vsi_client_header(c, "Transfer-Encoding")) vsi_client_finish(c, false); /* not a stream */
  return (vestry_slice){c->body, c->body_len};
}

static bool end(void *asked) {
  vsi_client *c = &((exchange *)asked)->client;
  if (!c->len) vsi_client_read(c);
  if (c->ended && !c->len) return false; /* there was no response */
  vsi_client_finish(c, false);
  return c->complete;
}

static void hang_up(void *asked) {
  vsi_client_close(&((exchange *)asked)->client);
}

static void forget(void *asked) {
  hang_up(asked);
  free(asked);
}

const vsi_contract_seam *vsi_socket_seam(void) {
  static vsi_contract_seam seam;
  seam = (vsi_contract_seam){.start = start,
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
                             .closes_broken = vsi_adapter.closes_broken,
                             .no_peer_address = vsi_adapter.no_peer_address};
  return &seam;
}
