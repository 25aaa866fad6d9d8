/* SPDX-License-Identifier: MIT */
/* Creation of connections. */
#ifndef VSI_CONNECTION_CREATE_H
#define VSI_CONNECTION_CREATE_H

#include "connection/connection.h"

/* Fill in defaults and check bounds. Returns OK | INVALID. */
vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options);

/* Create a connection over a transport. Nothing is written before vsi_connection_start.
 * options         resolved
 * hooks           NULL, or borrowed until the connection is freed; hooks_ctx is passed to them
 * ret_connection  one reference, owned by the caller
 * Returns  OK | INVALID (ops) | NO_MEMORY. On failure the transport is untouched and still belongs to the caller */
vestry_err vsi_connection_create(const vsi_environment *environment, const vestry_transport_ops *ops, void *transport,
                                 const vestry_connection_options *options, const vsi_connection_hooks *hooks,
                                 void *hooks_ctx, vestry_connection **ret_connection);

#endif
