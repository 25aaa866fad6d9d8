/* SPDX-License-Identifier: MIT */
/** The HTTP/2 adapter: a server for browsers without a proxy in front. All tabs of a browser share one connection, so a
 *  user can keep as many live pages open as the server allows, and an idle stream costs some hundred bytes.
 *
 *      vestry_route(v, "GET", "/", page, &app);
 *      vestry_h2_create(v, &(vestry_h2_options){.port = 443, .tls_key = key, .tls_certificate = chain}, &server);
 *      …
 *      vestry_server_stop(server, 1500);   // aborts the streams, so that the browsers reconnect
 *      vestry_server_destroy(server);
 *      vestry_destroy(v);
 *
 *  nghttp2 reads and writes HTTP/2, GnuTLS encrypts. A client that does not offer h2 in its ALPN gets HTTP/1.1 on the
 *  same port, by libmicrohttpd (vestry/microhttpd.h). Without a key, the server accepts HTTP/1.1, and HTTP/2 by prior
 *  knowledge ("h2c"), for proxies on the same machine. docs/guide/tls.md compares this with a proxy. */
#ifndef VESTRY_H2_H
#define VESTRY_H2_H

#include "vestry/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of a server. Zero is the default. */
typedef struct vestry_h2_options {
  const char *address;      /**< numeric address to listen on; NULL: 0.0.0.0, every IPv4 address */
  uint16_t port;            /**< 0: a free port, see vestry_server.port */
  const char *unix_path;    /**< UNIX socket to listen on, instead of address and port; NULL: none. As in
                                 vestry_microhttpd_create */
  uint32_t unix_mode;       /**< permissions of the socket's file; 0: 0660 */
  uint32_t threads_count;   /**< threads that serve requests of HTTP/2, and as many for HTTP/1.1; 0: one for each
                                 processor that the process may use, at least 2; at most 256 */
  uint32_t max_streams;     /**< maximum number of open streams, of HTTP/2 and HTTP/1.1 together; beyond it 503 with
                                 Retry-After. 0: 10,000; at most 1,000,000 */
  uint32_t max_connections; /**< maximum number of connections; beyond it no connection is accepted. 0: as
                                 vestry_microhttpd_options has it, also if all streams are of HTTP/1.1. At most
                                 2,000,000, and at least threads_count */
  uint32_t max_per_address; /**< maximum number of connections of one IPv4 address, or of one IPv6 /64; further ones are
                                 closed. 0: no limit */
  uint32_t max_per_connection; /**< maximum number of requests and streams of one connection of HTTP/2 at a time;
                                    SETTINGS announce it, and browsers wait for a free one. The connection of a client
                                    that ignores it ends. 0: 250; at most 10,000 */
  uint32_t timeout_s;          /**< seconds of silence after which a connection without requests and streams is closed,
                                    and for which a client may read nothing of a response. 0: 30 */
  uint64_t request_timeout_ms; /**< time for a complete request, head and body, and for a TLS handshake. 0: 30,000;
                                    VESTRY_NEVER_MS: no limit */
  uint64_t lost_ms;      /**< a peer that leaves sent bytes unacknowledged for this time is LOST, and one that takes
                                    no bytes of a stream is STALLED; 0: a heartbeat of the instance, but at least 2,000
                                    (30,000 if there are no heartbeats); VESTRY_NEVER_MS: the system's limit */
  size_t max_head_bytes; /**< of a request's head: the sum of its names and values, and 32 for each field; a larger
                                    one gets 431. The connection of HTTP/2 ends if a field exceeds 64 KiB, or a head
                                    144 KiB as it is sent. 0: 16,384; at most 4 MiB */
  const char *tls_key;   /**< text in PEM, not a file name; with key and certificate the server accepts TLS only.
                                    Borrowed for create */
  const char *tls_certificate;  /**< PEM, followed by its chain if there is one */
  const char *const *tls_pairs; /**< instead of tls_key and tls_certificate: keys and certificates alternate, ended by
                                     NULL. A client gets the first pair whose certificate is for the name that it
                                     requests (SNI), or else the first. NULL: none */
  const char *const *tls_files; /**< instead of the members above: names of files in PEM, of keys and certificates in
                                     the order of tls_pairs, which vestry_server_renew reads again. NULL: none */
  const char *const *names; /**< names that the server serves, such as "example.org", ended by NULL, in lower case and
                                    without a port. A request of HTTP/2 for another one gets 421: browsers send requests
                                    for each name of a certificate over one connection, also if another server serves
                                    that name. NULL: all names */
} vestry_h2_options;

/** An HTTP/2 server by vestry/server.h. */
extern VESTRY_API const vestry_server_adapter vestry_server_h2;

/** Start a server.
 *  v           borrowed; must outlive the server; its runtime must own threads
 *  options     NULL: the defaults; copied
 *  ret_server  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (an argument, or beyond its bounds) | NO_MEMORY | UNSUPPORTED (libmicrohttpd was built without
 *           TLS or epoll) | CLOSED (the instance's runtime) | IO (the address or path is in use, an invalid key or
 *           certificate, no thread or descriptor is left). The host's log has the reason
 *  Threads  any; does not block, except as vestry_microhttpd_create does for a UNIX socket
 *
 *  Threads. Handlers run on the server's threads. A handler that blocks delays the other requests of its connection,
 *  and the other connections of its thread, so set more threads if handlers block. Streams do not use these threads;
 *  the instance's runtime writes them. Writers of bodies in pieces (vestry/app/upload.h) run on separate threads.
 *
 *  Which protocol. The server reads the beginning of a connection before it decides. With TLS it is HTTP/2 if the
 *  client's ALPN offers "h2", and without TLS if it begins with the preface of HTTP/2. All others are HTTP/1.1, also a
 *  ClientHello that is split into several records.
 *
 *  Flow control. A stream whose client does not read waits (its queue fills, under its bounds), and no other stream of
 *  the connection waits with it: one unread stream takes at most 57 % of the connection's window (a browser's takes at
 *  most a quarter), three leave at least a sixth of it, and more leave some of it, too. A body that is received in
 *  pieces may be ahead of its writer by 64 to 512 KiB; then its client waits, but not the other requests of the
 *  connection.
 *
 *  Priorities. The client requests the order of responses on its connection, by the Priority field and PRIORITY_UPDATE
 *  (RFC 9218). Streams of events are at most as urgent as the default, 3, and come after responses of the same urgency;
 *  the response to a POST is at least as urgent as the default. While more urgent responses are sent, the others still
 *  get a fifth of the connection.
 *
 *  End of a stream whose client has gone:
 *  - HANGUP, at once: the client resets the stream, or its connection ends
 *  - LOST, at most a heartbeat and lost_ms after the cut: the client acknowledges nothing for lost_ms
 *  - STALLED: the client takes no bytes of the stream for lost_ms
 *
 *  A connection receives GOAWAY, and ends when its last stream has ended, after vestry_server_stop, and after a
 *  response 503, so that a client of a server that is drained goes elsewhere. A response is reset if its client takes
 *  no byte of it for timeout_s, or for five seconds after vestry_server_stop. A connection ends at once if its client
 *  violates the protocol, or sends more than some thousand frames that cost work and carry nothing (PING, SETTINGS,
 *  PRIORITY, empty DATA, resets), faster than a hundred each second; without TLS, where many clients of a proxy share a
 *  connection, four times as many. */
VESTRY_API vestry_err vestry_h2_create(vestry *v, const vestry_h2_options *options, vestry_server **ret_server);

/** Size of a buffer for vestry_h2_certificate. */
#define VESTRY_H2_CERTIFICATE_BYTES 4096
/** Make a key and a self-signed certificate, for a server on a developer's machine: for localhost, 127.0.0.1, ::1 and
 *  one further address, valid for a week. Browsers warn of it once. A server for users needs one of an authority.
 *  address  numeric, IPv4; NULL, or another text: none
 *  pem      receives both, as text: pass it as tls_key and as tls_certificate. Undefined after an error
 *  Returns  OK | INVALID (pem is NULL) | NO_MEMORY | IO (GnuTLS)
 *  Threads  any; takes some milliseconds */
VESTRY_API vestry_err vestry_h2_certificate(const char *address, char pem[VESTRY_H2_CERTIFICATE_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
