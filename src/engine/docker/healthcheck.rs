//! Health checks, from the domain's type to bollard's and back.

use std::time::Duration;

use bollard::models::HealthConfig;

use crate::spec::{HealthTest, Healthcheck};

/// The health check as the engine takes it. Zero and an empty test mean: the image's.
pub(super) fn to_engine(check: &Healthcheck, start_interval: bool) -> HealthConfig {
    let test = match &check.test {
        None => Vec::new(),
        Some(HealthTest::Disabled) => vec!["NONE".to_owned()],
        Some(HealthTest::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(HealthTest::Command(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            test
        }
    };
    HealthConfig {
        test: Some(test),
        interval: check.interval.map(nanoseconds),
        timeout: check.timeout.map(nanoseconds),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanoseconds),
        start_interval: check
            .start_interval
            .filter(|_| start_interval)
            .map(nanoseconds),
    }
}

/// The health check as the engine has it.
pub(super) fn from_engine(config: HealthConfig) -> Healthcheck {
    let mut words = config.test.unwrap_or_default().into_iter();
    let test = words.next().map(|kind| match kind.as_str() {
        "NONE" => HealthTest::Disabled,
        "CMD-SHELL" => HealthTest::Shell(words.next().unwrap_or_default()),
        "CMD" => HealthTest::Command(words.collect()),
        // Podman accepts a bare command.
        _ => HealthTest::Command(std::iter::once(kind).chain(words).collect()),
    });
    Healthcheck {
        test,
        interval: config.interval.and_then(duration),
        timeout: config.timeout.and_then(duration),
        retries: config
            .retries
            .and_then(|retries| u32::try_from(retries).ok())
            .filter(|retries| *retries > 0),
        start_period: config.start_period.and_then(duration),
        start_interval: config.start_interval.and_then(duration),
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn duration(nanoseconds: i64) -> Option<Duration> {
    let nanoseconds = u64::try_from(nanoseconds).ok().filter(|&n| n > 0)?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_survives_the_way_there_and_back() {
        let check = Healthcheck {
            test: Some(HealthTest::Command(vec!["probe".into(), "--fast".into()])),
            interval: Some(Duration::from_millis(1500)),
            timeout: None,
            retries: Some(3),
            start_period: Some(Duration::from_secs(60)),
            start_interval: Some(Duration::from_millis(100)),
        };
        assert_eq!(from_engine(to_engine(&check, true)), check);
    }

    #[test]
    fn an_engine_that_does_not_know_the_start_interval_is_not_told() {
        let check = Healthcheck {
            start_interval: Some(Duration::from_millis(100)),
            ..Healthcheck::default()
        };
        assert_eq!(to_engine(&check, false).start_interval, None);
    }
}
