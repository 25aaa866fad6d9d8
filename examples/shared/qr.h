/* SPDX-License-Identifier: MIT */
/* A way in for phones: the address of this machine in its network, and that as a code to scan. */
#ifndef EXAMPLES_QR_H
#define EXAMPLES_QR_H

#include "vestry/html.h"

enum { QR_DOOR_BYTES = 64 };

/* Where others in the network reach a server that listens on this address and port. door is "" if they cannot: it
 * listens for this machine alone, there is no network, or the port is not known yet. address: NULL is 127.0.0.1 */
void qr_door(const char *address, unsigned port, char door[QR_DOOR_BYTES]);

/* Append a text as a QR code, an svg element; nothing without libqrencode. As vestry_html_add. */
vestry_err qr_put(vestry_html *html, const char *text);

#endif
