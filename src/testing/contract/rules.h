/* SPDX-License-Identifier: MIT */
/* The rules of the contract of adapters. Each case names one of them, which the report prints if the case fails.
 * docs/guide/adapters.md lists the same texts, and the test testing_contract compares both. */
#ifndef VSI_TESTING_CONTRACT_RULES_H
#define VSI_TESTING_CONTRACT_RULES_H

/* ---- requests ---------------------------------------------------------------------------------------------------- */

#define VSI_RULE_REQUEST                                                                                               \
  "`method`, `path`, `query`, `header` and `read` return what the client sent, the path decoded; `peer` returns the "  \
  "address"
#define VSI_RULE_LINES                                                                                                 \
  "`each_header` reports each line of the head in order; without it, `header` joins repeated lines with \", \""
#define VSI_RULE_BODY                                                                                                  \
  "`read` returns the whole body, chunked or not; the server's own limits are at least those of vestry"
#define VSI_RULE_BREAKS "if a body breaks off, `read` returns IO, so the client gets 400"
#define VSI_RULE_BODY_TIME                                                                                             \
  "a body has `silent_ms` in total, however its bytes trickle; then `read` returns TIMEOUT, or the adapter answers "   \
  "408, "                                                                                                              \
  "closes, and calls `vestry_reject` with DEADLINE"
#define VSI_RULE_REST_TIME                                                                                             \
  "after a response that did not wait for the body, the connection closes when the time of the body is over"
#define VSI_RULE_CONTINUE "100 Continue is sent when the body is read, so never before a refusal"
#define VSI_RULE_MEMORY                                                                                                \
  "`vestry_request_bytes_take` counts a body while it arrives; while `vestry_request_bytes_excess` is not 0, the "     \
  "incomplete bodies that hold most are aborted"
#define VSI_RULE_GONE "a client that leaves with an incomplete head frees its place at once"

/* ---- one reading ------------------------------------------------------------------------------------------------- */

#define VSI_RULE_TARGET                                                                                                \
  "`vestry_target_read` gets the target as it was sent; a refused target gets 400, the connection closes, and "        \
  "`vestry_reject` counts it as AMBIGUOUS"
#define VSI_RULE_HEAD                                                                                                  \
  "a head that `vestry_head_check` refuses, or that has a folded line, a NUL, a bare CR or a blank before a colon, "   \
  "gets 400, and the connection closes"
#define VSI_RULE_LENGTH                                                                                                \
  "a body whose length is unclear gets 400 with `Connection: close`, and its bytes never become a request"
#define VSI_RULE_CHUNKS     "a chunk whose size or end is invalid is refused, and the connection closes"
#define VSI_RULE_BLANKS     "a request line has exactly two spaces and no tab; others get 400, or the connection closes"
#define VSI_RULE_MANY_LINES "a head with more lines than the server can store is refused, never shortened"
#define VSI_RULE_READING                                                                                               \
  "each request is served with its only valid reading of RFC 9112, header values without spaces and tabs around "      \
  "them, or refused; no byte after a refusal is served"
#define VSI_RULE_HEAD_SIZE                                                                                             \
  "a head of `max_head_bytes` is served, by default 16,384; a larger one gets exactly one response, 431 or 414"
#define VSI_RULE_ONE_RESPONSE                                                                                          \
  "each request gets exactly one complete response, also if its head or its response is large"

/* ---- responses --------------------------------------------------------------------------------------------------- */

#define VSI_RULE_RESPOND     "`respond` and `respond_body` send the status, all headers and the whole body"
#define VSI_RULE_HEAD_METHOD "HEAD gets the head of the response to GET with its Content-Length, no body and no stream"
#define VSI_RULE_METHODS                                                                                               \
  "requests with any method reach vestry, which answers 405; an unread body is skipped, or the connection closes"
#define VSI_RULE_NO_BODY "204 and 304 have no body; a 304 has the Content-Length that vestry sets, or none"
#define VSI_RULE_KEEP    "the head announces `Connection: close` exactly if the connection closes after the response"
#define VSI_RULE_HTTP10                                                                                                \
  "a stream of HTTP/1.0 is not chunked, announces `Connection: close`, and ends with the connection"
#define VSI_RULE_FAILURE                                                                                               \
  "if `vestry_serve` or an allocation fails, the request is refused or closed; the server continues"
#define VSI_RULE_ANSWER_MEMORY                                                                                         \
  "while `vestry_response_bytes_excess` is not 0, the responses that hold most are closed, and counted by "            \
  "`vestry_response_cut`"
#define VSI_RULE_FILE                                                                                                  \
  "`respond_body` reads a file piece by piece, and closes the connection if `vestry_body_read` fails"
#define VSI_RULE_PAUSE "the time-outs of streams do not apply to responses: a client may pause, and then read the rest"

/* ---- streams ----------------------------------------------------------------------------------------------------- */

#define VSI_RULE_OPEN "the stream's `open` sends the head at once, before the first event"
#define VSI_RULE_PLACES                                                                                                \
  "`open` returns LIMIT beyond `max_streams`; other requests are served, and an ended stream frees its place"
#define VSI_RULE_WRITE                                                                                                 \
  "`write` sends the bytes that it takes, in order, all slices of a call together, and reports their number"
#define VSI_RULE_BOUND                                                                                                 \
  "`write` buffers a bounded number of bytes, then returns WOULD_BLOCK until `vestry_connection_writable`; a reader "  \
  "that stalls delays no other stream"
#define VSI_RULE_STEPS "the loop, or a thread, runs the runtime whenever it has work, also for timers"
#define VSI_RULE_CLEAN "`end` with `clean` sends the bytes that `write` took, then the final chunk"
#define VSI_RULE_ABORT "`end` without `clean` closes the connection without a final chunk"
#define VSI_RULE_HANGUP                                                                                                \
  "a peer that closes, resets or shuts down its half ends its stream with cause HANGUP at once, also behind unread "   \
  "bytes"
#define VSI_RULE_STALLED "a stream ends with cause STALLED if bytes wait and the peer takes none for `stalled_ms`"
#define VSI_RULE_STALL_CLOCK                                                                                           \
  "the time of a stall begins with the first byte that waits, not with the last byte that was sent"
#define VSI_RULE_UNACKNOWLEDGED "`unacknowledged` works on any thread, and returns a number below 0 after the end"
#define VSI_RULE_RELEASE                                                                                               \
  "`release` works after the server and the adapter are destroyed, because a reference may remain"
#define VSI_RULE_CROWD "clients that connect and leave at any moment disturb no other request"

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

#define VSI_RULE_PIECES      "`read` or `vestry_receive_put` pass a body on while it arrives, and hold little of it"
#define VSI_RULE_EARLY       "a response before the end of the body reaches a client that is still sending"
#define VSI_RULE_LOST_UPLOAD "a client that is lost in a body ends it once, with IO"
#define VSI_RULE_UPLOAD_TIME "after `receives`, the time of the body begins again with each VESTRY_RECEIVE_BYTES"
#define VSI_RULE_WRITER      "a writer that blocks, and clients that do not read responses, delay no other request"

/* ---- the end ----------------------------------------------------------------------------------------------------- */

#define VSI_RULE_STOP                                                                                                  \
  "while the server stops, requests get 503 with `Retry-After` and `Connection: close`, and streams end with cause "   \
  "SHUTDOWN within `stop_ms`; `stop` may be called again"
#define VSI_RULE_STOP_WAITS                                                                                            \
  "`stop` returns TIMEOUT while a handler or writer runs, also if no stream is open; a stream that opens meanwhile "   \
  "is aborted"
#define VSI_RULE_ORDERS                                                                                                \
  "`stop` and `destroy` end in each order, also on a stepped runtime, which they step; in a callback of the instance " \
  "`stop` returns BUSY"
#define VSI_RULE_FORK "in a child of fork, `stop` returns CLOSED and `destroy` changes no socket of the parent"

#endif
