/* SPDX-License-Identifier: MIT */
/* Format of the messages between nodes; docs/cluster-wire.md has the tables. All numbers are little-endian. A received
 * message is checked byte by byte, and nothing in it is used before its seal has been verified. */
#ifndef VSI_CLUSTER_WIRE_H
#define VSI_CLUSTER_WIRE_H

#include "base/buffer.h"
#include "base/siphash.h"
#include "base/trace.h"
#include "event/layout.h"

enum { VSI_WIRE_VERSION = 9, VSI_WIRE_HEAD = 48, VSI_WIRE_SEAL = 16 };

typedef enum vsi_wire_kind {
  VSI_WIRE_HANDSHAKE = 2, /* to one node: request a proof of liveness, give one, or both */
  /* The kinds below count only from a run of a node that has proven itself. */
  VSI_WIRE_HEARTBEAT, /* to all nodes: digest of the sender's keys; to one node: number of messages sent to it */
  VSI_WIRE_GOODBYE,   /* to one node: the sender leaves; numbers of messages sent */
  VSI_WIRE_RESYNC,    /* to one node: request for an announcement of all keys */
  /* The kinds below are numbered, for each receiver, and for all nodes together. */
  VSI_WIRE_KEYS, /* changes of the sender's keys */
  VSI_WIRE_REQUEST,
  VSI_WIRE_ANSWER,
  VSI_WIRE_EVENT,
  VSI_WIRE_REFRESH,
  VSI_WIRE_PUBLISH,
  VSI_WIRE_PRESENT, /* members of presences that joined or left */
  VSI_WIRE_MISSED,  /* the receiver announced a channel or a key too late: a message was sent without it */
  /* Not numbered. A lost RENEW is harmless, because the tabs renew their leases again; a dispatch that misses a HELD
   * gets TIMEOUT. */
  VSI_WIRE_RENEW = 15, /* leases of the receiver's streams that tabs have renewed (renewals.c) */
  VSI_WIRE_QUESTION,   /* to all nodes: whether they have streams of some keys */
  VSI_WIRE_HELD,       /* the reply */
  VSI_WIRE_KINDS
} vsi_wire_kind;

/* Flags of a full announcement, which consists of PRESENT messages and KEYS messages after them. FIRST: the first
 * message of each kind; LAST: the last one of KEYS; LISTED: all of them. */
enum { VSI_WIRE_FIRST = 1, VSI_WIRE_LAST = 2, VSI_WIRE_LISTED = 4 };
/* Flags of HANDSHAKE and HEARTBEAT:
 * - DRAINS: the sender drains
 * - YIELD (HANDSHAKE): the receiver is the later of two nodes of one name and must give up
 * - ACCEPTED (HANDSHAKE): the other nodes accept the sender's run as the node of its name */
enum { VSI_WIRE_DRAINS = 1, VSI_WIRE_YIELD = 2, VSI_WIRE_ACCEPTED = 8 };
/* Flag of HEARTBEAT: some announcements that its digest includes have not been sent yet. */
enum { VSI_WIRE_MORE = 2 };
/* Flag of REQUEST: the first effect that fails is the last one performed. */
enum { VSI_WIRE_FAIL_FAST = 1 };
/* Bit of a topic's length in REFRESH: the bytes are no topic but report a submission (app/page/sent.h). */
enum { VSI_WIRE_REPORT = 0x8000 };
/* Flag of any kind: the trace that the message belongs to follows the body. */
enum { VSI_WIRE_TRACED = 128, VSI_WIRE_TRACE = 24 };

static inline bool vsi_wire_is_numbered(vsi_wire_kind kind) {
  return kind >= VSI_WIRE_KEYS && kind < VSI_WIRE_RENEW;
}
/* Return whether messages of a kind can have all nodes as their receivers, and whether they can have one. */
static inline bool vsi_wire_may_go(uint8_t kind, bool to_all) {
  if (!to_all) return kind != VSI_WIRE_REFRESH && kind != VSI_WIRE_PUBLISH && kind != VSI_WIRE_QUESTION;
  return kind == VSI_WIRE_HEARTBEAT || kind == VSI_WIRE_KEYS || kind == VSI_WIRE_PRESENT || kind == VSI_WIRE_REFRESH ||
         kind == VSI_WIRE_PUBLISH || kind == VSI_WIRE_QUESTION;
}
/* Size of one change in KEYS: a hash and a word, 8 bytes each. */
enum { VSI_WIRE_CHANGE = 16 };
/* Bit of a key's hash in HELD: the sender has streams of the key. In hashes of keys it is 0. */
#define VSI_WIRE_HELD_BIT UINT64_C(1)

typedef struct vsi_wire_message {
  uint8_t kind, flags;
  uint64_t from, epoch; /* the sender: the hash of its name, and its run */
  uint64_t to;          /* epoch of the receiver; 0: all nodes */
  uint64_t seq;         /* sequence number on this link, or of the messages to all nodes. HEARTBEAT, GOODBYE, RESYNC and
                           RENEW have the last number that was assigned; HANDSHAKE has 0 */
  uint64_t turn;        /* increases with each message of a run, whichever node receives it, so that repetitions are
                           detected */
  const unsigned char *body;
  size_t len;
  bool is_traced;
  vestry_trace trace;
} vsi_wire_message;

/* Begin a message: reserve room for its head. Bytes appended after it are its body. */
void vsi_wire_begin(vsi_buffer *buffer, const vestry_host *host);
/* Append the trace after a complete body; NULL: none. Returns the flag TRACED, or 0. */
uint8_t vsi_wire_put_trace(vsi_buffer *buffer, const vestry_trace *trace);
/* Write the head, and append the seal. If the seal is removed again, this can be repeated for another receiver. body
 * and len of the message are ignored. OK | the buffer's error */
vestry_err vsi_wire_seal(vsi_buffer *buffer, vsi_siphash_key key, const vsi_wire_message *message);

/* Verify and read a message. OK | MALFORMED */
vestry_err vsi_wire_open(const void *data, size_t len, vsi_siphash_key key, vsi_wire_message *ret_message);
/* Return the version of a message that could not be opened, if it carries a valid seal and another version; otherwise
 * 0. */
uint8_t vsi_wire_other_version(const void *data, size_t len, vsi_siphash_key key);

void vsi_wire_put(vsi_buffer *buffer, uint64_t number, unsigned bytes);

/* Reads one value after the other. After a failure it returns zeroes and empty slices only, and nothing is left. */
typedef struct vsi_wire_reader {
  const unsigned char *at;
  size_t left;
  bool has_failed;
} vsi_wire_reader;

static inline vsi_wire_reader vsi_wire_read(const void *data, size_t len) {
  return (vsi_wire_reader){data, len, false};
}
uint64_t vsi_wire_number(vsi_wire_reader *reader, unsigned bytes);
/* Read len bytes. Fails if fewer are left. */
vestry_slice vsi_wire_bytes(vsi_wire_reader *reader, size_t len);

/* Name of a stream's key or of a channel: a scope and an encoded key. */
typedef struct vsi_wire_name {
  vestry_slice scope, key;
} vsi_wire_name;
void vsi_wire_put_name(vsi_buffer *buffer, vsi_wire_name name);
vsi_wire_name vsi_wire_read_name(vsi_wire_reader *reader);

#endif
