//! What can be configured, and how it is written: `loss=1%,delay=20ms,jitter=5ms,seed=7`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::format;
use std::string::String;
use std::vec::Vec;

/// What is done to frames, in both directions.
///
/// Written as a list of `key=value` with commas. A key with `in.` before it is for frames received,
/// with `out.` for frames sent, with nothing for both, each independently.
///
/// | key | value | |
/// |---|---|---|
/// | `delay` | `20ms`, `1.5s`, `100us`, `5ns` | each frame comes later by this |
/// | `jitter` | as delay | delay is uniform in delay ± jitter; frames stay in order |
/// | `loss` | `1%`, `0.01%` | frames lost, independently |
/// | `burst-loss` | `1%/25%` or `1%/25%/100%/0%` | [`BurstLoss`]: enter / leave / loss in bad / loss in good |
/// | `reorder` | `1%`, `1%/5`, `1%/5ms` | these frames are overtaken by 3 others, by 5, by all of 5 ms |
/// | `duplicate` | `1%` | frames that come twice |
/// | `corrupt` | `0.1%` | frames with a bit flipped that the transport checksum covers |
/// | `rate` | `10mbit`, `1gbit`, `64kbit`, `9600bit` | bits per second, link header included |
/// | `queue` | `100` or `64kb` | frames or octets (b, kb, mb, kib, mib) that wait for the rate; beyond it drops |
/// | `mtu` | `1400` | larger IP packets are dropped without a word |
/// | `seed` | `7` | of the randomness; 0 unless given |
///
/// It prints the same way.
///
/// ```
/// use wirestack::device::ImpairConfig;
/// let c: ImpairConfig = "loss=1%,out.delay=20ms,seed=7".parse().unwrap();
/// assert_eq!(c.outgoing.delay.as_millis(), 20);
/// assert_eq!(c.incoming.delay.as_millis(), 0);
/// assert_eq!("los=1%".parse::<ImpairConfig>().unwrap_err().to_string(),
///     "there is no impairment \"los\": there are delay, jitter, loss, burst-loss, reorder, duplicate, \
///      corrupt, rate, queue, mtu, seed");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpairConfig {
    /// What is done to frames received.
    pub incoming: Impairment,
    /// What is done to frames sent.
    pub outgoing: Impairment,
    /// Where the randomness begins. Same seed, same frames, same times: same outcome.
    pub seed: u64,
}

impl ImpairConfig {
    /// The same in both directions.
    pub fn both(impairment: Impairment) -> Self {
        Self { incoming: impairment, outgoing: impairment, seed: 0 }
    }

    /// Is nothing configured?
    pub fn is_clean(&self) -> bool {
        self.incoming == Impairment::default() && self.outgoing == Impairment::default()
    }
}

/// What is done to frames in one direction. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Each frame comes later by this.
    pub delay: Duration,
    /// The delay is uniform in delay ± jitter, not below zero.
    pub jitter: Duration,
    /// Frames lost, independently of each other.
    pub loss: Probability,
    /// Frames lost in bursts.
    pub burst_loss: Option<BurstLoss>,
    /// Frames that others overtake.
    pub reorder: Option<Reorder>,
    /// Frames that come twice.
    pub duplicate: Probability,
    /// Frames in which a bit is flipped.
    pub corrupt: Probability,
    /// Bits per second.
    pub rate: Option<u64>,
    /// What may wait for the rate.
    pub queue: QueueLimit,
    /// Larger IP packets are dropped, in octets.
    pub mtu: Option<usize>,
}

/// A probability, in steps of 10^-9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    pub(super) const SCALE: u32 = 1_000_000_000;
    /// Never.
    pub const ZERO: Self = Self(0);
    /// Always.
    pub const ONE: Self = Self(Self::SCALE);

    /// From a number of percent; cut to 0 to 100.
    pub fn percent(p: f64) -> Self {
        // A float to integer cast saturates, and makes NaN zero.
        Self(((p * 1e7).round() as u32).min(Self::SCALE))
    }

    /// Is it never?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Does a number drawn from `0..SCALE` mean yes?
    pub(super) const fn contains(self, drawn: u32) -> bool {
        drawn < self.0
    }

    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::SCALE)
    }
}

/// Loss in bursts: a chain of two states (Gilbert 1960, Elliott 1963) that takes a step per frame.
///
/// In the long run `enter / (enter + leave)` of the frames meet the bad state, in bursts of
/// `1 / leave` frames on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstLoss {
    /// From the good state to the bad one.
    pub enter: Probability,
    /// From the bad state to the good one.
    pub leave: Probability,
    /// Loss in the bad state.
    pub loss_in_bad: Probability,
    /// Loss in the good state.
    pub loss_in_good: Probability,
}

/// How frames are put out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reorder {
    /// The frame comes after that many frames which were behind it; after 50 ms if so many do not
    /// come.
    Gap {
        /// Which frames.
        probability: Probability,
        /// How many overtake it. At least 1.
        frames: u32,
    },
    /// The frame comes later by this, whatever comes in between.
    Delay {
        /// Which frames.
        probability: Probability,
        /// How much later.
        extra: Duration,
    },
}

impl Reorder {
    pub(super) fn probability(self) -> Probability {
        match self {
            Self::Gap { probability, .. } | Self::Delay { probability, .. } => probability,
        }
    }
}

/// Frames that overtake a reordered one unless said otherwise: the number of duplicate ACKs that
/// makes a sender without anything newer retransmit (RFC 5681).
const DEFAULT_GAP: u32 = 3;

/// What may wait for a link with a rate, the frame being sent included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLimit {
    /// That many frames.
    Frames(u32),
    /// That many octets.
    Octets(u32),
}

/// 100 frames.
impl Default for QueueLimit {
    fn default() -> Self {
        Self::Frames(100)
    }
}

/// What is wrong in the text of an [`ImpairConfig`], in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ParseError {}

const KEYS: &str = "delay, jitter, loss, burst-loss, reorder, duplicate, corrupt, rate, queue, mtu, seed";

impl FromStr for ImpairConfig {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut c = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(ParseError(format!("{part:?} has no value: write key=value, as in loss=1%")));
            };
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(ParseError(format!("{key:?} is given twice")));
            }
            seen.push(key);
            if key == "seed" {
                c.seed = value.parse().map_err(|_| bad(key, value, "a number from 0 to 2^64 - 1, as 7"))?;
                continue;
            }
            match key.split_once('.') {
                Some(("in", k)) => c.incoming.set(k, value)?,
                Some(("out", k)) => c.outgoing.set(k, value)?,
                _ => {
                    c.incoming.set(key, value)?;
                    c.outgoing.set(key, value)?;
                }
            }
        }
        let both = [&c.incoming, &c.outgoing];
        if both.iter().any(|i| i.rate.is_none() && i.queue != QueueLimit::default()) {
            return Err(ParseError(
                "a queue is for a rate: give rate= too, as in rate=10mbit,queue=100".into(),
            ));
        }
        Ok(c)
    }
}

fn bad(key: &str, value: &str, wanted: &str) -> ParseError {
    ParseError(format!("{key}={value:?} is not {wanted}"))
}

impl Impairment {
    fn set(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        let probability =
            || parse_percent(value).ok_or_else(|| bad(key, value, "0% to 100%, as 1% or 0.05%"));
        let duration =
            || parse_duration(value).ok_or_else(|| bad(key, value, "a time, as 20ms, 1.5s or 100us"));
        match key {
            "delay" => self.delay = duration()?,
            "jitter" => self.jitter = duration()?,
            "loss" => self.loss = probability()?,
            "duplicate" => self.duplicate = probability()?,
            "corrupt" => self.corrupt = probability()?,
            "burst-loss" => {
                let wanted = "two or four probabilities (enter, leave, loss in bad, loss in good), as 1%/25%";
                self.burst_loss = Some(parse_burst(value).ok_or_else(|| bad(key, value, wanted))?);
            }
            "reorder" => {
                let wanted = "a probability and how late, as 1%, 1%/5 (frames) or 1%/5ms";
                self.reorder = Some(parse_reorder(value).ok_or_else(|| bad(key, value, wanted))?);
            }
            "rate" => {
                let wanted = "a rate above zero, as 10mbit, 1gbit, 64kbit or 9600bit";
                self.rate = Some(parse_rate(value).ok_or_else(|| bad(key, value, wanted))?);
            }
            "queue" => {
                let wanted = "a number of frames or octets above zero, as 100, 64kb or 1mib";
                self.queue = parse_queue(value).ok_or_else(|| bad(key, value, wanted))?;
            }
            "mtu" => {
                let mtu = value.parse().ok().filter(|m| (68..=65_535).contains(m));
                self.mtu = Some(mtu.ok_or_else(|| bad(key, value, "an MTU from 68 to 65535"))?);
            }
            _ => return Err(ParseError(format!("there is no impairment {key:?}: there are {KEYS}"))),
        }
        Ok(())
    }

    /// Every key that says something, with its value.
    fn entries(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        let time = |d: Duration| (!d.is_zero()).then(|| show_duration(d));
        let percent = |p: Probability| (!p.is_zero()).then(|| format!("{p}"));
        let mut put = |key, value: Option<String>| out.extend(value.map(|v| (key, v)));
        put("delay", time(self.delay));
        put("jitter", time(self.jitter));
        put("loss", percent(self.loss));
        put(
            "burst-loss",
            self.burst_loss.map(|b| format!("{}/{}/{}/{}", b.enter, b.leave, b.loss_in_bad, b.loss_in_good)),
        );
        put(
            "reorder",
            self.reorder.map(|r| match r {
                Reorder::Gap { probability, frames } => format!("{probability}/{frames}"),
                Reorder::Delay { probability, extra } => format!("{probability}/{}", show_duration(extra)),
            }),
        );
        put("duplicate", percent(self.duplicate));
        put("corrupt", percent(self.corrupt));
        put("rate", self.rate.map(|r| scaled(r, &RATES)));
        put(
            "queue",
            (self.queue != QueueLimit::default()).then(|| match self.queue {
                QueueLimit::Frames(n) => format!("{n}"),
                QueueLimit::Octets(n) => scaled(u64::from(n), &SIZES),
            }),
        );
        put("mtu", self.mtu.map(|m| format!("{m}")));
        out
    }
}

/// As it is parsed. Nothing configured prints nothing.
impl fmt::Display for ImpairConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (incoming, outgoing) = (self.incoming.entries(), self.outgoing.entries());
        let mut parts: Vec<String> = Vec::new();
        for (key, value) in &incoming {
            let both = outgoing.contains(&(key, value.clone()));
            parts.push(format!("{}{key}={value}", if both { "" } else { "in." }));
        }
        for (key, value) in outgoing.iter().filter(|e| !incoming.contains(e)) {
            parts.push(format!("out.{key}={value}"));
        }
        if self.seed != 0 {
            parts.push(format!("seed={}", self.seed));
        }
        f.write_str(&parts.join(","))
    }
}

/// Percent, exactly: `0.1%`.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PERCENT: u32 = Probability::SCALE / 100;
        write!(f, "{}", self.0 / PERCENT)?;
        if !self.0.is_multiple_of(PERCENT) {
            let digits = format!("{:07}", self.0 % PERCENT);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("%")
    }
}

const TIMES: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
const RATES: [(&str, u64); 4] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
const SIZES: [(&str, u64); 5] =
    [("mib", 1 << 20), ("mb", 1_000_000), ("kib", 1 << 10), ("kb", 1_000), ("b", 1)];

/// A decimal number times `unit`, exactly; `None` if it is no number, has more digits than `unit` or
/// does not fit.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 || text.ends_with('.') {
        return None;
    }
    let scale = 10u64.pow(part.len() as u32);
    let fraction: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let exact = fraction * u128::from(unit);
    if !exact.is_multiple_of(u128::from(scale)) {
        return None;
    }
    let sum = u128::from(whole.parse::<u64>().ok()?) * u128::from(unit) + exact / u128::from(scale);
    u64::try_from(sum).ok()
}

/// A number with a unit: the letters at the end say which.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let (_, factor) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    decimal(number, *factor)
}

/// In the largest unit that divides it.
fn scaled(n: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) = units.iter().find(|(_, f)| n.is_multiple_of(*f)).copied().unwrap_or(("", 1));
    format!("{}{name}", n / factor)
}

fn parse_percent(text: &str) -> Option<Probability> {
    let n = decimal(text.strip_suffix('%')?, 10_000_000)?;
    u32::try_from(n).ok().filter(|n| *n <= Probability::SCALE).map(Probability)
}

fn parse_duration(text: &str) -> Option<Duration> {
    with_unit(text, &TIMES).map(Duration::from_nanos)
}

fn show_duration(d: Duration) -> String {
    scaled(crate::time::nanos(d), &TIMES)
}

fn parse_rate(text: &str) -> Option<u64> {
    with_unit(text, &RATES).filter(|r| *r > 0)
}

fn parse_queue(text: &str) -> Option<QueueLimit> {
    let limit = match text.parse() {
        Ok(n) => QueueLimit::Frames(n),
        Err(_) => QueueLimit::Octets(u32::try_from(with_unit(text, &SIZES)?).ok()?),
    };
    (!matches!(limit, QueueLimit::Frames(0) | QueueLimit::Octets(0))).then_some(limit)
}

fn parse_burst(text: &str) -> Option<BurstLoss> {
    let p: Vec<Probability> = text.split('/').map(parse_percent).collect::<Option<_>>()?;
    let (loss_in_bad, loss_in_good) = match p[..] {
        [_, _] => (Probability::ONE, Probability::ZERO),
        [_, _, bad, good] => (bad, good),
        _ => return None,
    };
    Some(BurstLoss { enter: p[0], leave: p[1], loss_in_bad, loss_in_good })
}

fn parse_reorder(text: &str) -> Option<Reorder> {
    let (p, late) = text.split_once('/').unwrap_or((text, ""));
    let probability = parse_percent(p)?;
    if late.is_empty() && !text.contains('/') {
        return Some(Reorder::Gap { probability, frames: DEFAULT_GAP });
    }
    match late.parse() {
        Ok(0) => None,
        Ok(frames) => Some(Reorder::Gap { probability, frames }),
        Err(_) => parse_duration(late).map(|extra| Reorder::Delay { probability, extra }),
    }
}

#[cfg(test)]
mod tests;
