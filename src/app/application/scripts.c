/* SPDX-License-Identifier: MIT */
/* The file of the library's scripts. Its address contains a hash of its text, so caches keep it for good, and only the
 * first document of a browser costs its bytes. It is a script with `defer`, and the client is a module: browsers run
 * both after the document was read, in the order of their elements. So its functions exist when the client evaluates
 * the first attribute.
 *
 * While processes of two versions serve one site, a browser may request the file of one from the other. That one
 * answers with its own file, which no cache keeps, because a page without these functions would be dead. */
#include "app/application/scripts.h"

#include <string.h>

#include "base/memory.h"
#include "coding/coding.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "vestry/app/files.h"

extern const char vsi_bundle[], vsi_bundle_hash[]; /* scripts/embed.cmake */

static const char name[] = "vestry.js", kept[] = "public, max-age=31536000, immutable";

struct vsi_scripts {
  const vestry_host *host;
  vestry_file file;
  vestry_files *files;
  vsi_segment *encoded[VESTRY_PROFILES_MAX];
};

static vestry_err serve(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *hash = vestry_request_value(req, VESTRY_IN_PATH, "hash");
  const bool is_own = hash && strcmp(hash, vsi_bundle_hash) == 0;
  vestry_err error = vestry_reply_header(reply, "Cache-Control", is_own ? kept : "no-store");
  return error ? error : vestry_reply_file(req, reply, ((const vsi_scripts *)app)->files, name);
}

vestry_err vsi_scripts_mount(vestry *v, vsi_scripts **ret_scripts) {
  vsi_scripts *scripts = vsi_calloc(v->host, 1, sizeof *scripts);
  if (!scripts) return VESTRY_NO_MEMORY;
  *ret_scripts = scripts;
  scripts->host = v->host;
  scripts->file = (vestry_file){.path = name, .bytes = vsi_bundle, .len = strlen(vsi_bundle)};
  /* acquire: with vsi_profiles_offer */
  const size_t count = atomic_load_explicit(&v->profiles_count, memory_order_acquire);
  for (size_t i = 0; i < count; i++) {
    const char *coding = v->profiles[i].ops->coding;
    const bool is_brotli = strcmp(coding, "br") == 0;
    vsi_segment **segment = &scripts->encoded[i];
    if (!is_brotli && strcmp(coding, "gzip") != 0) continue;
    /* without this coding, clients get another one, or the text */
    if (vsi_encode_whole(&v->profiles[i], scripts->host, (vestry_slice){vsi_bundle, strlen(vsi_bundle)}, segment))
      continue;
    *(is_brotli ? &scripts->file.br : &scripts->file.gzip) = (*segment)->bytes;
    *(is_brotli ? &scripts->file.br_len : &scripts->file.gzip_len) = (*segment)->len;
  }
  const vestry_files_options options = {.host = v->host, .embedded = &scripts->file, .embedded_count = 1};
  vestry_err error = vestry_files_create(&options, &scripts->files);
  return error ? error : vsi_route_open(v, "/vestry.js/{hash}", serve, scripts);
}

void vsi_scripts_destroy(vsi_scripts *scripts) {
  if (!scripts) return;
  vestry_files_destroy(scripts->files);
  for (size_t i = 0; i < VESTRY_PROFILES_MAX; i++) vsi_segment_destroy(scripts->encoded[i]);
  vsi_free(scripts->host, scripts);
}

void vsi_scripts_put(vestry_html *html, const char *nonce) {
  vestry_html_add(html, "<script defer src=\"/%-s/%-s\"", name, vsi_bundle_hash);
  if (*nonce) vestry_html_add(html, " nonce=\"%s\"", nonce);
  vestry_html_add(html, "></script>");
}
