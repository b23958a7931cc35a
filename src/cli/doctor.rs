//! `stackrun doctor`

use serde::Serialize;

use crate::{
    engine::{self, ConnectRequest, Engine, EngineInfo},
    plan::SubnetAllocator,
    spec::SubnetPool,
};

use super::{
    Outcome,
    args::{Format, FormatArgs},
    context::Context,
    exit_code, print, print_json,
};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Note,
    Bad,
}

/// What the report says to whoever has no engine.
const GET_AN_ENGINE: &str = "install Docker (https://docs.docker.com/engine/install/; on Debian and \
                             Ubuntu `apt-get install docker.io`) or Podman (`apt-get install podman`, \
                             then `systemctl start podman.socket`)";

/// No more subnets than this are counted.
const ENOUGH_SUBNETS: usize = 4_096;

pub(super) async fn doctor(context: &Context, args: FormatArgs) -> Outcome {
    let request = ConnectRequest {
        engine: context.engine_choice(),
        environment: context.environment.clone(),
    };
    let checks = match engine::connect(&request).await {
        Ok(engine) => of_engine(&*engine).await,
        Err(error) => error
            .attempts
            .iter()
            .map(|attempt| {
                bad(
                    "engine",
                    format!("{}: {}", attempt.place(), attempt.why),
                    None,
                )
            })
            .chain([bad(
                "engine",
                error.to_string(),
                Some(GET_AN_ENGINE.to_owned()),
            )])
            .collect(),
    };
    match args.format {
        Format::Json => print_json(&checks),
        Format::Text => print(&text(&checks)),
    }
    let is_bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if is_bad {
        exit_code::NO_ENGINE
    } else {
        exit_code::SUCCESS
    })
}

fn text(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let mark = match check.verdict {
            Verdict::Good => "✓",
            Verdict::Note => "!",
            Verdict::Bad => "✗",
        };
        let advice = check
            .advice
            .as_ref()
            .map(|advice| format!("    → {advice}\n"));
        format!(
            "{mark} {:<16} {}\n{}",
            check.what,
            check.found,
            advice.unwrap_or_default()
        )
    };
    checks.iter().map(line).collect()
}

async fn of_engine(engine: &dyn Engine) -> Vec<Check> {
    let info = engine.info();
    let mut checks = vec![
        good(
            "engine",
            format!("{} {} at {}", info.kind, info.version, info.endpoint),
        ),
        good("API", info.api_version.clone()),
        good(
            "platform",
            format!("{}, kernel {}", info.platform, info.kernel),
        ),
        cgroup(info),
        good("storage", info.storage_driver.clone()),
        logging(info),
        health_checks(info),
        names(info),
    ];
    checks.push(address_space(engine).await);
    checks.push(leftovers(engine).await);
    checks
}

fn cgroup(info: &EngineInfo) -> Check {
    let found = info
        .cgroup_version
        .map_or("unknown".to_owned(), |version| format!("v{version}"));
    let rootless = if info.rootless { ", rootless" } else { "" };
    good("cgroup", found + rootless)
}

fn logging(info: &EngineInfo) -> Check {
    let driver = info.logging_driver.clone();
    if driver == "none" {
        let advice = "`stackrun logs` of a detached session finds nothing; output that is followed \
                      from the start is not affected";
        return note("log driver", driver, advice);
    }
    good("log driver", driver)
}

fn health_checks(info: &EngineInfo) -> Check {
    if !info.capabilities.health_by_itself {
        return note(
            "health checks",
            "run by stackrun while a container starts, and by nobody later".to_owned(),
            "Podman leaves them to systemd, which does not run here: nothing ever becomes unhealthy",
        );
    }
    if info.capabilities.start_interval {
        return good(
            "health checks",
            "by the engine, every 100 ms while a container starts".to_owned(),
        );
    }
    good(
        "health checks",
        "run by stackrun while a container starts (the engine's API is older than 1.44)".to_owned(),
    )
}

fn names(info: &EngineInfo) -> Check {
    match info.resolves_names {
        Some(true) => good("names", "services find each other by name".to_owned()),
        None => good(
            "names",
            "unknown: the engine runs on another machine".to_owned(),
        ),
        Some(false) => bad(
            "names",
            "services cannot find each other by name".to_owned(),
            Some(
                "install aardvark-dns, or with CNI the plugin dnsname (Debian: `apt-get install \
                 netavark aardvark-dns`), and restart Podman"
                    .to_owned(),
            ),
        ),
    }
}

/// How many more networks there is room for.
async fn address_space(engine: &dyn Engine) -> Check {
    let pool = SubnetPool::DEFAULT;
    let taken = match engine.subnets().await {
        Ok(taken) => taken,
        Err(error) => return bad("address space", crate::error::chain(&error), None),
    };
    let mut allocator = SubnetAllocator::new(pool, &taken, "");
    let free = (0..ENOUGH_SUBNETS)
        .take_while(|_| allocator.allocate(1).is_ok())
        .count();
    let found = format!(
        "{free} free /28 subnets in {} for workers' networks",
        pool.range
    );
    if free < 16 {
        return note(
            "address space",
            found,
            "choose another pool with `x-stackrun.subnets`",
        );
    }
    good("address space", found)
}

async fn leftovers(engine: &dyn Engine) -> Check {
    match engine.observe(None).await {
        Ok(observed) if observed.is_empty() => good("sessions", "none".to_owned()),
        Ok(observed) => note(
            "sessions",
            format!(
                "{} containers, {} networks, {} volumes",
                observed.containers.len(),
                observed.networks.len(),
                observed.volumes.len()
            ),
            "`stackrun ls` lists them, `stackrun down -p NAME` takes one down",
        ),
        Err(error) => bad("sessions", crate::error::chain(&error), None),
    }
}

fn good(what: &'static str, found: String) -> Check {
    Check {
        what,
        verdict: Verdict::Good,
        found,
        advice: None,
    }
}

fn note(what: &'static str, found: String, advice: &str) -> Check {
    Check {
        what,
        verdict: Verdict::Note,
        found,
        advice: Some(advice.to_owned()),
    }
}

fn bad(what: &'static str, found: String, advice: Option<String>) -> Check {
    Check {
        what,
        verdict: Verdict::Bad,
        found,
        advice,
    }
}
