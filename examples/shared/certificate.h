/* SPDX-License-Identifier: MIT */
/* A self-signed certificate for a server on this machine. Browsers warn about it once. A server for users needs one of
 * an authority. */
#ifndef EXAMPLES_CERTIFICATE_H
#define EXAMPLES_CERTIFICATE_H

#include <stdbool.h>

enum { CERTIFICATE_PEM_BYTES = 16384 };
/* Both in PEM, one after the other: GnuTLS takes this text as the key, and as the certificate. */
struct certificate {
  char key_and_chain[CERTIFICATE_PEM_BYTES];
};

/* Make a key and a certificate for localhost, 127.0.0.1, ::1 and a further IPv4 address, which are valid for a week.
 * address: numeric; NULL: none. Returns false if GnuTLS fails; *ret_certificate is undefined then. Threads any; takes
 * some milliseconds. */
bool certificate_make(const char *address, struct certificate *ret_certificate);

#endif
