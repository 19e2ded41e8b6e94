//! What a script says, as values.

use super::options::Settings;

/// A place in a script. Lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Pos {
    /// Line.
    pub line: u32,
    /// Column, in octets.
    pub column: u32,
}

/// A script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its file name, for messages.
    pub file: String,
    /// Its text, after defines were put in.
    pub text: String,
    /// What its option lines set.
    pub settings: Settings,
    /// What happens, in the order written.
    pub events: Vec<Event>,
}

/// One thing that happens, or must happen.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it stands.
    pub pos: Pos,
    /// When.
    pub time: Time,
    /// What.
    pub what: What,
    /// It as written, on one line.
    pub source: String,
}

/// When an event is due, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the start of the script.
    Absolute(i64),
    /// Since the event before.
    Relative(i64),
    /// Between two times since the start.
    AbsoluteRange(i64, i64),
    /// Between two times since the event before.
    RelativeRange(i64, i64),
    /// Whenever it comes.
    Any,
    /// A blocking call: begins and ends at these times since the start.
    Blocking(i64, i64),
    /// A blocking call, relative to the event before.
    RelativeBlocking(i64, i64),
}

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    /// A system call of the application.
    Call(Call),
    /// A packet arrives.
    Inbound(Packet),
    /// A packet must leave.
    Outbound(Packet),
    /// A shell command.
    Command(String),
    /// A code snippet between `%{` and `}%`.
    Code(String),
}

/// A system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Its result.
    pub expect: Expected,
}

/// What a call must return.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Whatever it does: `= ?`.
    Any,
    /// This value.
    Value(Expr),
    /// -1 and this errno.
    Error(String),
}

/// An argument or a result.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Where it stands.
    pub pos: Pos,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Int(i64),
    /// A symbolic constant.
    Name(String),
    /// `a | b`, `a + b`, `a << b`, ...
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `-a`, `~a`.
    Unary(char, Box<Expr>),
    /// `"text"`.
    Str(Vec<u8>),
    /// `...`: whatever fits.
    Ellipsis,
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a = 1, b = 2}` or `{..., 100}`.
    Struct(Vec<Field>),
    /// `htons(80)`.
    Apply(String, Vec<Expr>),
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// A field of a struct: `name = value`, `name(3) = value`, or only `value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Option<String>,
    /// Its value.
    pub value: Expr,
}

/// A packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What is said of its IP header.
    pub ip: IpInfo,
    /// What it carries.
    pub body: Body,
}

/// What is said of an IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpInfo {
    /// The ECN bits.
    pub ecn: Option<Ecn>,
    /// The whole TOS octet.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
}

/// ECN marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// 00.
    NoEcn,
    /// 10.
    Ect0,
    /// 01.
    Ect1,
    /// 10 or 01: either will do.
    Ect01,
    /// 11.
    Ce,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// TCP.
    Tcp(TcpSpec),
    /// UDP with so many octets.
    Udp {
        /// Source and destination port, where they are written.
        ports: Option<(u16, u16)>,
        /// Octets of payload.
        len: usize,
    },
    /// ICMP or ICMPv6.
    Icmp(IcmpSpec),
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct TcpSpec {
    /// Source and destination port, where they are written.
    pub ports: Option<(u16, u16)>,
    /// Control bits, as in the header; bit 8 is AE.
    pub flags: u16,
    /// Sequence number, as the script counts.
    pub seq: u32,
    /// Octets of payload.
    pub len: usize,
    /// Acknowledgment number.
    pub ack: Option<u32>,
    /// Window field, unscaled; `None` outbound: any.
    pub window: Option<u16>,
    /// Urgent pointer.
    pub urgent: Option<u16>,
    /// Options; `None`: any.
    pub options: Option<Vec<TcpOption>>,
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// End of options.
    Eol,
    /// No operation.
    Nop,
    /// Maximum segment size.
    Mss(u16),
    /// Window scale.
    WindowScale(u8),
    /// SACK permitted.
    SackOk,
    /// SACK blocks.
    Sack(Vec<(u32, u32)>),
    /// Timestamps; `None` is `*`.
    Timestamps(Option<u32>, Option<u32>),
    /// Fast Open, with its cookie. Experimental: kind 254 with the magic number.
    FastOpen {
        /// Kind 254.
        experimental: bool,
        /// Cookie; empty for a request.
        cookie: Vec<u8>,
    },
    /// MD5 signature; `None`: any digest.
    Md5(Option<Vec<u8>>),
    /// Octets as they stand (an addition to the language, for options that are no options).
    Raw(Vec<u8>),
}

/// An ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpSpec {
    /// ICMPv6.
    pub v6: bool,
    /// Type.
    pub ty: u8,
    /// Code.
    pub code: u8,
    /// Next-hop MTU.
    pub mtu: Option<u32>,
    /// The quoted packet.
    pub quote: Option<Quote>,
}

/// The packet that an ICMP error quotes: always one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// A TCP segment.
    Tcp {
        /// Sequence number.
        seq: u32,
        /// Octets of payload.
        len: usize,
    },
    /// A UDP datagram.
    Udp {
        /// Octets of payload.
        len: usize,
    },
}
