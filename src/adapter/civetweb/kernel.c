/* SPDX-License-Identifier: MIT */
/* The state of the server's TCP sockets, as the kernel reports it over NETLINK_SOCK_DIAG (kernel.h): the request for a
 * dump, and reading the answer. */
#include "adapter/civetweb/kernel.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the window */
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* States of a socket, which <netinet/tcp.h> defines and <linux/tcp.h> does not; the two cannot be included together. */
enum { TCP_ESTABLISHED = 1, TCP_CLOSE_WAIT = 8, TCP_LISTEN = 10 };

/* inet_diag_msg.idiag_timer: the kernel probes a closed window. */
enum { TIMER_PROBE = 4 };

/* A request for a dump, with a filter on the local port: port_low <= port <= port_high. A filter is a list of
 * conditional jumps: if the condition holds, `yes` bytes to the next one; otherwise `no` bytes, beyond the end, which
 * rejects the socket. The port of a condition is in the `no` member of the entry after it. */
typedef struct request {
  struct nlmsghdr header;
  struct inet_diag_req_v2 diag;
  struct rtattr attribute;
  struct inet_diag_bc_op filter[4];
} request;

void vsi_civetweb_kernel_init(vsi_civetweb_kernel *kernel, const vsi_civetweb_port *ports, size_t ports_count) {
  kernel->netlink = -1;
  kernel->sequence = 0;
  kernel->port_low = UINT16_MAX;
  kernel->port_high = 0;
  kernel->ipv4 = kernel->ipv6 = false;
  for (size_t i = 0; i < ports_count; i++) {
    if (ports[i].number < kernel->port_low) kernel->port_low = ports[i].number;
    if (ports[i].number > kernel->port_high) kernel->port_high = ports[i].number;
    if (ports[i].is_ipv6)
      kernel->ipv6 = true;
    else
      kernel->ipv4 = true;
  }
}

void vsi_civetweb_kernel_finish(vsi_civetweb_kernel *kernel) {
  if (kernel->netlink >= 0) close(kernel->netlink);
  kernel->netlink = -1;
}

static vestry_err open_netlink(vsi_civetweb_kernel *kernel) {
  if (kernel->netlink >= 0) return VESTRY_OK;
  kernel->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (kernel->netlink < 0) return VESTRY_IO;
  /* The answer is there when the request has been sent; the timeout is for kernels that behave differently. */
  setsockopt(kernel->netlink, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 1}, sizeof(struct timeval));
  return VESTRY_OK;
}

static vestry_err ask(vsi_civetweb_kernel *kernel, vsi_civetweb_sockets which, uint8_t family) {
  request ask = {
      .header = {.nlmsg_len = sizeof ask,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                 .nlmsg_seq = ++kernel->sequence},
      .diag = {.sdiag_family = family,
               .sdiag_protocol = IPPROTO_TCP,
               .idiag_ext = 1 << (INET_DIAG_INFO - 1),
               .idiag_states =
                   which == VSI_CIVETWEB_LISTENING ? 1u << TCP_LISTEN : 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT},
      .attribute = {.rta_type = INET_DIAG_REQ_BYTECODE, .rta_len = sizeof ask.attribute + sizeof ask.filter},
      .filter = {{INET_DIAG_BC_S_GE, 8, 20},
                 {.no = kernel->port_low},
                 {INET_DIAG_BC_S_LE, 8, 12},
                 {.no = kernel->port_high}},
  };
  const struct sockaddr_nl to = {.nl_family = AF_NETLINK};
  ssize_t sent = sendto(kernel->netlink, &ask, sizeof ask, 0, (const struct sockaddr *)&to, sizeof to);
  return sent == (ssize_t)sizeof ask ? VESTRY_OK : VESTRY_IO;
}

/* Read one socket of the answer. A value that an older kernel does not provide reads as "acknowledged just now". */
static vsi_civetweb_socket read_socket(const struct nlmsghdr *header) {
  const struct inet_diag_msg *message = NLMSG_DATA(header);
  vsi_civetweb_socket socket = {
      .peer = {.port = ntohs(message->id.idiag_dport), .server_port = ntohs(message->id.idiag_sport)},
      .cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
      .established = message->idiag_state == TCP_ESTABLISHED,
      .unacked_bytes = message->idiag_wqueue,
      .window_shut = message->idiag_timer == TIMER_PROBE,
  };
  vsi_civetweb_address_read(socket.peer.address, message->idiag_family, message->id.idiag_dst);
  size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
  const struct rtattr *attribute = (const struct rtattr *)(message + 1);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != INET_DIAG_INFO) continue;
    struct tcp_info info = {0};
    size_t len = RTA_PAYLOAD(attribute);
    memcpy(&info, RTA_DATA(attribute), len < sizeof info ? len : sizeof info);
    socket.since_ack_ms = info.tcpi_last_ack_recv;
    socket.probes_count = info.tcpi_probes;
    /* The timer of the probes is off for a moment whenever a probe is sent. */
    if (len >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd && !info.tcpi_snd_wnd)
      socket.window_shut = true;
  }
  return socket;
}

/* Call fn for the sockets of one datagram. *ret_done: it was the last one. */
static vestry_err read_datagram(vsi_civetweb_kernel *kernel, size_t len, vsi_civetweb_socket_fn fn, void *ctx,
                                bool *ret_done) {
  const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)kernel->buffer;
  for (; NLMSG_OK(header, len); header = NLMSG_NEXT(header, len)) {
    if (header->nlmsg_seq != kernel->sequence) continue; /* of a dump that was abandoned */
    if (header->nlmsg_type == NLMSG_ERROR || (header->nlmsg_flags & NLM_F_DUMP_INTR)) return VESTRY_IO;
    if (header->nlmsg_type == NLMSG_DONE) {
      *ret_done = true;
      return VESTRY_OK;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
      continue;
    vsi_civetweb_socket socket = read_socket(header);
    fn(&socket, ctx);
  }
  return VESTRY_OK;
}

static vestry_err dump_family(vsi_civetweb_kernel *kernel, vsi_civetweb_sockets which, uint8_t family,
                              vsi_civetweb_socket_fn fn, void *ctx) {
  vestry_err error = ask(kernel, which, family);
  for (bool done = false; !error && !done;) {
    /* MSG_TRUNC: recv returns the datagram's true length, even if it did not fit. */
    ssize_t len = recv(kernel->netlink, kernel->buffer, sizeof kernel->buffer, MSG_TRUNC);
    if (len < 0 && errno == EINTR) continue;
    if (len <= 0 || (size_t)len > sizeof kernel->buffer) return VESTRY_IO;
    error = read_datagram(kernel, (size_t)len, fn, ctx, &done);
  }
  return error;
}

vestry_err vsi_civetweb_kernel_dump(vsi_civetweb_kernel *kernel, vsi_civetweb_sockets which, vsi_civetweb_socket_fn fn,
                                    void *ctx) {
  vestry_err error = open_netlink(kernel);
  if (!error && kernel->ipv4) error = dump_family(kernel, which, AF_INET, fn, ctx);
  if (!error && kernel->ipv6) error = dump_family(kernel, which, AF_INET6, fn, ctx);
  if (error) vsi_civetweb_kernel_finish(kernel); /* part of an answer may be left in it: start with a new one */
  return error;
}
