/* The client's side of the contract, over a socket, for the seams of servers. */
#ifndef TESTS_WEB_EXCHANGE_H
#define TESTS_WEB_EXCHANGE_H

#include "adapter/contract.h"

/* As contract_seam has them. */
void web_settle(void *server);
void web_pass_ms(void *server, uint64_t ms);
void *web_ask(uint16_t port, const contract_ask *what);
int web_status(void *exchange);
const char *web_header(void *exchange, const char *name);
void web_expect(void *exchange, const char *text);
vestry_slice web_body(void *exchange);
bool web_end(void *exchange);
void web_hang_up(void *exchange);
void web_forget(void *exchange);

#endif
