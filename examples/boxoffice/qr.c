/* SPDX-License-Identifier: MIT */
#include "qr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#ifdef EXAMPLES_QRENCODE
#include <qrencode.h>
#endif

/* Find the first address of an active network interface, except the loopback. */
static bool find_address(char text[INET_ADDRSTRLEN]) {
  struct ifaddrs *all;
  bool is_found = false;
  if (getifaddrs(&all)) return false;
  for (const struct ifaddrs *one = all; one && !is_found; one = one->ifa_next)
    if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && (one->ifa_flags & IFF_UP) &&
        !(one->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT)))
      is_found = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr, text,
                           INET_ADDRSTRLEN) != NULL;
  freeifaddrs(all);
  return is_found;
}

void qr_door(const char *scheme, const char *address, unsigned port, char door[QR_DOOR_BYTES]) {
  char found[INET_ADDRSTRLEN];
  *door = '\0';
  if (!address || !port || strncmp(address, "127.", 4) == 0) return;
  if (strcmp(address, "0.0.0.0") == 0 && !find_address(found)) return;
  snprintf(door, QR_DOOR_BYTES, "%s://%s:%u/", scheme, strcmp(address, "0.0.0.0") == 0 ? found : address, port);
}

vestry_err qr_put(vestry_html *html, const char *text) {
#ifdef EXAMPLES_QRENCODE
  QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
  if (!code) return VESTRY_NO_MEMORY;
  vestry_html_add(html,
                  "<svg class=\"qr\" viewBox=\"-4 -4 %d %d\" role=\"img\" aria-label=\"A code to scan: %s\" "
                  "shape-rendering=\"crispEdges\"><rect x=\"-4\" y=\"-4\" width=\"%d\" height=\"%d\" fill=\"#fff\"/>"
                  "<path fill=\"#000\" d=\"",
                  code->width + 8, code->width + 8, text, code->width + 8, code->width + 8);
  for (int at = 0; at < code->width * code->width; at++)
    if (code->data[at] & 1) vestry_html_add(html, "M%d %dh1v1h-1z", at % code->width, at / code->width);
  QRcode_free(code);
  return vestry_html_add(html, "\"/></svg>");
#else
  (void)html, (void)text;
  return VESTRY_OK;
#endif
}
