//! The Range field (RFC 9110 section 14).

use std::ops::Range;

/// Ranges that a request may ask for; more are answered with the whole file (section 14.2 warns of
/// requests with many small or overlapping ranges).
const MAX_RANGES: usize = 16;

/// What a Range field comes to for a file of a certain length.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranges {
    /// No range, or one that is ignored because it is malformed, foreign or excessive.
    Whole,
    /// At least one range that lies in the file, none of them empty.
    Parts(Vec<Range<u64>>),
    /// No range lies in the file: 416.
    Unsatisfiable,
}

/// Evaluates a Range field.
pub fn evaluate(field: Option<&str>, len: u64) -> Ranges {
    let Some(set) = field.and_then(|f| f.split_once('=')) else { return Ranges::Whole };
    if !set.0.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Whole;
    }
    let mut parts = Vec::new();
    let mut seen = 0;
    for spec in set.1.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        seen += 1;
        if seen > MAX_RANGES {
            return Ranges::Whole;
        }
        match one(spec, len) {
            None => return Ranges::Whole,
            Some(range) if range.is_empty() => {}
            Some(range) => parts.push(range),
        }
    }
    match (seen, parts.is_empty()) {
        (0, _) => Ranges::Whole,
        (_, true) => Ranges::Unsatisfiable,
        // More than the file in all: the ranges overlap, and the whole is cheaper for both.
        _ if parts.len() > 1 && parts.iter().map(|r| r.end - r.start).sum::<u64>() > len => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

/// `a-b`, `a-` or `-n`; empty when it lies outside, `None` when malformed.
fn one(spec: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    let number = |s: &str| {
        let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        // A number beyond 64 bits lies beyond every file.
        digits.then(|| s.parse().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        let n = number(last)?;
        return Some(len.saturating_sub(n)..len);
    }
    let start = number(first)?;
    let end = if last.is_empty() { len } else { number(last)?.saturating_add(1).min(len) };
    if !last.is_empty() && number(last)? < start {
        return None;
    }
    Some(start..end.max(start)).map(|r| if r.start >= len { 0..0 } else { r })
}

#[cfg(test)]
mod tests {
    use super::Ranges::*;
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list with one range is what is meant")]
    fn table_of_rfc_9110() {
        for (field, want) in [
            ("bytes=0-499", Parts(vec![0..500])),
            ("bytes=500-999", Parts(vec![500..1000])),
            ("bytes=-500", Parts(vec![9500..10000])),
            ("bytes=9500-", Parts(vec![9500..10000])),
            ("bytes=0-0,-1", Parts(vec![0..1, 9999..10000])),
            ("bytes= 0-999, 4500-5499, -1000", Parts(vec![0..1000, 4500..5500, 9000..10000])),
            ("bytes=-20000", Parts(vec![0..10000])),
            ("bytes=0-99999999999999999999999", Parts(vec![0..10000])),
            ("bytes=10000-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=10000-10001, 0-1", Parts(vec![0..2])),
            ("bytes=5-4", Whole),
            ("bytes=a-b", Whole),
            ("bytes=", Whole),
            ("bytes=1", Whole),
            ("lines=1-2", Whole),
            ("bytes=0-9999,0-1", Whole),
            ("bytes=1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1,1-1", Whole),
        ] {
            assert_eq!(evaluate(Some(field), 10000), want, "{field}");
        }
        assert_eq!(evaluate(Some("bytes=0-"), 0), Unsatisfiable);
        assert_eq!(evaluate(None, 5), Whole);
    }
}
