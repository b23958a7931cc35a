//! `stackrun logs`

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;

use crate::{
    engine::{Engine, EngineError, LogOptions, StdStream},
    logs::{Assembler, LogLine},
    plan::{Replica, replica_of},
    report::LineFormat,
    spec::{ObservedContainer, Project, ServiceName},
};

use super::{
    Outcome,
    args::{Format, LogsArgs},
    context::Context,
    exit_code,
    failure::Failure,
    start::known_service,
    try_print,
};

type Lines = Pin<Box<dyn Stream<Item = Result<LogLine, EngineError>> + Send>>;

pub(super) async fn logs(context: &Context, args: LogsArgs) -> Outcome {
    let engine = context.connect().await?;
    let target = context.target(&*engine).await?;
    let wanted = wanted_services(target.project.as_ref(), &args.services)?;
    let observed = engine
        .observe(Some(&target.session))
        .await
        .map_err(|error| Failure::engine(&error))?;
    let containers: Vec<(Replica, ObservedContainer)> = observed
        .containers
        .into_iter()
        .map(|container| (replica_of(&container), container))
        .filter(|(replica, _)| args.worker.is_none_or(|worker| replica.worker == worker))
        .filter(|(replica, _)| wanted.is_empty() || wanted.contains(&replica.service))
        .collect();
    if containers.is_empty() {
        context.say(&format!(
            "session `{}` has no such container",
            target.session
        ));
        return Ok(exit_code::SUCCESS);
    }
    let width = containers
        .iter()
        .map(|(replica, _)| replica.service.as_str().len())
        .max();
    let format = LineFormat {
        color: context.color_stdout(),
        timestamps: args.timestamps,
        width: width.unwrap_or_default(),
    };
    let options = LogOptions {
        follow: args.follow,
        since: args.since,
        until: args.until,
        tail: args.tail,
    };
    let mut sources = Vec::new();
    for (replica, container) in containers {
        sources.push(
            lines(&*engine, replica, &container, options)
                .await
                .map_err(|e| Failure::engine(&e))?,
        );
    }
    let mut all = if args.follow {
        side_by_side(sources)
    } else {
        in_order(sources)
    };
    while let Some(line) = all.next().await {
        let line = line.map_err(|error| Failure::engine(&error))?;
        let printed = try_print(&match args.format {
            Format::Text => format.text(&line),
            Format::Json => format.json(&line),
        });
        if printed.is_err() {
            break;
        }
    }
    Ok(exit_code::SUCCESS)
}

fn wanted_services(
    project: Option<&Project>,
    names: &[String],
) -> Result<Vec<ServiceName>, Failure> {
    let find = |name: &String| match project {
        Some(project) => known_service(project, name),
        None => name.parse().map_err(|error| Failure::name(&error)),
    };
    names.iter().map(find).collect()
}

/// The lines of one container.
async fn lines(
    engine: &dyn Engine,
    replica: Replica,
    container: &ObservedContainer,
    options: LogOptions,
) -> Result<Lines, EngineError> {
    let frames = engine.logs(&container.id, options).await?;
    let line = move |source: StdStream, at, chunk: crate::logs::Chunk| LogLine {
        worker: replica.worker,
        service: replica.service.clone(),
        source: source.into(),
        at,
        text: chunk.text,
        ended: chunk.ended,
    };
    let state = (Assembler::default(), Assembler::default());
    let end = stream::once(async { None });
    let lines = frames
        .map(Some)
        .chain(end)
        .scan(state, move |(stdout, stderr), frame| {
            let mut lines = Vec::new();
            match frame {
                Some(Ok(frame)) => {
                    let at = frame.at.unwrap_or(Timestamp::UNIX_EPOCH);
                    let assembler = match frame.stream {
                        StdStream::Stdout => stdout,
                        StdStream::Stderr => stderr,
                    };
                    assembler.push(frame.bytes, |chunk| {
                        lines.push(Ok(line(frame.stream, at, chunk)));
                    });
                }
                Some(Err(error)) => lines.push(Err(error)),
                None => {
                    let now = Timestamp::now();
                    let rest = [
                        (StdStream::Stdout, stdout.finish()),
                        (StdStream::Stderr, stderr.finish()),
                    ];
                    for (source, chunk) in rest {
                        lines.extend(chunk.map(|chunk| Ok(line(source, now, chunk))));
                    }
                }
            }
            std::future::ready(Some(stream::iter(lines)))
        });
    Ok(Box::pin(lines.flatten()))
}

/// Lines as they come.
fn side_by_side(sources: Vec<Lines>) -> Lines {
    Box::pin(stream::select_all(sources))
}

/// Lines of all containers in the order of their time stamps, holding one line of each
/// at a time.
fn in_order(sources: Vec<Lines>) -> Lines {
    let heads: Vec<_> = sources
        .into_iter()
        .map(StreamExt::peekable)
        .map(Box::pin)
        .collect();
    Box::pin(stream::unfold(heads, |mut heads| async move {
        let mut first: Option<(usize, Timestamp)> = None;
        for (index, head) in heads.iter_mut().enumerate() {
            let at = match head.as_mut().peek().await {
                None => continue,
                Some(Ok(line)) => line.at,
                Some(Err(_)) => Timestamp::MIN,
            };
            if first.is_none_or(|(_, earliest)| at < earliest) {
                first = Some((index, at));
            }
        }
        let (index, _) = first?;
        heads[index].next().await.map(|line| (line, heads))
    }))
}
