/* SPDX-License-Identifier: MIT */
/* Messages between nodes: docs/cluster-wire.md has the table. All numbers are little-endian. What comes in is checked
 * byte by byte; nothing of it is believed before its seal was looked at. */
#ifndef VSI_CLUSTER_WIRE_H
#define VSI_CLUSTER_WIRE_H

#include "base/buffer.h"
#include "base/siphash.h"
#include "base/trace.h"
#include "event/layout.h"

enum { VSI_WIRE_VERSION = 6, VSI_WIRE_HEAD = 48, VSI_WIRE_SEAL = 16 };

typedef enum vsi_wire_kind {
  VSI_WIRE_HELLO = 1, /* to all: a node is there. Nothing is believed of it */
  VSI_WIRE_HANDSHAKE, /* to one: prove that you live; here is my proof */
  /* Those below count only from a life that has proven itself. */
  VSI_WIRE_HEARTBEAT, /* to one: its keys, and how much it has sent */
  VSI_WIRE_GOODBYE,   /* to one: how much it has sent */
  VSI_WIRE_RESYNC,    /* to one: tell all your keys */
  /* Those below are numbered, for each receiver. */
  VSI_WIRE_KEYS, /* changes of keys */
  VSI_WIRE_REQUEST,
  VSI_WIRE_ANSWER,
  VSI_WIRE_EVENT,
  VSI_WIRE_REFRESH,
  VSI_WIRE_PUBLISH,
  VSI_WIRE_PRESENT, /* which members of presences have come where, or have left */
  VSI_WIRE_MISSED,  /* you have told too late of a channel or a key: something was sent without you */
  VSI_WIRE_LIST,    /* asks for a page of keys, or how many streams one has */
  /* This one is not, and may be lost: the next one says the same. */
  VSI_WIRE_RENEW, /* leases of streams of yours go on (renewals.c) */
  VSI_WIRE_KINDS
} vsi_wire_kind;

/* Flags of KEYS and PRESENT: it begins, or ends, all that there are. PRESENT come before KEYS. */
enum { VSI_WIRE_FIRST = 1, VSI_WIRE_LAST = 2 };
/* Of HANDSHAKE and HEARTBEAT: it drains; of HANDSHAKE: you are the later one of this name, give up; there are as many
 * nodes as there may be, and you are the youngest, give up. */
enum { VSI_WIRE_DRAINS = 1, VSI_WIRE_YIELD = 2, VSI_WIRE_FULL = 4 };
/* Of HEARTBEAT: of what it counts some is still on its way. */
enum { VSI_WIRE_MORE = 2 };
/* Of REQUEST: nothing more is performed once something has failed. */
enum { VSI_WIRE_FAIL_FAST = 1 };
/* Of any: the trace that it belongs to stands after the body. */
enum { VSI_WIRE_TRACED = 128, VSI_WIRE_TRACE = 24 };

static inline bool vsi_wire_is_numbered(vsi_wire_kind kind) {
  return kind >= VSI_WIRE_KEYS && kind != VSI_WIRE_RENEW;
}
/* One change in KEYS: a hash and a word of eight bytes each. */
enum { VSI_WIRE_CHANGE = 16 };

typedef struct vsi_wire_message {
  uint8_t kind, flags;
  uint64_t from, epoch; /* whose: its name, hashed, and its life */
  uint64_t to;          /* the receiver's life; 0: all */
  uint64_t seq;         /* its number; of HEARTBEAT, GOODBYE and RESYNC the last one that was given; of others 0 */
  uint64_t turn;        /* it only rises in one life, whichever node is spoken to: what has come before shows by it */
  const unsigned char *body;
  size_t len;
  bool is_traced;
  vestry_trace trace;
} vsi_wire_message;

/* Begin a message: room for its head. What is appended is its body. */
void vsi_wire_begin(vsi_buffer *buffer, const vestry_host *host);
/* The body is there: the trace after it; NULL: it has none. Returns the flag that says so. */
uint8_t vsi_wire_put_trace(vsi_buffer *buffer, const vestry_trace *trace);
/* The body is there, with its trace: room for the seal. */
void vsi_wire_end(vsi_buffer *buffer);
/* Write the head and the seal; can be done again for another receiver. The buffer has no error; body and len of the
 * message do not count. */
void vsi_wire_seal(vsi_buffer *buffer, vsi_siphash_key key, const vsi_wire_message *message);

/* OK | MALFORMED */
vestry_err vsi_wire_open(const void *data, size_t len, vsi_siphash_key key, vsi_wire_message *ret_message);
/* Of what could not be opened: the version, if it is sealed as a message of another version is. 0: it is not. */
uint8_t vsi_wire_other_version(const void *data, size_t len, vsi_siphash_key key);

void vsi_wire_put(vsi_buffer *buffer, uint64_t number, unsigned bytes);

/* Reads one thing after the other; after a failure nothing but zeroes. */
typedef struct vsi_wire_reader {
  const unsigned char *at;
  size_t left;
  bool has_failed;
} vsi_wire_reader;

static inline vsi_wire_reader vsi_wire_read(const void *data, size_t len) {
  return (vsi_wire_reader){data, len, false};
}
uint64_t vsi_wire_number(vsi_wire_reader *reader, unsigned bytes);
/* len bytes; NULL: there are not so many. */
const unsigned char *vsi_wire_bytes(vsi_wire_reader *reader, size_t len);

/* A scope and an encoded key. */
typedef struct vsi_wire_name {
  vestry_slice scope, key;
} vsi_wire_name;
void vsi_wire_put_name(vsi_buffer *buffer, vsi_wire_name name);
vsi_wire_name vsi_wire_read_name(vsi_wire_reader *reader);

/* What an EVENT says to the page, in front of its bytes: so it conflates as one of this node's. */
void vsi_wire_put_meaning(vsi_buffer *buffer, const vsi_event_meaning *meaning);
/* What follows are the bytes, in which its places are. */
vestry_err vsi_wire_read_meaning(vsi_wire_reader *reader, vsi_event_meaning *ret_meaning);

/* What a REQUEST says. */
typedef struct vsi_wire_ask {
  uint64_t id;
  vsi_wire_name name;
  vestry_slice effects, data; /* JSON; data len 0: none */
} vsi_wire_ask;
void vsi_wire_put_ask(vsi_buffer *buffer, const vsi_wire_ask *ask);
/* What a LIST asks for. */
typedef enum vsi_wire_list_what {
  VSI_WIRE_LIST_ALL,
  VSI_WIRE_LIST_SCOPE,
  VSI_WIRE_LIST_KEY,
  VSI_WIRE_LIST_HELD /* whether a key is held, or about to be: position is its hash */
} vsi_wire_list_what;
typedef struct vsi_wire_list {
  uint64_t id;
  vsi_wire_list_what what;
  vsi_wire_name name;       /* KEY: of which; SCOPE: its scope */
  uint64_t position, until; /* but for KEY: where the page begins, and how many keys it has at most */
  uint32_t page_count;
} vsi_wire_list;
void vsi_wire_put_list(vsi_buffer *buffer, const vsi_wire_list *list);
/* OK | MALFORMED */
vestry_err vsi_wire_read_list(const void *body, size_t len, vsi_wire_list *ret_list);
/* OK | MALFORMED */
vestry_err vsi_wire_read_ask(const void *body, size_t len, vsi_wire_ask *ret_ask);

#endif
