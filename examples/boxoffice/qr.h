/* SPDX-License-Identifier: MIT */
/* Access for phones: the address of this machine in its network, also as a code to scan. */
#ifndef EXAMPLES_QR_H
#define EXAMPLES_QR_H

#include "vestry/html.h"

enum { QR_DOOR_BYTES = 64 };

/* Write the URL at which other machines in the network reach a server with this address and port. door is "" if they
 * cannot: the server listens for this machine only, there is no network, or the port is not known yet. scheme: http or
 * https. address: NULL is 127.0.0.1 */
void qr_door(const char *scheme, const char *address, unsigned port, char door[QR_DOOR_BYTES]);

/* Append a text as a QR code, an svg element; appends nothing without libqrencode. Returns as vestry_html_add. */
vestry_err qr_put(vestry_html *html, const char *text);

#endif
