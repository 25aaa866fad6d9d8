/* SPDX-License-Identifier: MIT */
/* TLS of a server: certificates by name, their renewal, and session tickets. The HTTP/2 adapter uses it, too. */
#ifndef VSI_MICROHTTPD_TLS_H
#define VSI_MICROHTTPD_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "vestry/error.h"
#include "vestry/host.h"

typedef struct vsi_tls vsi_tls;

/* The members of a server's options that begin with tls_ (vestry/microhttpd.h, vestry/h2.h). */
typedef struct vsi_tls_options {
  const char *key, *certificate;
  const char *const *pairs, *const *files;
} vsi_tls_options;
#define VSI_TLS_OPTIONS(of)                                                                                            \
  { (of)->tls_key, (of)->tls_certificate, (of)->tls_pairs, (of)->tls_files }

/* Copy texts that NULL ends. texts NULL: none. OK | NO_MEMORY (the copied ones are in *ret_copies) */
VESTRY_API vestry_err vsi_texts_copy(const vestry_host *host, const char *const *texts, char ***ret_copies);
/* Overwrite such copies, and free them. NULL is accepted. */
VESTRY_API void vsi_texts_forget(const vestry_host *host, char **texts);

/* Return the fault in options that exclude or require each other; NULL: none. */
VESTRY_API const char *vsi_tls_find_conflict(const vsi_tls_options *options);
/* Read the first certificates.
 * function  of the API, which the log names
 * ret_tls   untouched if the options have no certificate
 * OK | NO_MEMORY | IO (a file or a pair cannot be used: logged) */
VESTRY_API vestry_err vsi_tls_create(const vestry_host *host, const char *function, const vsi_tls_options *options,
                                     vsi_tls **ret_tls);
/* Free it after the last session. NULL is accepted. */
VESTRY_API void vsi_tls_destroy(vsi_tls *tls);
/* Implement vestry_server_renew. tls NULL: the server has no TLS. Threads any. */
VESTRY_API vestry_err vsi_tls_renew(vsi_tls *tls, const vestry_host *host, const char *const *pairs);
/* Give a session of a server the latest certificates and a key for tickets, before its handshake. A client that offers
 * other protocols only is refused (RFC 7301, 3.2), so that no other server's bytes are taken for a request.
 * protocols  that ALPN accepts, at most two, ended by NULL
 * false: no memory; the session has no certificates then. Threads any. */
VESTRY_API bool vsi_tls_secure(vsi_tls *tls, gnutls_session_t session, const char *const *protocols);
/* If the ClientHello that this thread has read last was refused, send the alert. libmicrohttpd sends none. */
void vsi_tls_refuse(void);

#endif
