//! Words and figures for people: durations, sizes, plurals, lists.

use std::time::Duration;

/// `87 ms`, `1.42 s`, `2 min 5 s`.
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    let seconds = duration.as_secs();
    match seconds {
        0..60 if duration.subsec_millis() == 0 => format!("{seconds} s"),
        0..60 => format!("{:.2} s", duration.as_secs_f64()),
        60..3_600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `512 B`, `3.4 MB`: decimal units, as Docker prints them.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1 worker`, `4 workers`.
pub fn count(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// `` `a`, `b` and `c` ``.
pub fn list<I>(items: I) -> String
where
    I: IntoIterator,
    I::Item: std::fmt::Display,
{
    let quoted: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// The candidate that was most likely meant, if one is close enough.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_at_most() {
        let shown = [87, 1_000, 1_424, 60_000, 125_000, 3_720_000]
            .map(|millis| duration(Duration::from_millis(millis)));
        assert_eq!(
            shown,
            ["87 ms", "1 s", "1.42 s", "1 min", "2 min 5 s", "1 h 2 min"]
        );
    }

    #[test]
    fn sizes_use_decimal_units() {
        assert_eq!([0, 999, 3_400_000].map(bytes), ["0 B", "999 B", "3.4 MB"]);
    }

    #[test]
    fn lists_end_with_and() {
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(list(["a"]), "`a`");
    }

    #[test]
    fn a_typing_error_finds_its_word() {
        assert_eq!(closest("bakcend", ["backend", "gateway"]), Some("backend"));
        assert_eq!(closest("xyz", ["backend", "gateway"]), None);
    }
}
