/* SPDX-License-Identifier: MIT */
/* The answer of a request that ran, kept so that it can be given again. */
#ifndef VSI_GUARD_ONCE_ANSWER_H
#define VSI_GUARD_ONCE_ANSWER_H

#include <stdatomic.h>
#include <stddef.h>

#include "http/reply.h"
#include "vestry/adapter.h"
#include "vestry/host.h"

/* The bytes that many answers have together, and how many they may have. */
typedef struct vsi_once_share {
  const vestry_host *host;
  size_t max_answer_bytes, max_bytes; /* of one answer; of all */
  _Atomic(size_t) bytes;              /* relaxed: a bound, which a few threads at once may miss by an answer each */
} vsi_once_share;

/* Zero: none. */
typedef struct vsi_once_answer {
  int status;  /* 0: it was a stream */
  char *bytes; /* names and values of headers, each terminated, then the body; NULL: not kept */
  size_t len, body_at, headers_count;
} vsi_once_answer;

/* Copy the response, or its status alone if the share or the memory does not suffice. */
void vsi_once_answer_keep(vsi_once_answer *answer, vsi_once_share *share, const vestry_response *response);
/* Give its bytes back to the share. */
void vsi_once_answer_drop(vsi_once_answer *answer, vsi_once_share *share);
/* Answer a request by it. Returns what the guard is to return. */
vestry_err vsi_once_answer_repeat(const vsi_once_answer *answer, vestry_reply *reply);

/* As bytes, for other nodes: how many; write them. */
size_t vsi_once_answer_packed_len(const vsi_once_answer *answer);
void vsi_once_answer_pack(const vsi_once_answer *answer, unsigned char *bytes);
/* From bytes, which may say anything; kept as above. OK | FAILED: they are no answer; the answer is untouched */
vestry_err vsi_once_answer_unpack(vsi_once_answer *answer, vsi_once_share *share, const unsigned char *bytes,
                                  size_t len);

#endif
