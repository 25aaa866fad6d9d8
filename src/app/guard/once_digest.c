/* SPDX-License-Identifier: MIT */
#include "app/guard/once_digest.h"

#include <nettle/sha2.h>
#include <string.h>
#include <strings.h>

#include "http/multipart.h"

static void add(struct sha256_ctx *sha, vestry_slice piece) {
  const unsigned char len[] = {(unsigned char)(piece.len >> 24), (unsigned char)(piece.len >> 16),
                               (unsigned char)(piece.len >> 8), (unsigned char)piece.len};
  sha256_update(sha, sizeof len, len);
  if (piece.len) sha256_update(sha, piece.len, piece.data);
}

static void add_text(struct sha256_ctx *sha, const char *text) {
  add(sha, (vestry_slice){text, strlen(text)});
}

/* The body, but not what stands between its parts: browsers choose that anew each time. */
static void add_body(struct sha256_ctx *sha, const vestry_request *req) {
  const char *type = vestry_request_header(req, "Content-Type");
  vsi_parts parts;
  vsi_part part;
  if (!type || strncasecmp(type, "multipart/", 10) != 0 || vsi_parts_init(&parts, type, req->body)) {
    add(sha, req->body);
    return;
  }
  while (!vsi_parts_next(&parts, &part)) {
    add(sha, part.name);
    add(sha, part.filename);
    add(sha, part.value);
  }
}

void vsi_once_digest(const vestry_request *req, vsi_proof_place place, unsigned char digest[VSI_ONCE_DIGEST_BYTES]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  add_text(&sha, req->method);
  add_text(&sha, req->path);
  if (place == VSI_PROOF_FIELD) add_body(&sha, req);
  sha256_digest(&sha, VSI_ONCE_DIGEST_BYTES, digest);
}
