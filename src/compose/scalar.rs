//! What an unquoted scalar stands for.
//!
//! Compose reads YAML with go-yaml v3, which sits between YAML 1.1 and 1.2: `yes` is
//! a string, `0755` and `0o755` are octal, `1_000` is a number, `1:30` is a string,
//! and a date is a date.

use super::node::Value;

/// Resolves a scalar that is neither quoted nor tagged.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn number(text: &str) -> Option<Value> {
    match text.as_bytes()[0] {
        b'.' => float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            if is_timestamp(text) {
                return Some(Value::Timestamp(text.to_owned()));
            }
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain))
        }
        _ => None,
    }
}

/// An integer in Go's notation: a sign, then `0x`, `0o`, `0b`, a leading `0` for
/// octal, or decimal.
pub(super) fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(Value::Int(value))
}

/// A float: digits, optionally a point and an exponent. `Inf` and `NaN`, which Rust
/// would take as well, are excluded by what the text may hold.
pub(super) fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let legal = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !unsigned.chars().all(legal)
    {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Value::Float(value))
}

/// Whether go-yaml takes the text for a point in time: `2001-1-2`, optionally with a
/// time of day.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };
    let parts: Vec<_> = date.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    year.len() == 4
        && in_range(year, 0, 9999)
        && month.len() <= 2
        && in_range(month, 1, 12)
        && day.len() <= 2
        && in_range(day, 1, days_in(year, month))
        && time.is_none_or(is_time_of_day)
}

/// How many days a month has. Both are known to be numbers.
fn days_in(year: &str, month: &str) -> u32 {
    let number = |text: &str| text.parse().unwrap_or(0);
    let year: u32 = number(year);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match number(month) {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_time_of_day(text: &str) -> bool {
    let clock = text
        .find(['Z', '+', '-', ' '])
        .map_or(text, |zone| &text[..zone]);
    let parts: Vec<_> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else {
        return false;
    };
    let second = second.split('.').next().unwrap_or(second);
    in_range(hour, 0, 23) && in_range(minute, 0, 59) && in_range(second, 0, 59)
}

fn in_range(text: &str, low: u32, high: u32) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        && text
            .parse()
            .is_ok_and(|value: u32| (low..=high).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_every_notation_of_go() {
        let cases = [
            ("0755", 493),
            ("0o755", 493),
            ("0x1F", 31),
            ("0b11", 3),
            ("1_000", 1000),
            ("-0", 0),
            ("+12", 12),
            ("12345678901234567890", 12_345_678_901_234_567_890),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), Value::Int(expected), "{text}");
        }
    }

    #[test]
    fn floats_need_no_digit_on_one_side_of_the_point() {
        let cases = [
            (".5", 0.5),
            ("1.", 1.0),
            ("1e3", 1000.0),
            ("08", 8.0),
            ("-1.5E-3", -0.0015),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), Value::Float(expected), "{text}");
        }
    }

    #[test]
    fn what_looks_almost_like_a_number_is_a_string() {
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "1:30",
            "1.2.3",
            "0x",
            "-",
            "+",
            ".",
            "..",
            "1e",
            "inf",
            "nan",
            "80:80",
            "1-2",
            "127.0.0.1",
            "-x",
            "1,2",
            "0o9",
        ] {
            assert_eq!(resolve(text), Value::String(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn dates_are_dates() {
        for text in [
            "2024-01-01",
            "2024-1-1",
            "2024-02-29",
            "2001-12-14t21:59:43.10-05:00",
        ] {
            assert_eq!(resolve(text), Value::Timestamp(text.to_owned()), "{text}");
        }
        for text in [
            "2024-13-01",
            "2023-02-29",
            "2024-04-31",
            "2024-01-01-x",
            "24-01-01",
        ] {
            assert_eq!(resolve(text), Value::String(text.to_owned()), "{text}");
        }
    }
}
