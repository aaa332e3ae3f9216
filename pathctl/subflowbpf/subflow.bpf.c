//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * A sock_ops program. The kernel calls it when something happens to a TCP socket
 * of the cgroup. It looks at subflows of Multipath TCP connections only, and does
 * four things:
 *
 *   - it reports timeouts, retransmissions, changes of state and round trips;
 *   - it sets how many segments a new subflow sends in its first round trip;
 *   - it keeps the pacing rate of a subflow close to what the path delivers;
 *   - it bounds how much a subflow holds unsent.
 *
 * It runs on Linux 6.1 and later. `make bpf` compiles it.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"

/* bpf_ktime_get_ns and reads of kernel structures ask for a licence like this. */
char _license[] SEC("license") = "Dual BSD/GPL";

/* The settings. Go writes them before it loads the program. */
const volatile bool report_rtt; /* report round trips */
const volatile bool report_states; /* report changes of state */
const volatile bool steer; /* set windows, pacing and unsent data */
/* The cgroup holds other programs' sockets, too: look at one network namespace,
 * and there at connections in the map tokens only. */
const volatile bool shared_cgroup;
const volatile __u64 netns_cookie; /* that namespace */

/* Events that found no room in the ring. */
__u64 lost;

/* An event. Go decodes it, record.go. */
struct record {
	__u64 time; /* ns of CLOCK_MONOTONIC */
	__u32 op; /* BPF_SOCK_OPS_... */
	__u32 token;
	__u32 family; /* AF_INET or AF_INET6 */
	__u32 state; /* of the TCP socket */
	__u32 args[2]; /* their meaning depends on op */
	__u32 rto; /* jiffies */
	__u32 retransmits; /* timeouts in a row */
	__u32 srtt; /* eighths of a microsecond */
	__u32 cwnd; /* this and the following: segments */
	__u32 packets_out;
	__u32 retrans_out;
	__u32 total_retrans;
	__u32 lost_out;
	__u8 local4[4];
	__u8 remote4[4];
	__u8 local6[16];
	__u8 remote6[16];
	__u32 local_port; /* host order, as is the next */
	__u32 remote_port;
};

/* What Go says of a connection, limits.go. */
struct limits {
	__u32 linger; /* µs that a byte may take in a subflow until it is acknowledged */
	__u32 modest; /* 1: new subflows share their path with others of the connection */
};

#define MAX_CONNECTIONS (1 << 16)
#define MAX_PATHS 4096 /* the least recently used ones are forgotten */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__type(value, struct record);
} ring SEC(".maps");

/* The tokens of connections that are ours, where the cgroup is shared. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CONNECTIONS);
	__type(key, __u32);
	__type(value, __u8);
} tokens SEC(".maps");

/* The limits of each connection, by token. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CONNECTIONS);
	__type(key, __u32);
	__type(value, struct limits);
} limits_by_token SEC(".maps");

/* What each path carries, in bytes a second, by path_key. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PATHS);
	__type(key, __u32);
	__type(value, __u32);
} rate_by_path SEC(".maps");

/* A subflow to which something happens. */
struct subflow {
	struct bpf_sock_ops *ctx;
	struct tcp_sock *tcp; /* NULL while its handshake is not complete */
	__u32 token;
};

#include "steering.bpf.h"

/* report puts a record into the ring, or counts it as lost. */
static __always_inline void report(struct subflow *s)
{
	struct bpf_sock_ops *ctx = s->ctx;
	struct record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	r->time = bpf_ktime_get_ns();
	r->op = ctx->op;
	r->token = s->token;
	r->family = ctx->family;
	r->state = ctx->state;
	r->args[0] = ctx->args[0];
	r->args[1] = ctx->args[1];
	r->rto = s->tcp ? s->tcp->inet_conn.icsk_rto : 0;
	r->retransmits = s->tcp ? s->tcp->inet_conn.icsk_retransmits : 0;
	r->srtt = ctx->srtt_us;
	r->cwnd = ctx->snd_cwnd;
	r->packets_out = ctx->packets_out;
	r->retrans_out = ctx->retrans_out;
	r->total_retrans = ctx->total_retrans;
	r->lost_out = ctx->lost_out;
	*(__u32 *)r->local4 = ctx->local_ip4;
	*(__u32 *)r->remote4 = ctx->remote_ip4;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		((__u32 *)r->local6)[i] = ctx->local_ip6[i];
		((__u32 *)r->remote6)[i] = ctx->remote_ip6[i];
	}
	r->local_port = ctx->local_port;
	r->remote_port = bpf_ntohl(ctx->remote_port);
	bpf_ringbuf_submit(r, 0);
}

/* concerns_us tells whether the program has anything to do for an operation.
 * Another program on the socket may have asked for more of them. */
static __always_inline bool concerns_us(__u32 op)
{
	switch (op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_RTO_CB:
	case BPF_SOCK_OPS_RETRANS_CB:
		return true;
	case BPF_SOCK_OPS_STATE_CB:
		return report_states;
	case BPF_SOCK_OPS_RTT_CB:
		return report_rtt || steer;
	}
	return false;
}

/* subscribe asks for calls later in the life of the subflow, beside those that
 * another program on the socket has asked for. */
static __always_inline void subscribe(struct bpf_sock_ops *ctx)
{
	int flags = BPF_SOCK_OPS_RTO_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG;

	if (report_states)
		flags |= BPF_SOCK_OPS_STATE_CB_FLAG;
	if (report_rtt || steer)
		flags |= BPF_SOCK_OPS_RTT_CB_FLAG;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | flags);
}

/* mpproxy_subflow is the program. It returns 1 always: with 0 the kernel would
 * ignore what other programs on the cgroup answer. It leaves ctx->reply alone for
 * the same reason. */
SEC("sockops")
int mpproxy_subflow(struct bpf_sock_ops *ctx)
{
	struct subflow s = {.ctx = ctx};
	struct bpf_sock *sk;
	struct mptcp_sock *connection;
	__u32 op = ctx->op;

	if (!concerns_us(op) || !ctx->is_fullsock)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	connection = bpf_skc_to_mptcp_sock(sk);
	if (!connection) /* plain TCP */
		return 1;
	s.token = connection->token;
	s.tcp = bpf_skc_to_tcp_sock(sk);
	if (shared_cgroup && bpf_get_netns_cookie(ctx) != netns_cookie)
		return 1;

	if (op <= BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		subscribe(ctx);
		if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && steer && !shared_cgroup)
			begin(&s);
		return 1;
	}
	if (shared_cgroup && !bpf_map_lookup_elem(&tokens, &s.token))
		return 1;
	if (op == BPF_SOCK_OPS_RTT_CB && steer)
		measured(&s);
	if (op != BPF_SOCK_OPS_RTT_CB || report_rtt)
		report(&s);
	return 1;
}
