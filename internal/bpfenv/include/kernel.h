/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * The members of kernel structures that our eBPF programs read.
 *
 * The declarations name members and their types, and say nothing of where they
 * lie. When a program is loaded, the loader takes the offsets from the types of
 * the running kernel (BTF, CO-RE). A program that needs a member which the kernel
 * does not have is refused.
 */
#pragma once

#include <linux/types.h>

/* Numbers of socket families, levels and options; they stand in headers of libc. */
#define AF_INET 2
#define AF_INET6 10
#define SOL_SOCKET 1
#define SO_MAX_PACING_RATE 47
#define SOL_TCP 6
#define TCP_NOTSENT_LOWAT 25

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num; /* the local port, in host order */
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct {
		__s64 counter;
	} skc_cookie; /* SO_COOKIE; 0 before somebody has asked for it */
};

struct sock {
	struct sock_common __sk_common;
	unsigned long sk_pacing_rate; /* bytes a second */
	unsigned long sk_max_pacing_rate; /* bytes a second; all ones: no bound */
};

struct inet_sock {
	struct sock sk;
	__u8 tos;
};

struct tcp_congestion_ops {
	char name[16];
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u32 icsk_rto; /* jiffies */
	__u32 icsk_rto_min; /* jiffies */
	__u32 icsk_delack_max; /* jiffies */
	const struct tcp_congestion_ops *icsk_ca_ops;
	__u8 icsk_retransmits;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
};

struct mptcp_sock {
	struct inet_connection_sock sk;
	__u32 token; /* 0 once the owner has closed the connection */
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

#pragma clang attribute pop
