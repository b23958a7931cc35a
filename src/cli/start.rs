//! What `up` and `run` have in common: a session with its reporter and its signals.

use std::{collections::BTreeMap, io::IsTerminal as _};

use tokio::task::JoinHandle;

use crate::{
    compose::Loaded,
    event::{EventSink, reports},
    plan::Replica,
    report::{Mode, Recording, Reporter, Settings},
    session::{Session, Stack, UpError, UpOptions, address},
    spec::{Project, ServiceName, SessionName},
};

use super::{
    args::StartArgs, context::Context, exit_code, failure::Failure, print, signals::Signals,
    table::table,
};

/// A session at work.
pub(super) struct Start {
    pub(super) session: Session,
    pub(super) signals: Signals,
    sink: EventSink,
    reporter: JoinHandle<Recording>,
    timings: bool,
}

impl Start {
    /// Connects, and begins to listen and to report.
    pub(super) async fn open(
        context: &Context,
        project: &Project,
        name: SessionName,
        args: &StartArgs,
    ) -> Result<Self, Failure> {
        let engine = context.connect().await?;
        let signals = Signals::listen();
        let (sink, events, lines) = reports();
        let settings = Settings {
            mode: mode(context),
            color_stdout: context.color_stdout(),
            color_stderr: context.color_stderr(),
            events_file: args.events.clone(),
            verbosity: context.verbose,
        };
        let reporter = Reporter::new(settings).map_err(|error| {
            Failure::usage(format!("the file of `--events` cannot be written: {error}"))
        })?;
        let reporter = tokio::spawn(reporter.run(events, lines));
        let shutdown = signals.shutdown.clone();
        let session = Session::open(engine, name, &project.directory, sink.clone(), shutdown)
            .await
            .map_err(|error| Failure::engine(&error))?;
        Ok(Self {
            session,
            signals,
            sink,
            reporter,
            timings: args.timings,
        })
    }

    /// Brings the session up.
    pub(super) async fn up(
        &self,
        project: &Project,
        options: &UpOptions,
        shown: &Shown,
    ) -> Result<Stack, UpError> {
        let shown = shown.clone();
        self.session
            .logs()
            .show_from_start(move |replica| shown.includes(replica));
        self.session.up(project, options).await
    }

    pub(super) fn sink(&self) -> &EventSink {
        &self.sink
    }

    /// Ends the report, and shows where the time went if that was asked for.
    pub(super) async fn finish(self) {
        let Self {
            session,
            sink,
            reporter,
            timings,
            signals,
        } = self;
        drop((session, sink, signals));
        let Ok(recording) = reporter.await else {
            return;
        };
        if timings {
            print(&recording.timings().to_string());
        }
    }
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

/// The options of `up` and `run`, from the command line and the file.
pub(super) fn up_options(loaded: &Loaded, args: &StartArgs) -> UpOptions {
    UpOptions {
        workers: args
            .workers
            .or(loaded.project.stackrun.workers)
            .unwrap_or(1),
        wait_timeout: args.wait_timeout,
        keep_going: false,
        keep_failed: args.keep_failed,
        remove_orphans: false,
        known_services: loaded.known_services.clone(),
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

pub(super) fn mode(context: &Context) -> Mode {
    let dumb = context
        .environment
        .get("TERM")
        .is_some_and(|term| term == "dumb");
    if context.quiet {
        Mode::Quiet
    } else if std::io::stderr().is_terminal() && !dumb {
        Mode::Tree
    } else {
        Mode::Plain
    }
}

/// The code for a command that a signal has ended, or the one that it would have had.
pub(super) fn code_after(signals: &Signals, otherwise: u8) -> u8 {
    signals
        .first()
        .map_or(otherwise, |signal| exit_code::SIGNAL + signal)
}
