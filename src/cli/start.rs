//! What `up` and `run` have in common.

use std::collections::BTreeMap;

use crate::{
    compose::Loaded,
    plan::Replica,
    session::{Stack, UpError, UpOptions, address},
    spec::{Project, PullPolicy, ServiceName, SessionName},
};

use super::{
    args::{ImageArgs, StartArgs},
    attended::Attended,
    context::Context,
    exit_code,
    failure::Failure,
    signals::Signals,
    table::table,
};

/// Connects, and begins to listen and to report.
pub(super) async fn open(
    context: &Context,
    project: &Project,
    name: SessionName,
    args: &StartArgs,
) -> Result<Attended, Failure> {
    let engine = context.connect().await?;
    let session = (name, project.directory.as_path());
    Attended::open(
        context,
        engine,
        Signals::listen(),
        session,
        args.events.clone(),
    )
    .await
}

/// Brings the session up, showing the lines of the services that are to be seen from the
/// start.
pub(super) async fn bring_up(
    attended: &Attended,
    project: &Project,
    options: &UpOptions,
    shown: &Shown,
) -> Result<Stack, UpError> {
    let shown = shown.clone();
    attended
        .session
        .logs()
        .show_from_start(move |replica| shown.includes(replica));
    attended.session.up(project, options).await
}

/// Which services' lines are shown as they come.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) all: bool,
    pub(super) services: Vec<ServiceName>,
}

impl Shown {
    /// From `--logs`, `--stream` and `PLAYWRIGHT_<SERVICE>_LOG_STREAM`.
    pub(super) fn new(
        context: &Context,
        project: &Project,
        args: &StartArgs,
    ) -> Result<Self, Failure> {
        let mut services = address::streamed(project.services.keys(), &context.environment);
        for name in &args.stream {
            services.push(known_service(project, name)?);
        }
        Ok(Self {
            all: args.logs,
            services,
        })
    }

    pub(super) fn includes(&self, replica: &Replica) -> bool {
        self.all || self.services.contains(&replica.service)
    }
}

/// The service of that name, or a failure that suggests one.
pub(super) fn known_service(project: &Project, name: &str) -> Result<ServiceName, Failure> {
    if let Some(service) = project
        .services
        .keys()
        .find(|service| service.as_str() == name)
    {
        return Ok(service.clone());
    }
    let names = project.services.keys().map(ServiceName::as_str);
    let failure = Failure::usage(format!("no such service: `{name}`"));
    Err(match crate::text::closest(name, names) {
        Some(closest) => failure.hint(format!("did you mean `{closest}`?")),
        None => failure,
    })
}

/// What `up`, `run` and `plan` have in common, from the command line and the file.
pub(super) fn up_options(loaded: &Loaded, workers: Option<u32>, images: &ImageArgs) -> UpOptions {
    let workers = workers.or(loaded.project.stackrun.workers);
    UpOptions {
        workers: workers.unwrap_or(1),
        pull: images.pull.map(PullPolicy::from),
        build: images.build(),
        known_services: loaded.known_services.clone(),
        ..UpOptions::default()
    }
}

/// The same for `up` and `run` alone.
pub(super) fn start_options(loaded: &Loaded, args: &StartArgs) -> UpOptions {
    UpOptions {
        own_address: args.own_address,
        wait_timeout: args.wait_timeout,
        keep_failed: args.keep_failed,
        ..up_options(loaded, args.workers, &args.images)
    }
}

/// Every worker's services are always managed here; whoever says otherwise expects
/// something that does not exist.
pub(super) fn refuse_unmanaged(environment: &BTreeMap<String, String>) -> Result<(), Failure> {
    match environment.get("PLAYWRIGHT_MANAGED_SERVICES").map(String::as_str) {
        Some("false" | "0") => {
            Err(Failure::usage("PLAYWRIGHT_MANAGED_SERVICES=false is not supported: every worker's services are managed")
                .hint("remove PLAYWRIGHT_MANAGED_SERVICES from the environment"))
        }
        _ => Ok(()),
    }
}

/// A row a worker, a column a service: `w0  http://127.0.0.1:49153`.
pub(super) fn address_table(stack: &Stack) -> String {
    let mut services: Vec<&str> = Vec::new();
    for name in stack
        .workers
        .iter()
        .flat_map(|worker| worker.services.keys())
    {
        if !services.contains(&name.as_str()) {
            services.push(name);
        }
    }
    let cell = |worker: &address::Worker, service: &str| {
        let address = worker.services.get(service);
        address
            .and_then(|address| address.url.clone())
            .unwrap_or_else(|| "-".to_owned())
    };
    let rows: Vec<Vec<String>> = stack
        .workers
        .iter()
        .map(|worker| {
            let cells = services.iter().map(|service| cell(worker, service));
            [worker.worker.to_string()]
                .into_iter()
                .chain(cells)
                .collect()
        })
        .collect();
    let headings: Vec<&str> = ["WORKER"]
        .into_iter()
        .chain(services.iter().copied())
        .collect();
    table(&headings, &rows)
}

/// The code for a command that a signal has ended, or the one that it would have had.
pub(super) fn code_after(signals: &Signals, otherwise: u8) -> u8 {
    signals
        .first()
        .map_or(otherwise, |signal| exit_code::SIGNAL + signal)
}
