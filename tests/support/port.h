/* SPDX-License-Identifier: MIT */
/* Ports for servers that a test starts again, or that cannot say which port the system gave them. The system gives the
 * ports of its own range (ip_local_port_range) to everybody who asks for any: a port of those, which a server gives up
 * for a moment, is another test's by then. So these are below that range, and each is reserved for the process that
 * asked, until it ends: the lock is the UDP port of the same number. port.js and port.py reserve in the same way. */
#ifndef TESTS_SUPPORT_PORT_H
#define TESTS_SUPPORT_PORT_H

/* A port of 127.0.0.1 at which nothing listens, and which no other test is given. */
int port_reserve(void);

#endif
