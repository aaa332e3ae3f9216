//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * Two programs that set socket options of single subflows.
 *
 *   - mpproxy_walk is called for each TCP socket of a network namespace. It looks
 *     for one subflow, and sets or reads one option of it.
 *   - mpproxy_rules is called when a TCP socket of the cgroup begins. It applies
 *     the rules that were left for it.
 *
 * They run on Linux 6.1 and later. `make bpf` compiles them.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"

/* Reads of kernel structures ask for a licence like this. */
char _license[] SEC("license") = "Dual BSD/GPL";

#define VALUE_SIZE 16 /* the longest value: the name of a congestion control */

/* The two ends of a subflow, in one form for all kinds of sockets. An IPv4 address
 * is mapped into IPv6 (RFC 4291 section 2.5.5.2). */
struct ends {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port; /* host order, as is the next */
	__u16 remote_port;
	__u32 ipv6; /* 1 where the subflow runs over IPv6 */
} __attribute__((aligned(8)));

#define ENDS_WORDS (sizeof(struct ends) / sizeof(__u64))

static __always_inline void map_ipv4(__u8 to[16], __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

static __always_inline bool is_mapped(const __u8 address[16])
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline void read_ends(struct ends *e, struct tcp_sock *tcp)
{
	struct sock_common *common = &tcp->inet_conn.icsk_inet.sk.__sk_common;

	if (common->skc_family == AF_INET6) {
		__builtin_memcpy(e->local, &common->skc_v6_rcv_saddr, sizeof(e->local));
		__builtin_memcpy(e->remote, &common->skc_v6_daddr, sizeof(e->remote));
	} else {
		map_ipv4(e->local, common->skc_rcv_saddr);
		map_ipv4(e->remote, common->skc_daddr);
	}
	e->local_port = common->skc_num;
	e->remote_port = bpf_ntohs(common->skc_dport);
	e->ipv6 = !is_mapped(e->remote);
}

/* bounded returns the length of a value, 1 to VALUE_SIZE. The verifier of Linux 6.1
 * does not conclude from a comparison with 0 that a length is not 0. It does from
 * this. */
static __always_inline __u32 bounded(__u32 length)
{
	return ((length - 1) & (VALUE_SIZE - 1)) + 1;
}

/* What mpproxy_walk does with the option. */
enum verb {
	LOOK = 1, /* only read members of the socket */
	SET,
	GET,
};

/* What mpproxy_walk is to do, and, once it has met the subflow, what came of it. */
struct request {
	struct ends ends;
	enum verb verb;
	__u32 level;
	__u32 code;
	__u32 length; /* of the value, 1 to VALUE_SIZE bytes */
	__s32 answer; /* of setsockopt or getsockopt: 0, or a negative errno */
	__u32 tos; /* members of the socket */
	__u32 min_rto; /* jiffies */
	__u32 max_delayed_ack; /* jiffies */
	__u8 value[VALUE_SIZE];
};

/* One walk takes place at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct request);
} request_of_walk SEC(".maps");

static __always_inline bool has_ends(struct tcp_sock *tcp, const struct ends *wanted)
{
	struct ends e = {};
	const __u64 *have = (const __u64 *)&e, *want = (const __u64 *)wanted;

	read_ends(&e, tcp);
#pragma unroll
	for (__u32 i = 0; i < ENDS_WORDS; i++)
		if (have[i] != want[i])
			return false;
	return true;
}

/* The kernel has locked the socket. The reader stops the walk when it gets what was
 * written. */
SEC("iter/tcp")
int mpproxy_walk(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tcp;
	struct request *r;
	__u32 first = 0, length;

	if (!common) /* the end of the walk */
		return 0;
	/* A socket in TIME_WAIT, or before its handshake is complete, is no tcp_sock. */
	tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	r = bpf_map_lookup_elem(&request_of_walk, &first);
	if (!r || !has_ends(tcp, &r->ends))
		return 0;
	r->tos = tcp->inet_conn.icsk_inet.tos;
	r->min_rto = tcp->inet_conn.icsk_rto_min;
	r->max_delayed_ack = tcp->inet_conn.icsk_delack_max;
	r->answer = 0;
	length = bounded(r->length);
	if (r->verb == SET)
		r->answer = bpf_setsockopt(tcp, r->level, r->code, r->value, length);
	else if (r->verb == GET)
		r->answer = bpf_getsockopt(tcp, r->level, r->code, r->value, length);
	bpf_seq_write(ctx->meta->seq, r, sizeof(*r));
	return 0;
}

/* A rule sets an option of subflows whose ends, where the mask has ones, are as
 * wanted. */
struct rule {
	struct ends want;
	struct ends mask;
	__u32 level;
	__u32 code;
	__u32 length; /* of the value; 0 ends the list of rules */
	__u32 id;
	__u8 value[VALUE_SIZE];
};

/* What became of a rule. */
struct tally {
	__u64 applied; /* subflows */
	__u64 failed;
	__s64 answer; /* the last errno, negative */
};

#define MAX_SCOPES (1 << 16)
#define RULES_PER_SCOPE 16

/* Rules are found by a scope: the cookie of a connection, or a local port with
 * PORT_SCOPE, a bit that no cookie has. */
#define PORT_SCOPE (1ULL << 63)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPES);
	__type(key, __u64);
	__type(value, struct rule[RULES_PER_SCOPE]);
} rules_by_scope SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPES * RULES_PER_SCOPE);
	__type(key, __u32); /* the id of a rule */
	__type(value, struct tally);
} tally_by_rule SEC(".maps");

/* The network namespace to look at. Go writes it before it loads the program. */
const volatile __u64 netns_cookie;

static __always_inline bool is_for(const struct rule *r, const struct ends *e)
{
	const __u64 *have = (const __u64 *)e;
	const __u64 *want = (const __u64 *)&r->want, *mask = (const __u64 *)&r->mask;

#pragma unroll
	for (__u32 i = 0; i < ENDS_WORDS; i++)
		if ((have[i] & mask[i]) != want[i])
			return false;
	return true;
}

static __always_inline void count(const struct rule *r, long answer)
{
	__u32 id = r->id;
	struct tally *t = bpf_map_lookup_elem(&tally_by_rule, &id);

	if (!t)
		return;
	if (!answer) {
		__sync_fetch_and_add(&t->applied, 1);
		return;
	}
	t->answer = answer;
	__sync_fetch_and_add(&t->failed, 1);
}

/* apply applies the rules of a scope, in their order. */
static __always_inline void apply(struct bpf_sock_ops *ctx, const struct ends *e, __u64 scope)
{
	struct rule *rules = bpf_map_lookup_elem(&rules_by_scope, &scope);

	if (!rules)
		return;
	for (int i = 0; i < RULES_PER_SCOPE; i++) {
		struct rule *r = &rules[i];

		if (!r->length)
			return;
		if (is_for(r, e))
			count(r, bpf_setsockopt(ctx, r->level, r->code, r->value, bounded(r->length)));
	}
}

/* mpproxy_rules returns 1 always: with 0 the kernel would ignore what other programs
 * on the cgroup answer. It leaves ctx->reply alone for the same reason. */
SEC("sockops")
int mpproxy_rules(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	struct mptcp_sock *connection;
	struct tcp_sock *tcp;
	struct ends e = {};
	__u64 cookie;

	/* A subflow begins before its SYN is sent, or, accepted, still in SYN_RECV. */
	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	if (!ctx->is_fullsock)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	connection = bpf_skc_to_mptcp_sock(sk);
	if (!connection) /* plain TCP */
		return 1;
	if (bpf_get_netns_cookie(ctx) != netns_cookie)
		return 1;
	cookie = connection->sk.icsk_inet.sk.__sk_common.skc_cookie.counter;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 1;
	read_ends(&e, tcp);
	/* The rules of the cookie say more, and so have the last word. */
	apply(ctx, &e, PORT_SCOPE | e.local_port);
	if (cookie)
		apply(ctx, &e, cookie);
	return 1;
}
