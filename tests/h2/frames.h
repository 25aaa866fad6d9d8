/* SPDX-License-Identifier: MIT */
/* A client that sends frames of HTTP/2 one by one, also invalid ones. A wait without result fails. */
#ifndef TESTS_H2_FRAMES_H
#define TESTS_H2_FRAMES_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microhttpd/tls.h"

enum {
  FRAME_DATA,
  FRAME_HEADERS,
  FRAME_PRIORITY,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_PUSH,
  FRAME_PING,
  FRAME_GOAWAY,
  FRAME_WINDOW_UPDATE,
  FRAME_CONTINUATION
};
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8 };
enum { FRAME_MOST_BYTES = 16384 };

typedef struct frame {
  uint32_t len;
  uint8_t type, flags;
  uint32_t stream;
  uint8_t bytes[FRAME_MOST_BYTES];
} frame;

typedef struct frames_client {
  int fd;
  gnutls_session_t tls; /* NULL: plain */
  bool has_ended;       /* the server has closed */
  frame last;           /* the frame that was read last */
  size_t first_bytes;   /* of the data of stream 1 that were read, with heartbeats */
} frames_client;

/* Connect, and send nothing. */
void frames_reach(frames_client *c, uint16_t port);
/* Send bytes as they are. false: the server has closed. */
bool frames_put(frames_client *c, const void *bytes, size_t len);
/* Send the preface and SETTINGS. window: the initial window of streams; 0: the default. */
void frames_begin(frames_client *c, uint32_t window);
/* Connect, and do the same. */
void frames_connect(frames_client *c, uint16_t port, uint32_t window);
/* Close, without a farewell of TLS. */
void frames_close(frames_client *c);

/* Connect and shake hands. Returns 0, or the error of GnuTLS. c: to be closed in both cases */
int frames_reach_tls(frames_client *c, uint16_t port, const tls_hello *hello);
/* The same with h2, and send the preface and SETTINGS, and wait for the server's. name: SNI; NULL: none */
void frames_connect_tls(frames_client *c, uint16_t port, const char *name);
/* Send a frame. false: the server has closed. */
bool frames_send(frames_client *c, uint8_t type, uint8_t flags, uint32_t stream, const void *bytes, size_t len);
/* Send a frame whose payload is a number of 32 bits. */
bool frames_send_number(frames_client *c, uint8_t type, uint32_t stream, uint32_t number);
/* Send HEADERS. fields: a name and a value each, ended by NULL. */
bool frames_ask(frames_client *c, uint32_t stream, uint8_t flags, const char *const *fields);
/* Send a head in as many frames as it needs. */
bool frames_send_head(frames_client *c, uint32_t stream, uint8_t flags, const uint8_t *bytes, size_t len);
/* Encode fields without an index. Returns the length. */
size_t frames_encode(uint8_t *to, size_t capacity, const char *const *fields);
/* GET or POST of a path. */
bool frames_get(frames_client *c, uint32_t stream, const char *path);
bool frames_post(frames_client *c, uint32_t stream, const char *path);
/* Request a stream of events; and wait for its head. */
bool frames_open_stream(frames_client *c, uint32_t stream);
void frames_open(frames_client *c, uint32_t stream);

/* Read a frame into c->last; SETTINGS and PING are acknowledged. false: the server has closed. */
bool frames_read(frames_client *c);
/* Read until a frame of this type for this stream has arrived. false: the server has closed. */
bool frames_wait(frames_client *c, uint8_t type, uint32_t stream);
/* Read the head of the response to a stream, and return its status; 0: the stream was reset; -1: GOAWAY or the close */
int frames_status(frames_client *c, uint32_t stream);
/* Read until the server closes. Returns the code of its GOAWAY; -1: there was none. */
int64_t frames_end(frames_client *c);
uint32_t frames_number(const uint8_t *bytes);

#endif
