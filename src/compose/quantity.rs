//! Durations (`1m30s`) and sizes (`64m`) as Compose reads and prints them.

use std::{fmt::Write as _, time::Duration};

const NANOSECOND: f64 = 1.0;
const UNITS: [(&str, f64); 9] = [
    ("ns", NANOSECOND),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

/// Reads a duration in nanoseconds. It may be negative, which nobody means.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * size;
        rest = after;
    }
    #[expect(clippy::cast_precision_loss, reason = "the limit need not be exact")]
    let fits = total <= i64::MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fits.then_some((sign * total).round() as i64)
}

/// Prints nanoseconds as Go does: `1h0m0s`, `1.5s`, `10ms`.
pub(super) fn format_duration(nanoseconds: i64) -> String {
    let mut text = String::new();
    if nanoseconds < 0 {
        text.push('-');
    }
    let total = nanoseconds.unsigned_abs();
    let fraction = |size: u64, unit| {
        let digits = size.ilog10() as usize;
        let number = format!("{}.{:0digits$}", total / size, total % size);
        format!(
            "{}{unit}",
            number.trim_end_matches('0').trim_end_matches('.')
        )
    };
    match total {
        0 => text.push_str("0s"),
        1..1_000 => write!(text, "{total}ns").expect("a string takes any text"),
        1_000..1_000_000 => text.push_str(&fraction(1_000, "µs")),
        1_000_000..1_000_000_000 => text.push_str(&fraction(1_000_000, "ms")),
        _ => {
            let minutes = total / 60_000_000_000;
            if minutes >= 60 {
                write!(text, "{}h", minutes / 60).expect("a string takes any text");
            }
            if minutes > 0 {
                write!(text, "{}m", minutes % 60).expect("a string takes any text");
            }
            let seconds = total % 60_000_000_000;
            let number = format!("{}.{:09}", seconds / 1_000_000_000, seconds % 1_000_000_000);
            text.push_str(number.trim_end_matches('0').trim_end_matches('.'));
            text.push('s');
        }
    }
    text
}

/// Nanoseconds as a time span; a negative one is none at all.
pub(super) fn to_duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// Reads a size in bytes: `64m`, `1.5gb`, `512 MiB`. Units are powers of 1024.
pub(super) fn parse_size(text: &str) -> Option<i64> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (number, unit) = text.split_at(split + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let legal = number
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | 'e' | 'E'));
    let number: f64 = legal.then(|| number.parse().ok()).flatten()?;
    let unit = unit.to_lowercase();
    let factor = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(factor);
    #[expect(clippy::cast_precision_loss, reason = "the limit need not be exact")]
    let fits = bytes <= i64::MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fits.then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let cases = [
            ("90s", "1m30s"),
            ("1m30s", "1m30s"),
            ("1500ms", "1.5s"),
            ("1h", "1h0m0s"),
            ("1d", "24h0m0s"),
            ("1.5h", "1h30m0s"),
            ("10ms", "10ms"),
            ("1.5us", "1.5µs"),
            ("7ns", "7ns"),
            ("0s", "0s"),
            ("0", "0s"),
            ("-1s", "-1s"),
            ("1w2d3h4m5s6ms7us8ns", "219h4m5.006007008s"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                format_duration(parse_duration(text).unwrap()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn durations_need_units() {
        for text in ["", "10", "s", "1x", "1.2.3s", "1s2", "-", "99999999999w"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let cases = [
            ("100", 100),
            ("100b", 100),
            ("64m", 64 << 20),
            ("1.5gb", 1_610_612_736),
            ("1 GiB", 1 << 30),
            ("1kb", 1024),
            ("0", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), Some(expected), "{text}");
        }
        for text in [
            "", "abc", "0x10", "-1", "1xb", "1ib", "m", "1mm", "nan", "9999999p",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(nanoseconds in 0..i64::from(u32::MAX) * 1_000) {
            prop_assert_eq!(parse_duration(&format_duration(nanoseconds)), Some(nanoseconds));
        }
    }
}
