/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * What the program sets on a subflow: the pace, the first window, and how much the
 * subflow holds unsent. subflow.bpf.c includes this file behind its maps.
 */

/* set gives the subflow a socket option. The kernel may refuse; nothing changes
 * then. */
static __always_inline void set(struct bpf_sock_ops *ctx, int level, int option, __u32 value)
{
	bpf_setsockopt(ctx, level, option, &value, sizeof(value));
}

/* uses_bbr tells whether bbr is the subflow's congestion control. What we do about
 * windows and pacing makes up for what bbr does. */
static __always_inline bool uses_bbr(struct tcp_sock *tcp)
{
	const struct tcp_congestion_ops *ops = tcp->inet_conn.icsk_ca_ops;

	return ops && ops->name[0] == 'b' && ops->name[1] == 'b' && ops->name[2] == 'r' && !ops->name[3];
}

/* The rates of a socket have 64 bits on 64-bit kernels. We pace on no others. */
#define KNOWS_PACING(tcp) (bpf_core_field_size((tcp)->inet_conn.icsk_inet.sk.sk_pacing_rate) == 8)

/*
 * The pace.
 *
 * The scheduler of MPTCP gives data to the subflow that would send them soonest.
 * It reckons with what the subflow holds and with its pacing rate, and gives
 * nothing to the others while that one is full (net/mptcp/protocol.c,
 * mptcp_subflow_get_send).
 *
 * bbr starts at ten segments a round trip, times 2.89, and does not lower the rate
 * before its start-up is over (bbr_set_pacing_rate). With a round trip of 0.4 ms
 * that is 900 Mbit/s, even where the link carries 10. Such a subflow gets a
 * megabyte, which it takes a second to send, and meanwhile the other subflow gets
 * nothing.
 *
 * So the rate starts at FIRST_PACE at most. With each measured round trip it is
 * lowered to a multiple of what the path delivered. bbr may raise it again at
 * once, because the bound is lifted in the same call.
 */
#define FIRST_PACE 4000000 /* bytes a second */
/* bbr asks for 2.89 times what was delivered while it looks for its rate. We take
 * nothing of that away. */
#define PACE_GAIN 3ULL
#define SECOND 1000000ULL /* in microseconds */
#define UNBOUND 0xffffffff /* SO_MAX_PACING_RATE: no bound */

/* bound_pace lowers the pacing rate to a bound, if it is higher. The rate stays
 * low when the bound is lifted. */
static __always_inline void bound_pace(struct bpf_sock_ops *ctx, __u32 bound)
{
	set(ctx, SOL_SOCKET, SO_MAX_PACING_RATE, bound);
}

/*
 * plausible_pace returns the highest rate that we believe, in bytes a second, and 0
 * where nothing is known.
 *
 * What was delivered says little while the application has little to send.
 * Therefore three windows a round trip are always believed, up to FIRST_PACE.
 */
static __always_inline __u64 plausible_pace(struct bpf_sock_ops *ctx)
{
	__u64 mss = ctx->mss_cache, rtt = ctx->srtt_us >> 3, interval = ctx->rate_interval_us;
	__u64 delivered, window;

	if (!interval || !rtt)
		return 0;
	delivered = ctx->rate_delivered * mss * (PACE_GAIN * SECOND) / interval;
	window = ctx->snd_cwnd * mss * (PACE_GAIN * SECOND) / rtt;
	if (window > FIRST_PACE)
		window = FIRST_PACE;
	return delivered > window ? delivered : window;
}

/* correct_pace lowers a pacing rate that is not plausible, and lifts the bound with
 * which the subflow began. */
static __always_inline void correct_pace(struct bpf_sock_ops *ctx, struct tcp_sock *tcp)
{
	__u64 rate = tcp->inet_conn.icsk_inet.sk.sk_pacing_rate;
	__u64 bound = tcp->inet_conn.icsk_inet.sk.sk_max_pacing_rate;
	__u64 most = plausible_pace(ctx);

	if (most && most < UNBOUND && rate > most && uses_bbr(tcp))
		bound_pace(ctx, most);
	else if (bound == ~0ULL)
		return;
	bound_pace(ctx, UNBOUND);
}

/*
 * The first window.
 *
 * A subflow begins with ten segments (RFC 6928), however far away the other end
 * is. On a path with a round trip of 100 ms it takes four round trips more than
 * the path's rate would ask for, and a transfer of a few seconds never makes up
 * for them. Therefore a subflow begins with what its path carries in one round
 * trip. The round trip is that of the handshake; the rate is in rate_by_path, or
 * WINDOW_RATE. A path that is slower than that gets a queue of this one window,
 * which bbr spreads over a third of a round trip.
 *
 * Several subflows of one connection on one path share what it carries. Their
 * first windows together would overflow it. So these (limits.modest) begin with
 * ten segments and hold little.
 */
#define WINDOW_RATE 500000 /* bytes a second: 34 segments in 100 ms */
#define WINDOW_LEAST 10 /* segments */
#define WINDOW_MOST 48

/* What a modest subflow may hold unsent, in bytes, until its first round trip with
 * data is measured. The scheduler takes the subflow for as fast as its first
 * window. Were the buffer full when the path turns out to be slow, the other
 * subflows would wait for seconds. */
#define MODEST_UNSENT (16 << 10)

/* fold turns an IPv6 address into a key. A mapped IPv4 address has the same key as
 * the IPv4 address, because word 2 is left out. Two addresses may share a key; they
 * then share a first window. */
static __always_inline __u32 fold(__u32 word0, __u32 word1, __u32 word3)
{
	return word0 ^ word1 ^ word3;
}

/* path_key tells paths apart by the client's address: the local one of a subflow
 * that this end opened, the remote one of a subflow that it accepted. */
static __always_inline __u32 path_key(struct bpf_sock_ops *ctx)
{
	/* All words are read before one is chosen. Otherwise the compiler chooses
	 * among addresses inside the context, which the verifier forbids. */
	__u32 local4 = ctx->local_ip4, remote4 = ctx->remote_ip4;
	__u32 local6 = fold(ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[3]);
	__u32 remote6 = fold(ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[3]);
	bool accepted = ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;

	barrier_var(local4);
	barrier_var(remote4);
	barrier_var(local6);
	barrier_var(remote6);
	if (ctx->family == AF_INET)
		return accepted ? remote4 : local4;
	return accepted ? remote6 : local6;
}

/* widen_window sets the first window. The kernel gives a single segment to a
 * subflow whose SYN was repeated; that stays. */
static __always_inline void widen_window(struct bpf_sock_ops *ctx)
{
	__u64 window, rate = WINDOW_RATE, mss = ctx->mss_cache;
	__u32 key, *known;

	if (ctx->snd_cwnd < WINDOW_LEAST || !mss)
		return;
	key = path_key(ctx);
	known = bpf_map_lookup_elem(&rate_by_path, &key);
	if (known)
		rate = *known;
	window = ctx->srtt_us * rate / (8 * SECOND) / mss;
	if (window <= WINDOW_LEAST)
		return;
	if (window > WINDOW_MOST)
		window = WINDOW_MOST;
	set(ctx, SOL_TCP, TCP_BPF_IW, window);
}

/*
 * What a subflow holds unsent.
 *
 * Without a bound the scheduler gives a subflow data until its send buffer is full:
 * 200 KB, which take 0.3 s at 5 Mbit/s, or megabytes where the engine has widened the
 * send buffer of the connection. What a dead subflow leaves behind is sent again on
 * another subflow, after what that one holds. Therefore each subflow holds what it
 * sends within limits.linger, less one round trip. While linger is LINGER_FREE, it
 * holds what the kernel would let it hold when it tunes the buffer itself
 * (tcp_sndbuf_expand): two windows beside the one that is under way.
 *
 * Only eBPF can set the bound for one subflow: the socket option is one for the
 * whole connection, and the sysctl does not reach subflows. Linux can since 5.17.
 */
#define UNSENT_SHIFT 2 /* a quarter of the window at least */
#define UNSENT_WINDOWS 2
#define UNSENT_LEAST 4096 /* bytes, as are the following */
#define UNSENT_FIRST (64 << 10) /* at least, while linger is LINGER_FREE */
#define UNSENT_MOST (1 << 30) /* the option ends there */
#define LINGER_FREE 60000000 /* µs; as noBound of the engine */

static __always_inline void bound_unsent(struct subflow *s)
{
	struct bpf_sock_ops *ctx = s->ctx;
	const struct limits *l = bpf_map_lookup_elem(&limits_by_token, &s->token);
	__u64 window = (__u64)ctx->snd_cwnd * ctx->mss_cache, rtt = ctx->srtt_us >> 3;
	__u64 linger, most, unsent = 0;

	if (!l || !rtt)
		return;
	linger = l->linger;
	if (linger > rtt)
		unsent = (linger - rtt) * window / rtt;
	if (unsent < window >> UNSENT_SHIFT)
		unsent = window >> UNSENT_SHIFT;
	if (unsent < UNSENT_LEAST)
		unsent = UNSENT_LEAST;
	most = UNSENT_MOST;
	if (linger >= LINGER_FREE)
		most = UNSENT_WINDOWS * window;
	if (most < UNSENT_FIRST)
		most = UNSENT_FIRST;
	if (most > UNSENT_MOST)
		most = UNSENT_MOST;
	if (unsent > most)
		unsent = most;
	set(ctx, SOL_TCP, TCP_NOTSENT_LOWAT, unsent);
}

/* begin prepares a subflow whose handshake is complete. */
static __always_inline void begin(struct subflow *s)
{
	const struct limits *l = bpf_map_lookup_elem(&limits_by_token, &s->token);
	bool modest = l && l->modest;

	if (l)
		set(s->ctx, SOL_TCP, TCP_NOTSENT_LOWAT, modest ? MODEST_UNSENT : UNSENT_FIRST);
	if (!s->tcp || !uses_bbr(s->tcp))
		return;
	bound_pace(s->ctx, FIRST_PACE);
	if (!modest)
		widen_window(s->ctx);
}

/* measured steers the subflow whose round trip was measured. */
static __always_inline void measured(struct subflow *s)
{
	if (s->tcp && KNOWS_PACING(s->tcp))
		correct_pace(s->ctx, s->tcp);
	bound_unsent(s);
}
