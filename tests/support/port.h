/* SPDX-License-Identifier: MIT */
/* Ports for servers that a test restarts, or that cannot report the port that the system assigned. The system assigns
 * ports of its own range (ip_local_port_range) to any process, so a port of that range which a server closes for a
 * moment may belong to another test afterwards. Therefore these ports are below that range, and each is reserved for
 * the requesting process until it ends: the lock is the UDP port of the same number. port.js and port.py reserve in the
 * same way. */
#ifndef TESTS_SUPPORT_PORT_H
#define TESTS_SUPPORT_PORT_H

/* Reserve a port of 127.0.0.1 at which nothing listens, and which no other test gets. */
int port_reserve(void);

#endif
