//! The names that scripts use, with Linux's numbers (x86-64 and aarch64).

use wirestack::Errno;

/// The number of a symbolic constant.
pub fn constant(name: &str) -> Option<i64> {
    CONSTANTS.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}

/// The name of a constant that begins with `prefix` and has this number: for messages.
pub fn name_of(prefix: &str, value: i64) -> Option<&'static str> {
    CONSTANTS.iter().find(|(n, v)| n.starts_with(prefix) && *v == value).map(|(n, _)| *n)
}

/// The number of an errno.
pub fn errno(name: &str) -> Option<i32> {
    let name = if name == "EWOULDBLOCK" { "EAGAIN" } else { name };
    let known = (1..134).filter_map(number_to_errno).find(|e| e.name() == name);
    known.map(Errno::number).or_else(|| OTHER_ERRNOS.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
}

/// Errnos that no call of the stack gives: a script that expects one is readable and fails.
const OTHER_ERRNOS: &[(&str, i32)] = &[("ENOENT", 2), ("ENOSPC", 28), ("ESPIPE", 29), ("ENOSYS", 38)];

fn number_to_errno(n: i32) -> Option<Errno> {
    use Errno as E;
    [
        E::EPERM,
        E::ESRCH,
        E::EINTR,
        E::EIO,
        E::ENXIO,
        E::EBADF,
        E::EAGAIN,
        E::ENOMEM,
        E::EACCES,
        E::EFAULT,
        E::EBUSY,
        E::EEXIST,
        E::ENODEV,
        E::EINVAL,
        E::EMFILE,
        E::ENOTTY,
        E::EPIPE,
        E::EDOM,
        E::EPROTO,
        E::EBADMSG,
        E::ENOTSOCK,
        E::EDESTADDRREQ,
        E::EMSGSIZE,
        E::EPROTOTYPE,
        E::ENOPROTOOPT,
        E::EPROTONOSUPPORT,
        E::ESOCKTNOSUPPORT,
        E::EOPNOTSUPP,
        E::EAFNOSUPPORT,
        E::EADDRINUSE,
        E::EADDRNOTAVAIL,
        E::ENETDOWN,
        E::ENETUNREACH,
        E::ECONNABORTED,
        E::ECONNRESET,
        E::ENOBUFS,
        E::EISCONN,
        E::ENOTCONN,
        E::ESHUTDOWN,
        E::ETIMEDOUT,
        E::ECONNREFUSED,
        E::EHOSTDOWN,
        E::EHOSTUNREACH,
        E::EALREADY,
        E::EINPROGRESS,
        E::ENONET,
    ]
    .into_iter()
    .find(|e| e.number() == n)
}

type Table = &'static [(&'static str, u8)];

/// Types of ICMP by name.
pub(super) fn icmp_types(v6: bool) -> Table {
    if v6 {
        &[
            ("unreachable", 1),
            ("packet_too_big", 2),
            ("time_exceeded", 3),
            ("parameter_problem", 4),
            ("echo_request", 128),
            ("echo_reply", 129),
        ]
    } else {
        &[
            ("echo_reply", 0),
            ("unreachable", 3),
            ("source_quench", 4),
            ("redirect", 5),
            ("echo_request", 8),
            ("time_exceeded", 11),
            ("parameter_problem", 12),
            ("timestamp_request", 13),
            ("timestamp_reply", 14),
        ]
    }
}

/// Codes of a type by name.
pub(super) fn icmp_codes(v6: bool, ty: u8) -> Table {
    match (v6, ty) {
        (false, 3) => &[
            ("net_unreachable", 0),
            ("host_unreachable", 1),
            ("protocol_unreachable", 2),
            ("port_unreachable", 3),
            ("frag_needed", 4),
            ("source_route_failed", 5),
            ("net_unreachable_for_tos", 11),
            ("host_unreachable_for_tos", 12),
            ("packet_filtered", 13),
            ("precedence_violation", 14),
            ("precedence_cutoff", 15),
        ],
        (false, 11) => &[("exceeded_ttl", 0), ("exceeded_frag", 1)],
        (true, 1) => &[
            ("no_route", 0),
            ("admin_prohibited", 1),
            ("not_neighbour", 2),
            ("addr_unreachable", 3),
            ("port_unreachable", 4),
        ],
        (true, 3) => &[("exceed_hops", 0), ("exceed_frags", 1)],
        _ => &[],
    }
}

/// A number, or a name of a table.
pub(super) fn number_or(table: Table, word: &str) -> Option<u8> {
    word.parse().ok().or_else(|| table.iter().find(|(n, _)| *n == word).map(|(_, v)| *v))
}

#[rustfmt::skip]
const CONSTANTS: &[(&str, i64)] = &[
    ("AF_UNSPEC", 0), ("AF_INET", 2), ("AF_INET6", 10), ("PF_INET", 2), ("PF_INET6", 10),
    ("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_RAW", 3),
    ("SOCK_NONBLOCK", 0o4000), ("SOCK_CLOEXEC", 0o2_000_000),
    ("IPPROTO_IP", 0), ("IPPROTO_ICMP", 1), ("IPPROTO_TCP", 6), ("IPPROTO_UDP", 17), ("IPPROTO_IPV6", 41),
    ("IPPROTO_ICMPV6", 58), ("IPPROTO_MPTCP", 262),
    ("SOL_SOCKET", 1), ("SOL_IP", 0), ("SOL_TCP", 6), ("SOL_UDP", 17), ("SOL_IPV6", 41),
    ("INADDR_ANY", 0),
    ("O_RDONLY", 0), ("O_WRONLY", 1), ("O_RDWR", 2), ("O_NONBLOCK", 0o4000), ("O_CREAT", 0o100),
    ("F_GETFD", 1), ("F_SETFD", 2), ("F_GETFL", 3), ("F_SETFL", 4), ("FD_CLOEXEC", 1),
    ("SHUT_RD", 0), ("SHUT_WR", 1), ("SHUT_RDWR", 2),
    ("SO_DEBUG", 1), ("SO_REUSEADDR", 2), ("SO_TYPE", 3), ("SO_ERROR", 4), ("SO_DONTROUTE", 5),
    ("SO_BROADCAST", 6), ("SO_SNDBUF", 7), ("SO_RCVBUF", 8), ("SO_KEEPALIVE", 9), ("SO_OOBINLINE", 10),
    ("SO_NO_CHECK", 11), ("SO_PRIORITY", 12), ("SO_LINGER", 13), ("SO_REUSEPORT", 15), ("SO_PASSCRED", 16),
    ("SO_RCVLOWAT", 18), ("SO_SNDLOWAT", 19), ("SO_RCVTIMEO", 20), ("SO_SNDTIMEO", 21),
    ("SO_BINDTODEVICE", 25), ("SO_TIMESTAMP", 29), ("SO_ACCEPTCONN", 30), ("SO_SNDBUFFORCE", 32),
    ("SO_RCVBUFFORCE", 33), ("SO_TIMESTAMPNS", 35), ("SO_MARK", 36), ("SO_TIMESTAMPING", 37),
    ("SO_PROTOCOL", 38), ("SO_DOMAIN", 39), ("SO_BUSY_POLL", 46), ("SO_MAX_PACING_RATE", 47),
    ("SO_MEMINFO", 55), ("SO_ZEROCOPY", 60), ("SO_TXTIME", 61),
    ("TCP_NODELAY", 1), ("TCP_MAXSEG", 2), ("TCP_CORK", 3), ("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 6), ("TCP_SYNCNT", 7), ("TCP_LINGER2", 8), ("TCP_DEFER_ACCEPT", 9),
    ("TCP_WINDOW_CLAMP", 10), ("TCP_INFO", 11), ("TCP_QUICKACK", 12), ("TCP_CONGESTION", 13),
    ("TCP_MD5SIG", 14), ("TCP_THIN_LINEAR_TIMEOUTS", 16), ("TCP_THIN_DUPACK", 17), ("TCP_USER_TIMEOUT", 18),
    ("TCP_REPAIR", 19), ("TCP_REPAIR_QUEUE", 20), ("TCP_QUEUE_SEQ", 21), ("TCP_REPAIR_OPTIONS", 22),
    ("TCP_FASTOPEN", 23), ("TCP_TIMESTAMP", 24), ("TCP_NOTSENT_LOWAT", 25), ("TCP_CC_INFO", 26),
    ("TCP_SAVE_SYN", 27), ("TCP_SAVED_SYN", 28), ("TCP_FASTOPEN_CONNECT", 30), ("TCP_FASTOPEN_KEY", 33),
    ("TCP_FASTOPEN_NO_COOKIE", 34), ("TCP_ZEROCOPY_RECEIVE", 35), ("TCP_INQ", 36), ("TCP_CM_INQ", 36),
    ("TCP_TX_DELAY", 37),
    ("IP_TOS", 1), ("IP_TTL", 2), ("IP_HDRINCL", 3), ("IP_OPTIONS", 4), ("IP_RECVTTL", 12),
    ("IP_MTU_DISCOVER", 10), ("IP_RECVERR", 11), ("IP_RECVTOS", 13), ("IP_MTU", 14), ("IP_FREEBIND", 15),
    ("IP_BIND_ADDRESS_NO_PORT", 24), ("IP_LOCAL_PORT_RANGE", 51),
    ("IP_PMTUDISC_DONT", 0), ("IP_PMTUDISC_WANT", 1), ("IP_PMTUDISC_DO", 2), ("IP_PMTUDISC_PROBE", 3),
    ("IPV6_UNICAST_HOPS", 16), ("IPV6_MTU_DISCOVER", 23), ("IPV6_MTU", 24), ("IPV6_RECVERR", 25),
    ("IPV6_V6ONLY", 26), ("IPV6_TCLASS", 67), ("IPV6_DONTFRAG", 62), ("IPV6_HOPLIMIT", 52),
    ("IPV6_RECVTCLASS", 66), ("IPV6_RECVHOPLIMIT", 51),
    ("MSG_OOB", 1), ("MSG_PEEK", 2), ("MSG_DONTROUTE", 4), ("MSG_CTRUNC", 8), ("MSG_TRUNC", 0x20),
    ("MSG_DONTWAIT", 0x40), ("MSG_EOR", 0x80), ("MSG_WAITALL", 0x100), ("MSG_FIN", 0x200),
    ("MSG_ERRQUEUE", 0x2000), ("MSG_NOSIGNAL", 0x4000), ("MSG_MORE", 0x8000), ("MSG_ZEROCOPY", 0x0400_0000),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("POLLIN", 1), ("POLLPRI", 2), ("POLLOUT", 4), ("POLLERR", 8), ("POLLHUP", 16), ("POLLNVAL", 32),
    ("POLLRDNORM", 64), ("POLLRDBAND", 128), ("POLLWRNORM", 256), ("POLLWRBAND", 512), ("POLLRDHUP", 0x2000),
    ("EPOLLIN", 1), ("EPOLLPRI", 2), ("EPOLLOUT", 4), ("EPOLLERR", 8), ("EPOLLHUP", 16),
    ("EPOLLRDNORM", 64), ("EPOLLRDBAND", 128), ("EPOLLWRNORM", 256), ("EPOLLWRBAND", 512),
    ("EPOLLRDHUP", 0x2000), ("EPOLLONESHOT", 1 << 30), ("EPOLLET", 1 << 31), ("EPOLLEXCLUSIVE", 1 << 28),
    ("EPOLL_CTL_ADD", 1), ("EPOLL_CTL_DEL", 2), ("EPOLL_CTL_MOD", 3), ("EPOLL_CLOEXEC", 0o2_000_000),
    ("SIOCINQ", 0x541b), ("FIONREAD", 0x541b), ("SIOCOUTQ", 0x5411), ("TIOCOUTQ", 0x5411),
    ("SIOCOUTQNSD", 0x894b), ("SIOCATMARK", 0x8905), ("FIONBIO", 0x5421),
    ("TCP_ESTABLISHED", 1), ("TCP_SYN_SENT", 2), ("TCP_SYN_RECV", 3), ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5), ("TCP_TIME_WAIT", 6), ("TCP_CLOSE", 7), ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9), ("TCP_LISTEN", 10), ("TCP_CLOSING", 11),
    ("TCP_CA_Open", 0), ("TCP_CA_Disorder", 1), ("TCP_CA_CWR", 2), ("TCP_CA_Recovery", 3), ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1), ("TCPI_OPT_SACK", 2), ("TCPI_OPT_WSCALE", 4), ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16), ("TCPI_OPT_SYN_DATA", 32),
    ("true", 1), ("false", 0), ("NULL", 0),
];
